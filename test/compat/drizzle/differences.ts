// Where ours differs from stock, and why. Each is asserted: it must differ at that place, in exactly that way, and be the
// same everywhere else.

import type { Plain } from './normalise.js'

export interface Difference {
  /** Name of the operation. */
  readonly operation: string
  readonly reason: string
  /** Where in the outcome, `[]` for all of it. */
  readonly at: readonly (string | number)[]
  readonly stock: Plain
  readonly ours: Plain
}

const nothing: Plain = { $undefined: true }
const didNotThrow = (value: Plain): Plain => ({ didNotThrow: value })
const error = (name: string, message: string, code: Plain = nothing): Plain => ({ $error: { code, name, message } })
const invalid = (problem: string): Plain => error('InvalidOptionsError', `Invalid options:\n  ${problem}`)

/** The application must hear that its limit would be ignored, and which of ours takes its place. */
const owned = Object.entries({
  max: '3',
  idle_timeout: '20',
  connect_timeout: '5',
  max_lifetime: '60',
  backoff: 'a function',
  max_pipeline: '10',
  onclose: 'a function',
  publications: '"some"',
}).map(
  ([option, given]): Difference => ({
    operation: 'what the pool decides, among the connection options',
    reason: 'the pool owns it, and names the option of ours instead',
    at: ['returned', option],
    stock: didNotThrow(5),
    ours: invalid(`connection.${option}: given ${given}`),
  }),
)

const ownedInUrl = Object.entries({ connect_timeout: '5', max: '2', idle_timeout: '5' }).map(
  ([option, given]): Difference => ({
    operation: 'postgres.js’s options in the URL',
    reason: 'the pool owns it, and names the option of ours instead',
    at: ['returned', `${option}=${given}`],
    stock: didNotThrow(5),
    ours: invalid(`connection?${option}: given "${given}"`),
  }),
)

const ending = [
  'a query after end() is refused',
  'a Drizzle query after end() is refused',
  'ending the user’s own client ends the db',
].map(
  (operation): Difference => ({
    operation,
    reason: 'end() closes the pool, whose error says so',
    at: ['threw'],
    stock: error('Error', 'write CONNECTION_ENDED (address)', 'CONNECTION_ENDED'),
    ours: error('PoolClosedError', 'The pool is closed: no connection can be taken from it'),
  }),
)

const nan: Plain = { $number: 'NaN' }

const nullElements = ['selected', 'executed', 'tagged'].flatMap((way) =>
  Object.entries<{ stock: Plain; ours: Plain }>({
    ints: { stock: [1, nan], ours: [1, null] },
    texts: { stock: ['a', 'NULL', 'NULL'], ours: ['a', null, 'NULL'] },
    doubles: { stock: [nan], ours: [null] },
    flags: { stock: [true, false], ours: [true, null] },
    keys: { stock: ['NULL'], ours: [null] },
    moods: { stock: ['NULL'], ours: [null] },
    matrix: { stock: [[1, nan]], ours: [[1, null]] },
  }).map(
    ([column, values]): Difference => ({
      operation: 'NULL elements in arrays of every type',
      reason: 'postgres.js makes NaN, false or the text NULL of a NULL in an array; ours gives null',
      at: ['returned', way, column],
      ...values,
    }),
  ),
)

const arrays: readonly Difference[] = [
  {
    operation: 'NULL elements that Drizzle cannot map, in arrays of jsonb and bigint',
    reason: 'null reaches Drizzle instead of the text NULL, and Drizzle passes it on',
    at: ['returned', 'jsons'],
    stock: error('SyntaxError', `Unexpected token 'N', "NULL" is not valid JSON`),
    ours: didNotThrow([{ jsons: [{ a: 1 }, null] }]),
  },
  {
    operation: 'NULL elements that Drizzle cannot map, in arrays of jsonb and bigint',
    reason: 'null reaches Drizzle instead of the text NULL, which it cannot map either',
    at: ['returned', 'bigs'],
    stock: error('SyntaxError', 'Cannot convert NULL to a BigInt'),
    ours: error('TypeError', 'Cannot convert null to a BigInt'),
  },
  {
    operation: 'arrays with a lower bound of their own',
    reason: 'postgres.js takes the bounds for one more dimension',
    at: ['returned'],
    stock: { ints: [[1, 2, 3]], texts: [['a', 'b']] },
    ours: { ints: [1, 2, 3], texts: ['a', 'b'] },
  },
]

export const differences: readonly Difference[] = [
  ...owned,
  ...ownedInUrl,
  ...ending,
  ...nullElements,
  ...arrays,
  {
    operation: 'what drizzle does to the dates of the user’s own client',
    reason: 'values are mapped per statement: the user’s own client is left as it is',
    at: ['returned', 'client', '$rows', 0, 'day'],
    stock: '2024-01-01',
    ours: { $date: '2024-01-01T00:00:00.000Z' },
  },
  {
    operation: 'an isolation level that does not exist',
    reason: 'refused before anything is sent, with the levels there are',
    at: ['threw'],
    stock: {
      $error: { severity: 'ERROR', code: '42601', message: 'syntax error at or near "strict"', position: '33' },
    },
    ours: invalid('options.isolationLevel: given "strict"'),
  },
  {
    operation: 'begin with options that are not SQL',
    reason: 'refused before anything is sent, with the modes there are',
    at: ['threw'],
    stock: {
      $error: { severity: 'ERROR', code: '42601', message: 'syntax error at or near "nonsense"', position: '7' },
    },
    ours: invalid('begin: given "nonsense"'),
  },
  {
    operation: 'begin as a plain statement is refused',
    reason: 'the same code, and the words of our own API',
    at: ['threw'],
    stock: error('Error', 'UNSAFE_TRANSACTION: Only use sql.begin, sql.reserved or max: 1', 'UNSAFE_TRANSACTION'),
    ours: error(
      'StatementError',
      'A transaction is begun with sql.begin() or on a connection from sql.reserve()',
      'UNSAFE_TRANSACTION',
    ),
  },
  {
    operation: 'after a swallowed failure the refusal is what comes out',
    reason: 'ours tells the first error, as stock does where Drizzle does not wrap it',
    at: ['threw'],
    stock: {
      $error: {
        severity: 'ERROR',
        code: '25P02',
        message: 'current transaction is aborted, commands ignored until end of transaction block',
      },
    },
    ours: { $error: { severity: 'ERROR', code: '22012', message: 'division by zero' } },
  },
  {
    operation: 'db.$client is the user’s own client',
    reason: 'it is the facade of a pool that was made from that client’s options',
    at: ['returned'],
    stock: { positional: true, named: true },
    ours: { positional: false, named: false },
  },
  {
    operation: 'arrays of every kind as parameters',
    reason: 'the same code, and a message that says where',
    at: ['returned', 'undefined'],
    stock: error('Error', 'UNDEFINED_VALUE: Undefined values are not allowed', 'UNDEFINED_VALUE'),
    ours: error('StatementError', 'Undefined values are not allowed in an array', 'UNDEFINED_VALUE'),
  },
  {
    operation: 'an empty configuration',
    reason: 'no settings are no settings; stock sends SET TRANSACTION without any',
    at: [],
    stock: {
      threw: { $error: { severity: 'ERROR', code: '42601', message: 'syntax error at end of input', position: '17' } },
    },
    ours: { returned: 'ran' },
  },
  {
    operation: 'a query through a transaction that has ended',
    reason: 'stock runs it outside of any transaction, on a connection that may be another transaction’s by then',
    at: ['returned'],
    stock: didNotThrow([{ id: 1 }]),
    ours: error('TransactionEndedError', 'This transaction has ended (committed): nothing more can be sent through it'),
  },
  {
    operation: 'the class of a failed query’s error, and what its message shows',
    reason: 'our errors come directly, carry the SQLSTATE themselves, and show no parameters',
    at: ['returned'],
    stock: { isDrizzleQueryError: true, isMooringsError: false, showsParameters: true, code: nothing },
    ours: { isDrizzleQueryError: false, isMooringsError: true, showsParameters: false, code: '23505' },
  },
  {
    operation: 'a logger and a transaction’s configuration',
    reason: 'the settings travel with BEGIN, which Drizzle logs on neither side',
    at: ['returned'],
    stock: [
      { query: 'set transaction isolation level serializable read only', params: [] },
      { query: 'select 1', params: [] },
    ],
    ours: [{ query: 'select 1', params: [] }],
  },
  {
    operation: 'cancel() ends a running query',
    reason: 'the caller hears of it at once, before the server does',
    at: ['returned', 'caught'],
    stock: { $error: { severity: 'ERROR', code: '57014', message: 'canceling statement due to user request' } },
    ours: error('StatementCancelledError', 'The statement was cancelled by query.cancel()', '57014'),
  },
  {
    operation: 'end() with a timeout of nothing rejects what runs',
    reason: 'the pool destroys the socket, and postgres.js finds it closed',
    at: ['returned'],
    stock: error('Error', 'write CONNECTION_DESTROYED (address)', 'CONNECTION_DESTROYED'),
    ours: error('Error', 'write CONNECTION_CLOSED (address)', 'CONNECTION_CLOSED'),
  },
  {
    operation: 'largeObject() writes and reads',
    reason: 'not offered: it would hold a connection without a limit',
    at: [],
    stock: { returned: 'world' },
    ours: {
      threw: error(
        'MooringsError',
        'sql.largeObject is not offered on a Moorings pool: use lo_* functions in a transaction',
      ),
    },
  },
  {
    operation: 'the columns of a result show their parsers',
    reason: 'values are mapped per statement, after the library has described the columns',
    at: ['returned'],
    stock: [
      ['id', 'function'],
      ['name', 'undefined'],
      ['joined_at', 'function'],
    ],
    ours: [
      ['id', 'undefined'],
      ['name', 'undefined'],
      ['joined_at', 'undefined'],
    ],
  },
]
