// What an application does with its connections, well and badly: each operation knows what it must get.

import { sql as kyselySql } from 'kysely'
import {
  borrow,
  type Call,
  expectEqual,
  mayFail,
  orm,
  pick,
  provoke,
  sees,
  soon,
  taken,
  unknown,
  written,
} from './call.js'

export interface Operation {
  readonly name: string
  /** Out of about a hundred. */
  readonly share: number
  readonly run: (call: Call) => Promise<void>
}

export const operations: readonly Operation[] = [
  { name: 'select', share: 25, run: select },
  { name: 'select many', share: 8, run: selectMany },
  { name: 'insert', share: 12, run: insert },
  { name: 'transaction', share: 10, run: commit },
  { name: 'transaction, rolled back', share: 6, run: rollBack },
  { name: 'nested transaction', share: 6, run: nest },
  { name: 'unique violation', share: 4, run: violate },
  { name: 'unique violation in a transaction', share: 3, run: violateInside },
  { name: 'error swallowed in a transaction', share: 2, run: swallow },
  { name: 'refused statement', share: 2, run: divide },
  { name: 'timeout of the server', share: 1, run: slowForServer },
  { name: 'timeout of ours', share: 1, run: slowForUs },
  { name: 'acquire, aborted', share: 3, run: abortAcquire },
  { name: 'acquire, out of time', share: 3, run: runOutOfTime },
  { name: 'statement, aborted', share: 2, run: abortStatement },
  { name: 'statement, cancelled', share: 2, run: cancelStatement },
  { name: 'cursor, left early', share: 2, run: leaveCursor },
  { name: 'stream', share: 2, run: stream },
  { name: 'reserved connection', share: 2, run: reserve },
  { name: 'transaction, left open', share: 2, run: leaveOpen },
  { name: 'settings, left behind', share: 1, run: leaveSettings },
  { name: 'session of one', share: 1, run: findClean },
]

// --- in order ---

async function select(call: Call): Promise<void> {
  await sees(orm(call), call)
}

async function selectMany(call: Call): Promise<void> {
  const many = 1 + Math.floor(call.random() * 300)
  const rows = await orm(call).query(`select generate_series(1, ${many}) as n`)
  expectEqual(rows.length, many)
}

async function insert(call: Call): Promise<void> {
  const work = () => orm(call).insert(`single:${call.n}`)
  // Without a transaction there is no asking whether it came to its end.
  await written(call, 'single', work, () => true)
}

async function commit(call: Call): Promise<void> {
  const work = () =>
    orm(call).transaction(async (tx) => {
      await tx.insert(`committed:${call.n}`)
      await sees(tx, call)
    })
  await written(call, 'committed', work, unknown)
}

async function rollBack(call: Call): Promise<void> {
  const change = new Error('changed my mind')
  const work = orm(call).transaction(async (tx) => {
    await tx.insert(`undone:${call.n}`)
    throw change
  })
  await work.catch((error: unknown) => {
    if (error !== change) throw error
  })
}

async function nest(call: Call): Promise<void> {
  const db = pick(call.nesting, call.random)
  const change = new Error('changed my mind')
  const work = () =>
    db.transaction(async (tx) => {
      await tx.insert(`committed:${call.n}`)
      const inner = tx.nested(async (nested) => {
        await nested.insert(`undone:${call.n}`)
        throw change
      })
      await inner.catch((error: unknown) => {
        if (error !== change) throw error
      })
      await tx.nested((nested) => sees(nested, call))
    })
  await written(call, 'committed', work, unknown)
}

// --- errors ---

async function violate(call: Call): Promise<void> {
  await provoke(call, 'UniqueViolationError', orm(call).insert(taken))
}

async function violateInside(call: Call): Promise<void> {
  const work = orm(call).transaction(async (tx) => {
    await tx.insert(`undone:${call.n}`)
    await tx.insert(taken)
  })
  await provoke(call, 'UniqueViolationError', work)
}

async function swallow(call: Call): Promise<void> {
  const work = orm(call).transaction(async (tx) => {
    await tx.insert(`undone:${call.n}`)
    await provoke(call, 'UniqueViolationError', tx.insert(taken))
  })
  await provoke(call, 'TransactionAbortedError', work)
}

async function divide(call: Call): Promise<void> {
  await provoke(call, 'StatementError', orm(call).query(`select ${call.n} / 0`))
}

/** A backend whose client vanished goes on to its end: that is waited for. */
const slow = 'select pg_sleep(3)'

async function slowForServer(call: Call): Promise<void> {
  const work = orm(call).transaction(async (tx) => {
    await tx.query('set local statement_timeout = 10')
    await tx.query(slow)
  })
  await provoke(call, 'StatementCancelledError', work)
}

async function slowForUs({ pool, books }: Call): Promise<void> {
  const work = pool.lease((lease) => lease.connection.execute({ text: slow }, { timeoutMs: 10 }))
  await provoke({ books }, 'StatementTimeoutError', work)
}

// --- giving up ---

async function abortAcquire(call: Call): Promise<void> {
  const { signal, done } = soon(call)
  await mayFail(call, 'AcquireAbortedError', borrow(call, { signal })).finally(done)
}

async function runOutOfTime(call: Call): Promise<void> {
  await mayFail(call, 'AcquireTimeoutError', borrow(call, { timeoutMs: 1 + Math.floor(call.random() * 5) }))
}

const strategies = ['ignore query', 'cancel query', 'kill session'] as const

async function abortStatement(call: Call): Promise<void> {
  const { signal, done } = soon(call)
  const inflightQueryAbortStrategy = pick(strategies, call.random)
  const work = kyselySql.raw('select pg_sleep(0.02)').execute(call.kysely, { signal, inflightQueryAbortStrategy })
  await mayFail(call, 'AbortError', work).finally(done)
}

async function cancelStatement(call: Call): Promise<void> {
  const query = call.sql.unsafe('select pg_sleep(0.02)').execute()
  const { signal, done } = soon(call)
  signal.addEventListener('abort', () => query.cancel())
  await mayFail(call, 'StatementCancelledError', query).finally(done)
}

// --- in other ways ---

async function leaveCursor({ sql }: Call): Promise<void> {
  for await (const rows of sql.unsafe('select generate_series(1, 200) as n').cursor(50)) {
    expectEqual(rows.length, 50)
    break
  }
}

async function stream({ kysely, random }: Call): Promise<void> {
  const enough = random() < 0.5 ? 10 : Number.POSITIVE_INFINITY
  let seen = 0
  for await (const _ of kysely.selectFrom('marks').selectAll().limit(100).stream(20)) if (++seen === enough) break
}

async function reserve({ sql, n, random }: Call): Promise<void> {
  const reserved = await sql.reserve()
  try {
    const [row] = await reserved.unsafe(`select ${n} as n`)
    expectEqual(row?.n, n)
  } finally {
    reserved.release()
    if (random() < 0.5) reserved.release()
  }
}

async function leaveOpen({ pool, n }: Call): Promise<void> {
  await pool.lease(async ({ connection }) => {
    await connection.execute({ text: `begin; insert into marks values ('undone:${n}')` })
  })
}

async function leaveSettings({ pool, n }: Call): Promise<void> {
  await pool.lease(({ connection }) => connection.execute({ text: `set soak.mark = '${n}'` }))
}

async function findClean(call: Call): Promise<void> {
  const [row] = await orm(call).query(`select current_setting('soak.mark', true) as mark`)
  expectEqual(row?.mark ?? '', '')
}
