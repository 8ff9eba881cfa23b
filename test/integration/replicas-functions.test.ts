// Reads that call functions of the application's own, which no text tells to write: on a standby they cannot, and where
// the primary stands in for one they can.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { ConnectionLostError, ReadOnlyEndpointError } from '@moorings/core'
import { withReadYourWrites } from '@moorings/postgres'
import { killBackends } from '../support/admin.js'
import { type Node, type Replicated, startReplicated } from '../support/replicated.js'
import { until } from '../support/until.js'
import { createMarks } from './orms.js'
import { type Reader, type ReadingOrm, readers, replicasOf } from './readers.js'

const resilience = { pool: { min: 0, max: 2, overflow: 0, closeTimeoutMs: 1_000 }, breaker: { resetTimeoutMs: 500 } }

let servers: Replicated
const open: { close(): Promise<void> }[] = []

beforeAll(async () => {
  servers = await startReplicated({ standbys: 1 })
  await servers.primary.admin.query(createMarks)
  await servers.primary.admin.query(`
    create sequence ticks;
    create function ticking() returns int language plpgsql as
      $$ begin perform nextval('ticks'); perform pg_sleep(5); return 1; end $$;
    create function napping() returns int language plpgsql as $$ begin perform pg_sleep(2); return 1; end $$;
    create function marking() returns int language sql as $$ insert into marks values ('by a function') returning 1 $$;`)
}, 120_000)

beforeEach(async () => {
  for (const { proxy } of servers.nodes) await proxy.restore()
  await servers.primary.admin.query('truncate marks; alter sequence ticks restart')
  await servers.caughtUp()
}, 60_000)

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

afterAll(() => servers?.stop(), 60_000)

function standby(): Node {
  const [found] = servers.standbys
  if (found === undefined) throw new Error('there is no standby')
  return found
}

async function opened(orm: ReadingOrm): Promise<Reader> {
  const reader = orm.open(servers.primary.url(), { connections: [standby().url()], checkEveryMs: 100 }, resilience)
  open.push(reader)
  await reader.pool.start()
  return reader
}

/** The primary has to stand in for the standby. */
async function alone(orm: ReadingOrm): Promise<Reader> {
  standby().proxy.refuse()
  const reader = await opened(orm)
  expect(replicasOf(reader.pool).stats().replicas).toMatchObject([{ state: 'down' }])
  return reader
}

async function killAtWork({ admin }: Node, name: string): Promise<void> {
  const working = `query like 'select %${name}()%' and state = 'active' and pid <> pg_backend_pid()`
  const found = () => admin.query(`select from pg_stat_activity where ${working}`)
  await until(async () => (await found()).length === 1, { what: `${name}() to run` })
  await killBackends(admin, working)
}

describe.each(readers)('$name', (orm: ReadingOrm) => {
  it('F1: what a standby was at is carried out once more, whatever it calls', async () => {
    const db = await opened(orm)
    const read = db.call('napping')
    await killAtWork(standby(), 'napping')
    expect(await read).toBe('1')
  })

  it('F1: what the primary was at in place of a standby is not, where it calls what may write', async () => {
    const db = await alone(orm)
    const read = db.call('ticking')
    const failure = expect(read).rejects.toBeInstanceOf(ConnectionLostError)
    await killAtWork(servers.primary, 'ticking')
    await failure
    const [row] = await servers.primary.admin.query<{ ticks: string }>('select last_value::text as ticks from ticks')
    expect(row?.ticks).toBe('1')
  })

  it('F3: what writes on the primary in place of a standby is a write to be read, and a plain read is none', async () => {
    const db = await alone(orm)
    await withReadYourWrites(async (scope) => {
      await db.marks()
      expect(scope.hasWritten).toBe(false)
      await db.call('marking')
      expect(scope.hasWritten).toBe(true)
    })
  })

  it('F3: what would write is refused by a standby, and counts as no write', async () => {
    const db = await opened(orm)
    await withReadYourWrites(async (scope) => {
      await expect(db.call('marking')).rejects.toBeInstanceOf(ReadOnlyEndpointError)
      expect(scope.hasWritten).toBe(false)
    })
  })
})
