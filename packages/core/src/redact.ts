// Takes passwords out of text that leaves for a log: messages of drivers, resolvers and hooks quote what they were given.
// Where it cannot be told for certain what is still password, more is hidden rather than less.

/**
 * `://user:password@`, to the last @ before the next URL: a password that nobody encoded may hold an @, a / or a space.
 * Only a number with a space behind it is taken for a port.
 */
const inUrl = /(:\/\/[^\s:/?#]*:)(?:(?:(?!:\/\/)\S)*|(?!\d{1,5}(?!\w))(?:(?!:\/\/)[^@\n])*)@/g

/** The same in a URL that is itself a part of a URL. */
const inEncodedUrl = /(%3A%2F%2F(?:(?!%3A|%2F)\S)*%3A)(?:(?!%3A%2F%2F)\S)*%40/gi

/** `password=…` of key/value connection strings and of a URL's query, `password: '…'` of printed objects and JSON. */
const named =
  /((?:\bpass|password|passwd|passphrase|pwd|secret|token)["']?\s*(?:=|%3D|:(?=\s*["']))\s*)(?:'(?:\\.|[^'\\])*'?|"(?:\\.|[^"\\])*"?|\S+)/gis

/** Without one of these nothing above matches: the names, addresses and sentences of a log are told apart at a glance. */
const suspicious = /[@=%]|:\s*["']/

/**
 * The text with `***` in place of every password.
 *
 * @example
 * redact('cannot reach postgres://app:hunter2@db:5432/shop') // 'cannot reach postgres://app:***@db:5432/shop'
 */
export function redact(text: string): string {
  if (!suspicious.test(text)) return text
  return text.replace(inUrl, '$1***@').replace(inEncodedUrl, '$1***%40').replace(named, '$1***')
}
