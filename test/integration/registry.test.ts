// Pools by name on a real server: all of them start or none, all end; and a shared pool in a process that evaluates its
// modules again and again.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, describe, expect, it } from '@jest/globals'
import { ConnectError, PoolClosedError } from '@moorings/core'
import { createClient, createPools, type PostgresPools } from '@moorings/postgres'
import { backends } from '../support/admin.js'
import { until } from '../support/until.js'
import { runChild } from './children/run.js'
import { errorOf, useScene, within } from './scene.js'

const scene = useScene()
const resilience = {
  pool: { min: 2, max: 3, overflow: 0, acquireTimeoutMs: 20_000, closeTimeoutMs: 2_000 },
  health: { everyMs: 0, timeoutMs: 500 },
}

/** `primary` past the proxy, so that it is well whatever happens to `replica`. */
function open(): PostgresPools<'primary' | 'replica'> {
  return scene.closing(createPools({ primary: scene.directUrl, replica: scene.url }, { resilience }))
}

async function noBackends(): Promise<void> {
  await until(async () => (await scene.backends()).length === 0, { what: 'no backend to be left' })
}

afterEach(noBackends)

describe('start', () => {
  it('opens what each pool keeps, and nothing before', async () => {
    const pools = open()
    expect(await scene.backends()).toHaveLength(0)
    await pools.start()
    expect(await scene.backends()).toHaveLength(4)
    expect(pools.stats()).toMatchObject({ primary: { idle: 2 }, replica: { idle: 2 } })
  })

  it('called several times at once makes one set of backends', async () => {
    const names = ['a', 'b', 'c']
    const named = names.map((name) => {
      const url = new URL(scene.url)
      url.searchParams.set('application_name', `registry ${name}`)
      return [name, url.href] as const
    })
    const pools = scene.closing(createPools(Object.fromEntries(named), { resilience }))
    await Promise.all(Array.from({ length: 10 }, () => pools.start()))
    const counts = names.map(async (name) => (await backends(scene.admin, `registry ${name}`)).length)
    expect(await Promise.all(counts)).toEqual([2, 2, 2])
    await pools.start()
    expect(scene.proxy.accepted).toBe(6)
    await pools.close()
    const left = names.map((name) => () => backends(scene.admin, `registry ${name}`))
    for (const look of left) await until(async () => (await look()).length === 0, { what: 'its backends to be gone' })
  })

  it('with one server that refuses starts none, says which, and leaves no backend', async () => {
    scene.proxy.refuse('closed')
    const pools = open()
    const [primary, replica] = [pools.get('primary'), pools.get('replica')]
    const error = await within(10_000, errorOf(pools.start({ failFast: true })))
    if (!(error instanceof ConnectError) || !(error.cause instanceof AggregateError)) throw error
    expect(error.message).toMatch(/^1 of 2 pools could not be started: replica \(.*ECONNREFUSED/)
    expect(error).toMatchObject({ code: 'ECONNREFUSED', retry: 'reconnect' })
    expect(error.cause.errors).toMatchObject([{ name: 'ConnectError', code: 'ECONNREFUSED' }])
    expect([primary.closed, replica.closed]).toEqual([true, true])
    expect(primary.stats()).toMatchObject({ created: 2, idle: 0, leased: 0, connecting: 0 })
    await noBackends()
  })

  it('succeeds with new pools once the server is back', async () => {
    scene.proxy.refuse('closed')
    const pools = open()
    const failed = errorOf(pools.start({ failFast: true }))
    expect(await failed).toBeInstanceOf(ConnectError)
    await scene.proxy.restore()
    await pools.start({ failFast: true })
    expect(await scene.backends()).toHaveLength(4)
    const client = createClient(pools.get('replica'))
    expect(await client`select 1 as n`).toMatchObject([{ n: 1 }])
  })

  it('goes on trying without failFast, until the server is back', async () => {
    scene.proxy.refuse('closed')
    const pools = open()
    const started = pools.start()
    await until(() => pools.get('replica').stats().connectFailures > 0, { what: 'a connect to fail' })
    await scene.proxy.restore()
    await started
    expect(await scene.backends()).toHaveLength(4)
  })
})

describe('close', () => {
  it('lets go of every backend, and refuses everything afterwards', async () => {
    const pools = open()
    await pools.start()
    await pools.close()
    await noBackends()
    expect(scene.proxy.open).toBe(0)
    expect(await errorOf(pools.start())).toBeInstanceOf(PoolClosedError)
    expect(await errorOf(pools.get('primary').acquire())).toBeInstanceOf(PoolClosedError)
  })

  it('during a start ends it, within its limit, and leaves nothing', async () => {
    scene.proxy.refuse('silent')
    const pools = open()
    const started = errorOf(pools.start())
    await until(() => scene.proxy.accepted > 0, { what: 'the connect' })
    await within(5_000, pools.close({ timeoutMs: 500 }))
    expect(await started).toBeInstanceOf(PoolClosedError)
    await noBackends()
  })

  it('gives all pools the same time, not one after the other', async () => {
    const pools = open()
    const leases = await Promise.all(pools.names.map((name) => pools.get(name).acquire()))
    let ended = false
    const closed = pools.close({ timeoutMs: 10_000 }).then(() => {
      ended = true
    })
    expect(pools.names.map((name) => pools.get(name).closed)).toEqual([true, true])
    leases[1]?.release()
    await until(() => pools.get('replica').stats().leased === 0, { what: 'one pool to have closed' })
    expect(ended).toBe(false)
    leases[0]?.release()
    await within(5_000, closed)
  })
})

it('tells the health of each pool, and the worst of them', async () => {
  const pools = open()
  await pools.start()
  expect(await pools.health()).toMatchObject({
    status: 'healthy',
    pools: { primary: { status: 'healthy' }, replica: { status: 'healthy' } },
  })
  scene.proxy.refuse('closed')
  scene.proxy.resetAll()
  const health = await pools.health()
  expect(health.status).toBe('unhealthy')
  expect([health.pools.primary.status, health.pools.replica.status]).toEqual(['healthy', 'unhealthy'])
  expect(health.pools.replica.reasons).not.toEqual([])
})

it('calls a pool by its key in events', async () => {
  const seen = new Set<unknown>()
  const listener = (event: unknown) => {
    if (typeof event === 'object' && event !== null && 'pool' in event) seen.add(event.pool)
  }
  subscribe('moorings:connection:opened', listener)
  try {
    await open().start()
  } finally {
    unsubscribe('moorings:connection:opened', listener)
  }
  expect([...seen].sort()).toEqual(['primary', 'replica'])
})

describe('a shared pool', () => {
  const answers = [1, 2, 3, 4, 5, 6, 7]
  const well = { output: '', code: 0, signal: null }

  it('is found again by a module that is evaluated anew: no backend more', async () => {
    const ended = await runChild(scene, 'reloading', 'a module evaluated anew', { url: scene.directUrl })
    expect(ended).toMatchObject({
      ...well,
      report: {
        left: [],
        notes: { backends: [2, 2, 2, 2, 2], answers: Array(5).fill(answers), pools: 1, classes: 1, modules: 5 },
      },
    })
  })

  it('without sharing there are more with each', async () => {
    const program = 'a module evaluated anew, without sharing'
    const ended = await runChild(scene, 'reloading', program, { url: scene.directUrl })
    expect(ended).toMatchObject({ ...well, report: { left: [], notes: { backends: [2, 4, 6, 8, 10], pools: 5 } } })
  })

  it('is found again, and taken by both ORMs, when the packages were evaluated anew as well', async () => {
    const ended = await runChild(scene, 'reloading', 'everything evaluated anew', { url: scene.directUrl })
    expect(ended).toMatchObject({
      ...well,
      report: {
        left: [],
        notes: { backends: [2, 2, 2, 2, 2], answers: Array(5).fill(answers), pools: 1, modules: 5 },
      },
    })
  })

  it('gives way to one of other options; who is on the old one may finish', async () => {
    const ended = await runChild(scene, 'reloading', 'a module edited', { url: scene.directUrl })
    expect(ended).toMatchObject({
      ...well,
      report: {
        left: [],
        errors: ['PoolClosedError'],
        notes: {
          closed: [true, false],
          max: 3,
          'under way': 7,
          answers,
          backends: 2,
          'found again': true,
        },
      },
    })
  })
})
