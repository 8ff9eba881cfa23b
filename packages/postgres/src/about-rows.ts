// What the text of a statement tells about it without being parsed.

const aboutRows = /^\s*(?:select|insert|update|delete|with|values|merge)\b[^;]*$/i

/** Surely a single statement that reads or changes rows: it can be prepared, and commits at its end and not before. */
export function isAboutRows(text: string): boolean {
  return aboutRows.test(text)
}
