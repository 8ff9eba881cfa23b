// T7, after a crash: the ids of transactions that were not flushed to the log are given out once more. What became of one
// is never told by what became of a stranger, and the stranger is left alone.

import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import type { CommitOutcome, CommitTicket } from '@moorings/core'
import { createPool, type PostgresConnection, type PostgresPool } from '@moorings/postgres'
import { type Admin, connectAdmin } from '../support/admin.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import type { StopMode } from '../support/postmaster.js'
import { signal as sendSignal } from '../support/processes.js'
import { until } from '../support/until.js'

/** Nothing is flushed but by a COMMIT, no id is given out but to us, and no checkpoint comes but those we wait for. */
const settings = { wal_writer_delay: '10s', checkpoint_timeout: '1h', autovacuum: false }

let cluster: Cluster
const opened: { close(): Promise<unknown> }[] = []

beforeAll(async () => {
  cluster = await startCluster({ settings })
  await admin().query('create table marks (mark text)')
})
afterEach(closeAll)
afterAll(() => cluster.stop())

function admin(): Admin {
  const one = connectAdmin(cluster.url)
  opened.push({ close: () => one.end() })
  return one
}

function closeAll(): Promise<unknown> {
  return Promise.all(opened.splice(0).map((one) => one.close()))
}

async function connect(): Promise<{ connection: PostgresConnection; pool: PostgresPool }> {
  const pool = createPool(
    { url: cluster.url, fetch_types: false },
    { resilience: { pool: { min: 0, max: 1, overflow: 0 } } },
  )
  opened.push(pool)
  const lease = await pool.acquire()
  opened.push({ close: async () => lease.release() })
  return { connection: lease.connection, pool }
}

/** One that has written, and not ended. */
async function begun(text = `insert into marks values ('ours')`): Promise<PostgresConnection> {
  const { connection } = await connect()
  await connection.begin({}, true)
  await connection.execute({ text })
  await until(() => typeof connection.ticket === 'object', { what: 'the id' })
  return connection
}

function ticketOf({ ticket }: PostgresConnection): CommitTicket {
  if (typeof ticket !== 'object') throw new Error(`expected a ticket, got ${ticket}`)
  return ticket
}

async function ask(ticket: CommitTicket): Promise<CommitOutcome> {
  const { connection, pool } = await connect()
  return pool.driver.outcomeOf(ticket, connection, new AbortController().signal)
}

async function committed(): Promise<CommitTicket> {
  const connection = await begun()
  await connection.commit()
  return ticketOf(connection)
}

/** Transactions are begun and rolled back until one has been given that id. It writes: else its COMMIT would flush nothing. */
async function strangerWith({ transactionId }: CommitTicket): Promise<PostgresConnection> {
  const { connection } = await connect()
  for (;;) {
    await connection.begin()
    const { rows } = await connection.execute<{ id: string }>({ text: 'select pg_current_xact_id()::text as id' })
    const id = BigInt(rows[0]?.id ?? -1)
    if (id === BigInt(transactionId)) break
    // They are given out in order.
    if (id > BigInt(transactionId)) throw new Error(`${id} was given out; ${transactionId} was not lost`)
    await connection.rollback()
  }
  await connection.execute({ text: `insert into marks values ('a stranger''s')` })
  return connection
}

async function statusOf({ transactionId }: CommitTicket): Promise<string | undefined> {
  const { connection } = await connect()
  const text = `select pg_xact_status('${transactionId}'::xid8) as status`
  const { rows } = await connection.execute<{ status: string }>({ text })
  return rows[0]?.status
}

const restart = (mode: StopMode) => () => cluster.restart(mode)

async function kill(): Promise<void> {
  await cluster.kill('SIGKILL')
  await cluster.restart()
}

/** The postmaster lives on, ends all other backends, and recovers. */
async function killBackend(): Promise<void> {
  const { connection } = await connect()
  const { pid } = connection.backendKey ?? {}
  if (pid === undefined) throw new Error('a backend without key')
  sendSignal(pid, 'SIGKILL')
  await until(() => connection.lost !== undefined, { what: 'the backend to end' })
  await until(() => connect(), { what: 'the server to be back' })
}

const crashes: readonly (readonly [string, () => Promise<void>])[] = [
  ['the postmaster and all others are killed', kill],
  ['it is shut down immediately', restart('immediate')],
  ['a backend is killed', killBackend],
]

describe.each(crashes)('a crash: %s', (_, crash) => {
  it('T7: what was not flushed is rolled back, whoever is given its id, until nobody can know', async () => {
    const ticket = ticketOf(await begun())
    await crash()
    expect(await ask(ticket)).toBe('rolled-back')

    const stranger = await strangerWith(ticket)
    expect(await ask(ticket)).toBe('rolled-back')
    expect(await stranger.commit()).toBe('committed')
    expect(await statusOf(ticket)).toBe('committed')
    expect(await ask(ticket)).toBe('rolled-back')

    await admin().query('checkpoint')
    expect(await ask(ticket)).toBe('unknown')
  })

  it('T7: a stranger who has rolled back tells the truth', async () => {
    const ticket = ticketOf(await begun())
    await crash()
    await (await strangerWith(ticket)).rollback()
    expect(await ask(ticket)).toBe('rolled-back')
    await admin().query('checkpoint')
    expect(await ask(ticket)).toBe('rolled-back')
  })

  it.each([...crashes, ['it is shut down', restart('fast')] as const].map(([name, again]) => [name, again] as const))(
    'T7: after another one nobody can know whose the id was: %s',
    async (_again, again) => {
      const ticket = ticketOf(await begun())
      await crash()
      await (await strangerWith(ticket)).commit()
      await again()
      expect(await statusOf(ticket)).toBe('committed')
      expect(await ask(ticket)).toBe('unknown')
    },
  )

  it('T7: what was not committed by then is rolled back, also when its id was flushed', async () => {
    const ticket = ticketOf(await begun())
    await committed()
    await crash()
    expect(await ask(ticket)).toBe('rolled-back')
    await crash()
    expect(await ask(ticket)).toBe('rolled-back')
  })

  it('T7: what was committed cannot be told from a stranger’s: unknown', async () => {
    const ticket = await committed()
    await crash()
    expect(await ask(ticket)).toBe('unknown')
  })

  it('T7: what was answered before it was flushed, as it was asked for, is rolled back', async () => {
    const connection = await begun(`set local synchronous_commit to off; insert into marks values ('async')`)
    expect(await connection.commit()).toBe('committed')
    const ticket = ticketOf(connection)
    expect(await ask(ticket)).toBe('committed')
    await crash()
    expect(await ask(ticket)).toBe('rolled-back')
  })

  it('T7: all is as it was before for those that come after it', async () => {
    await crash()
    expect(await ask(await committed())).toBe('committed')
    const connection = await begun()
    expect(await ask(ticketOf(connection))).toBe('rolled-back')
    expect(connection.lost).toMatchObject({ code: '57P01' })
    await admin().query('checkpoint')
    expect(await ask(await committed())).toBe('committed')
    const ticket = await committed()
    await cluster.restart()
    expect(await ask(ticket)).toBe('committed')
  })
})

describe('a clean restart', () => {
  it.each(['smart', 'fast'] as const)('T7: nothing is lost, however often (%s)', async (mode) => {
    const connection = await begun()
    await connection.rollback()
    const tickets = [await committed(), ticketOf(connection)]
    // A smart one waits for those who are there.
    await closeAll()
    for (const _ of [1, 2]) {
      await cluster.restart(mode)
      expect(await Promise.all(tickets.map(ask))).toEqual(['committed', 'rolled-back'])
      await closeAll()
    }
  })

  it('T7: what was under way is rolled back', async () => {
    const ticket = ticketOf(await begun())
    await cluster.restart()
    expect(await ask(ticket)).toBe('rolled-back')
  })

  it('T7: cannot be told from a crash once somebody has discarded the statistics by hand', async () => {
    const ticket = await committed()
    await admin().query(`select pg_stat_reset_shared('bgwriter')`)
    expect(await ask(ticket)).toBe('committed')
    await closeAll()
    await cluster.restart()
    expect(await ask(ticket)).toBe('unknown')
  })
})
