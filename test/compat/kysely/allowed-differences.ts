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
 * one, and the bytes it names are; its own words are on the `cause`, where they must be the same as on the stock error.
 */
export function withoutValues(code: unknown, message: string): string {
  if (typeof code !== 'string' || !code.startsWith('22')) return message
  return message.replace(/".*"/s, '"…"').replace(/0x[0-9a-f]{2}( 0x[0-9a-f]{2})*/g, '…')
}

const aborted = `class: "TransactionAbortedError"
    code: "23505"
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

const chunkSize = (given: string) => `error {
    class: "InvalidOptionsError"
    message: "Invalid options:\\n  chunkSize: given ${given}; allowed: an integer >= 1"
  }`

const anyChunkSize = 'Refused, and told what is allowed. kysely 0.29 lets 0 and 1.5 mean: everything at once.'
const refusedBy028 = `error {
    class: "Error"
    message: "chunkSize must be a positive integer"
  }`

const chunkSizes: readonly AllowedDifference[] = [
  {
    reason: anyChunkSize,
    kysely: '0.29',
    stock: `  "nothing was thrown"
  error {
    class: "RangeError"
    message: "The value of \\"value\\" is out of range. It must be >= 0 and <= 4294967295. Received -1"
  }
  "nothing was thrown"`,
    ours: ['0', '-1', '1.5'].map((given) => `  ${chunkSize(given)}`).join('\n'),
  },
  {
    reason: anyChunkSize,
    kysely: '0.28',
    stock: Array(3).fill(`  ${refusedBy028}`).join('\n'),
    ours: ['0', '-1', '1.5'].map((given) => `  ${chunkSize(given)}`).join('\n'),
  },
]

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
  'sql: copy from stdin has nothing to read, and the connection serves the next': [
    {
      reason: 'Says what to use instead; the server is told to give up in any case.',
      stock: `code: "57014"
    message: "COPY from stdin failed: No source stream defined"
    severity: "ERROR"
    where: "COPY link, line 1"`,
      ours: `class: "StatementError"
    code: "57014"
    message: "COPY FROM STDIN has nothing to read from here; use sql\`…\`.writable()"`,
    },
  ],
  'parameter: a buffer that is no bytea: JSON': [
    {
      reason: 'pg sends raw bytes, which jsonb does not take; ours are read as the text they are.',
      stock: `error {
    code: "XX000"
    message: "unsupported jsonb version number 123"
    severity: "ERROR"
    where: "portal parameter $1"
  }`,
      ours: `{
    value: {
      a: 1
    }
    text: "{\\"a\\": 1}"
  }`,
    },
  ],
  'stream: with a chunk size that is none': chunkSizes,
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
