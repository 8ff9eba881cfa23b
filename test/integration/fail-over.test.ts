// F3: a primary goes, and a standby takes its place: abruptly, behind a black hole, by demotion, by an orderly switch, and
// behind one name that means another server now. The callers wait, and everything they were told is there afterwards.

import { setTimeout } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { ReadOnlyEndpointError } from '@moorings/core'
import { type Names, replaceNames, startOnOnePort } from '../support/names.js'
import { type Node, type Replicated, startReplicated } from '../support/replicated.js'
import { until } from '../support/until.js'
import { createMarks, type Db, type Orm, orms } from './orms.js'
import { errorOf } from './scene.js'

/** Several writers at once, and none of them with a limit but these. */
const resilience = {
  pool: { min: 0, max: 4, overflow: 0, validationTimeoutMs: 500, closeTimeoutMs: 1_000 },
  transaction: { retry: { maxRetries: 30, maxDelayMs: 500 } },
  statement: { livenessAfterMs: 1_000 },
}

let servers: Replicated
/** The old primary has gone a way of its own. */
let used = false
const open: { close(): Promise<void> }[] = []

beforeAll(async () => {
  servers = await startReplicated({ synchronous: true })
  await servers.primary.admin.query(createMarks)
}, 120_000)

beforeEach(async () => {
  if (used) await servers.rejoin(other(servers.primary))
  used = true
  for (const { proxy } of servers.nodes) await proxy.restore()
  await servers.primary.admin.query('truncate marks')
  await servers.caughtUp()
}, 120_000)

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

afterAll(() => servers.stop(), 60_000)

function other(node: Node): Node {
  const found = servers.nodes.find((one) => one !== node)
  if (found === undefined) throw new Error('there is one server only')
  return found
}

function opened(orm: Orm, places = servers.nodes.map(({ proxy }) => `${proxy.host}:${proxy.port}`)): Db {
  const url = new URL(servers.primary.url())
  const hosts = url.href.replace(url.host, places.join(','))
  const db = orm.open(`${hosts}?target_session_attrs=read-write`, resilience)
  open.push(db)
  return db
}

/** Writes one mark after the other, until told to stop; keeps those that were acknowledged, and what failed. */
function writers(db: Db, count: number) {
  const acknowledged: string[] = []
  const failed: unknown[] = []
  let stopped = false
  const write = async (writer: number) => {
    for (let n = 0; !stopped; n++) {
      const mark = `${writer}-${n}`
      try {
        await db.withTransaction(async (tx) => {
          await tx.insert(mark)
          await tx.query('select pg_sleep(0.002)')
        })
        acknowledged.push(mark)
      } catch (error) {
        failed.push(error)
        if (failed.length > 100) throw error
        await setTimeout(5)
      }
    }
  }
  const all = Promise.all(Array.from({ length: count }, (_, writer) => write(writer)))
  all.catch(() => {})
  return {
    acknowledged,
    failed,
    /** So many more are acknowledged than now. */
    more: (more: number) => {
      const enough = acknowledged.length + more
      return until(() => acknowledged.length >= enough, { what: `${more} more to be written`, timeoutMs: 30_000 })
    },
    async stop() {
      stopped = true
      await all
    },
  }
}

async function marks(): Promise<string[]> {
  const rows = await servers.primary.admin.query<{ mark: string }>('select mark from marks')
  return rows.map(({ mark }) => mark).sort()
}

describe.each(orms)('$name', (orm: Orm) => {
  it('F3: a primary that crashed: everybody goes on at the promoted standby, each transaction applied once', async () => {
    const db = opened(orm)
    const work = writers(db, 4)
    await work.more(20)
    const standby = other(servers.primary)
    await servers.primary.server.kill('SIGKILL')
    await servers.failOver(standby)
    await work.more(20)
    await work.stop()
    // Nobody can tell what became of a COMMIT on another timeline: that, and nothing else, may be told as unknown.
    for (const error of work.failed) expect(error).toMatchObject({ name: 'CommitOutcomeUnknownError' })
    const written = new Set(await marks())
    expect(work.acknowledged.filter((mark) => !written.has(mark))).toEqual([])
    expect(written.size).toBeLessThanOrEqual(work.acknowledged.length + work.failed.length)
    expect(await marks()).toHaveLength(written.size)
  }, 120_000)

  it('F3: a primary in a black hole: what is under way there is told, and goes on elsewhere', async () => {
    const db = opened(orm)
    const work = writers(db, 4)
    await work.more(20)
    const [old, standby] = [servers.primary, other(servers.primary)]
    old.proxy.swallow()
    old.proxy.refuse('silent')
    await old.server.freeze()
    await servers.failOver(standby)
    await work.more(20)
    await work.stop()
    await old.server.thaw()
    for (const error of work.failed) expect(error).toMatchObject({ name: 'CommitOutcomeUnknownError' })
    const written = new Set(await marks())
    expect(work.acknowledged.filter((mark) => !written.has(mark))).toEqual([])
    expect(await marks()).toHaveLength(written.size)
    await old.server.kill('SIGKILL')
  }, 120_000)

  it('F3: an orderly switch: nobody sees an error, and nothing is lost or done twice', async () => {
    const db = opened(orm)
    const work = writers(db, 4)
    await work.more(20)
    await servers.switchOver(other(servers.primary))
    await work.more(20)
    await work.stop()
    const unknown = work.failed.filter((error) => !String(error).includes('CommitOutcomeUnknown'))
    expect(unknown).toEqual([])
    const written = await marks()
    expect(work.acknowledged.filter((mark) => !written.includes(mark))).toEqual([])
    expect(new Set(written).size).toBe(written.length)
  }, 120_000)

  it('F3: a primary that takes no writes any more is left for the one that does', async () => {
    const db = opened(orm)
    const work = writers(db, 4)
    await work.more(20)
    const [old, standby] = [servers.primary, other(servers.primary)]
    await old.makeReadOnly()
    await servers.failOver(standby)
    await work.more(20)
    await work.stop()
    expect(work.failed).toEqual([])
    await old.makeReadOnly(false)
    expect(db.pool.stats().endpoints).toMatchObject({
      [`${standby.proxy.host}:${standby.proxy.port}`]: { role: 'primary' },
    })
    await old.server.kill('SIGKILL')
  }, 120_000)

  it('F3: a single statement refused by a demoted primary says so, and the next goes elsewhere', async () => {
    const db = opened(orm)
    await db.insert('before')
    const [old, standby] = [servers.primary, other(servers.primary)]
    await old.makeReadOnly()
    expect(await errorOf(db.insert('refused'))).toBeInstanceOf(ReadOnlyEndpointError)
    await servers.failOver(standby)
    await db.insert('after')
    expect(await marks()).toEqual(['after', 'before'])
    await old.makeReadOnly(false)
    await old.server.kill('SIGKILL')
  }, 120_000)
})

describe('one name', () => {
  let names: Names
  beforeEach(() => {
    names = replaceNames()
  })
  afterEach(() => names.restore())

  it.each(orms)(
    'F3: that means another server after the fail-over is followed: $name',
    async (orm) => {
      const { port, proxies } = await startOnOnePort(servers.nodes.map(({ server }) => server))
      open.push({ close: async () => void (await Promise.all(proxies.map((proxy) => proxy.close()))) })
      const addressOf = (node: Node) => proxies[servers.nodes.indexOf(node)]?.host ?? ''
      names.set('db.example', addressOf(servers.primary))
      const db = opened(orm, [`db.example:${port}`])
      const work = writers(db, 4)
      await work.more(20)
      const [old, standby] = [servers.primary, other(servers.primary)]
      await old.makeReadOnly()
      await servers.failOver(standby)
      names.set('db.example', addressOf(standby))
      await work.more(20)
      await work.stop()
      expect(work.failed).toEqual([])
      await old.makeReadOnly(false)
      await old.server.kill('SIGKILL')
    },
    120_000,
  )
})
