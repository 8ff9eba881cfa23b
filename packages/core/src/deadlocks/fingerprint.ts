// A statement without its literals: fit to be shown, and the same for all that differ in values only.

/** Longer ones are cut: what tells statements apart stands at their beginning. */
const LONGEST = 1_000

/** How much of a statement is looked at. */
const READ = 20 * LONGEST

const token = new RegExp(
  [
    /--[^\n]*/, // comments may hold anything
    /\/\*(?:[^*]|\*(?!\/))*(?:\*\/|$)/,
    /[eE]'(?:\\[\s\S]|''|[^'\\])*(?:'|$)/,
    /(?:[bBxXnN]|[uU]&)?'(?:''|[^'])*(?:'|$)/,
    /\$([A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$[\s\S]*?(?:\$\1\$|$)/,
    /"(?:""|[^"])*(?:"|$)/, // a name
    /\$\d+/,
    /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/,
    /(?:0[xXoObB][\da-fA-F_]+|\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?/,
    /\s+/,
  ]
    .map(({ source }) => `(?:${source})`)
    .join('|'),
  'g',
)

/**
 * The statement with `?` for each literal and without comments; lists of values are one `?`, whatever their length.
 *
 * @example
 * fingerprint("select * from users where id in (1, 2) and name = 'x'") // 'select * from users where id in (?) and name = ?'
 */
export function fingerprint(statement: string): string {
  const text = statement.slice(0, READ)
  let bare = text.replace(token, withoutValue)
  // There the text may go on for the server: what follows is not shown.
  const doubtful = bare.indexOf(DOUBT)
  if (doubtful >= 0) bare = `${bare.slice(0, doubtful)}?…`
  const short = bare
    .replace(/(?:\?|\$\d+)(?:\s*,\s*(?:\?|\$\d+))+/g, '?')
    .replace(/\(\s*(\?|\$\d+)\s*\)(?:\s*,\s*\((?:\?|\$\d+)\))+/g, '($1)')
    .replace(/\s+/g, ' ')
    .trim()
  return short.length > LONGEST ? `${short.slice(0, LONGEST)}…` : short
}

/** Not in the text of any statement: the server takes no zero bytes. */
const DOUBT = '\0'

function withoutValue(found: string): string {
  const first = found.charAt(0)
  if (found.startsWith('--')) return ' '
  // The server nests them: then it ends later.
  if (found.startsWith('/*')) return found.includes('/*', 2) ? DOUBT : ' '
  if (first === '"') return found
  if (/^[eE]'/.test(found)) return '?'
  // Not every server takes a backslash for itself.
  if (/^(?:[bBxXnN]|[uU]&)?'/.test(found)) return found.includes('\\') ? DOUBT : '?'
  if (/^\$\d/.test(found)) return found
  if (first === '$') return '?'
  if (/^[.\d]/.test(found)) return '?'
  return found
}
