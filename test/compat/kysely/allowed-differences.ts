// Where ours is meant to differ from the stock dialect, and why. Each is asserted: the stock outcome must hold what
// `stock` says and ours, in its place, what `ours` says, all else being equal. An entry that no longer holds fails.

export interface AllowedDifference {
  readonly reason: string
  /** Only with this version of kysely. */
  readonly kysely?: '0.28' | '0.29'
  /** A part of the stock outcome, as `rendition.ts` writes it, and what stands in ours wherever that part is. */
  readonly stock: string
  readonly ours: string
}

/**
 * A message of our own never shows a value that was sent. What the server quotes in a data exception (class 22) may be
 * one; its own words are on the `cause`, where they must be the same as on the stock error.
 */
export function withoutValues(code: unknown, message: string): string {
  return typeof code === 'string' && code.startsWith('22') ? message.replace(/".*"/s, '"…"') : message
}

const aborted = `class: "TransactionAbortedError"
    code: "25P02"
    message: "The transaction was rolled back, because a statement in it had failed before COMMIT: duplicate key value violates unique constraint \\"link_pkey\\""`

const abortedNamed: AllowedDifference = {
  reason: 'Ours names the statement that failed; Kysely recognises it as its own AbortedTransactionError all the same.',
  kysely: '0.29',
  stock: 'class: "AbortedTransactionError"\n    message: "Transaction was rolled back instead of committed"',
  ours: aborted,
}

const abortedNoticed: AllowedDifference = {
  reason: 'kysely 0.28 takes the answer ROLLBACK to a COMMIT for a success: the work is lost without a word.',
  kysely: '0.28',
  stock: 'resolves with [\n  "nothing was thrown"',
  ours: `resolves with [\n  error {\n    ${aborted}\n  }`,
}

const commandRow = (command: string, indent: string): AllowedDifference => ({
  reason: "The row is how the stock driver hands the server's answer to itself; kysely 0.28 has none either.",
  kysely: '0.29',
  stock: `rows: [\n${indent}  {\n${indent}    command: "${command}"\n${indent}  }\n${indent}]`,
  ours: 'rows: []',
})

const hex = 'pg sends a Buffer as raw bytes, whatever its column is. Ours is text, and as text a Buffer is a bytea.'

/** By the name of the operation. */
export const allowedDifferences: Readonly<Record<string, readonly AllowedDifference[] | undefined>> = {
  'transaction: whose error is swallowed is not committed': [abortedNamed, abortedNoticed],
  'startTransaction: commit after a failed statement': [
    abortedNamed,
    abortedNoticed,
    { ...abortedNoticed, stock: 'isCommitted: true', ours: 'isCommitted: false' },
    {
      ...abortedNoticed,
      stock: 'class: "Error"\n    message: "Transaction is already committed"',
      ours: 'class: "TransactionEndedError"\n    message: "This transaction has ended (rolled-back): nothing more can be sent through it"',
    },
  ],
  'transaction: with an isolation level that PostgreSQL does not have': [
    {
      reason: 'Refused before anything is sent, and told what to use.',
      stock: `code: "42601"
  message: "syntax error at or near \\"snapshot\\""
  severity: "ERROR"
  position: "35"`,
      ours: `class: "InvalidOptionsError"
  message: "Invalid options:\\n  isolationLevel: given \\"snapshot\\"; allowed: a level of PostgreSQL; its snapshot isolation is called repeatable read"`,
    },
  ],
  'transaction: ended by hand with raw COMMIT': [commandRow('COMMIT', '      ')],
  'transaction: ended by hand with raw ROLLBACK': [commandRow('ROLLBACK', '      ')],
  'connection: a transaction made by hand on it, committed and undone': [
    commandRow('COMMIT', '    '),
    commandRow('ROLLBACK', '    '),
  ],
  'log: a transaction whose COMMIT fails': [
    {
      reason: 'A COMMIT that failed has ended the transaction: the stock driver sends a ROLLBACK for nothing.',
      stock: `
  {
    level: "query"
    sql: "rollback"
    parameters: []
    kind: "RawNode"
    took: true
    isStream: false
  }`,
      ours: '',
    },
  ],
  'parameter: a buffer that is no bytea: a text': [
    { reason: hex, stock: `"O'Neill 🐘"`, ours: '"\\\\x4f274e65696c6c20f09f9098"' },
  ],
  'parameter: a buffer that is no bytea: JSON': [
    {
      reason: hex,
      stock: `{
    value: {
      a: 1
    }
    text: "{\\"a\\":1}"
  }
  error {
    code: "XX000"
    message: "unsupported jsonb version number 123"
    severity: "ERROR"
    where: "portal parameter $1"
  }`,
      ours: Array(2)
        .fill(`error {
    code: "22P02"
    message: "invalid input syntax for type json"
    severity: "ERROR"
    detail: "Token \\"\\\\\\" is invalid."
    where: "JSON data, line 1: \\\\...\\nportal parameter $1 = '...'"
  }`)
        .join('\n  '),
    },
  ],
  'parameter: a buffer that is no bytea: the sixteen bytes of a uuid': [
    {
      reason: hex,
      stock: `{
    value: "07070707-0707-0707-0707-070707070707"
    text: "07070707-0707-0707-0707-070707070707"
  }`,
      ours: `error {
    code: "22P02"
    message: "invalid input syntax for type uuid: \\"\\\\x07070707070707070707070707070707\\""
    severity: "ERROR"
    where: "portal parameter $1 = '...'"
  }`,
    },
  ],
  'parameter: an object whose toPostgres leads back to itself': [
    {
      reason: 'Refused in other words, which do not print the value.',
      stock: 'message: "circular reference detected while preparing \\"[object Object]\\" for query"',
      ours: 'message: "A parameter refers to itself: its toPostgres() leads back to it"',
    },
  ],
  'parameter: too few and too many for the statement': [
    {
      reason: 'The library names a type for each parameter it is given, so the server misses the one too many earlier.',
      stock: `code: "08P01"
    message: "bind message supplies 2 parameters, but prepared statement \\"\\" requires 1"`,
      ours: `code: "42P18"
    message: "could not determine data type of parameter $2"`,
    },
  ],
}
