// What an application has without Moorings, under the same faults: whoever does again what failed does twice what was
// done. So the checker can fail, and where it should.

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type FaultProxy, startProxy, targetOf } from '../support/proxy.js'
import { useDatabase } from '../support/use-database.js'
import { cuts } from './commit-faults.js'
import { type Place, run } from './run.js'
import { stockDrizzle, stockKysely } from './stock.js'
import { counted } from './verdict.js'

const database = useDatabase()
let proxy: FaultProxy
let place: Place

beforeAll(async () => {
  proxy = await startProxy({ target: targetOf(database.url) })
  place = { url: database.url, admin: database.admin, proxy }
})
afterAll(() => proxy.close())

const seed = Math.floor(Math.random() * 2 ** 31)
const resets = [...cuts('reset'), ...cuts('fin')]

describe.each([stockDrizzle, stockKysely])('$name', (subject) => {
  it('without faults: each transfer is there once', async () => {
    const { verdict, struck } = await run(place, {
      subject,
      faults: [],
      share: 0,
      seed,
      transfers: 100,
      hangMs: 20_000,
    })
    expect(verdict).toMatchObject({ findings: [], told: { acknowledged: 100 } })
    expect(struck).toEqual({})
  })

  it('connections are cut at COMMIT: what was done before the cut is done again', async () => {
    const result = await run(place, { subject, faults: resets, seed, transfers: 100, hangMs: 20_000 })
    const { verdict, history } = result
    const doneBeforeTheCut = ({ struck }: { struck: readonly string[] }) =>
      struck.some((name) => /^(nothing after the request|answer lost)/.test(name))
    const expected = history.filter(doneBeforeTheCut).length
    // Each of them, and nothing else: so the faults are what their names say.
    expect({ seed, counted: counted(verdict.findings) }).toEqual({ seed, counted: { duplicate: expected } })
    expect(expected).toBeGreaterThan(0)
  })

  it('connections are lost in a black hole at COMMIT: callers hang', async () => {
    const limits = { transfers: 100, workers: 4, hangMs: 1_000, mostHangs: 2 }
    const { verdict, history } = await run(place, { subject, faults: cuts('swallow'), seed, ...limits })
    expect(counted(verdict.findings).hang).toBeGreaterThanOrEqual(2)
    expect(history.length).toBeLessThan(100)
  })
})

it('the same seed strikes the same transfers, whoever makes them', async () => {
  const options = { faults: resets, seed, transfers: 50, workers: 8, hangMs: 20_000 }
  const strikes = async (subject: typeof stockDrizzle) => {
    const { history } = await run(place, { ...options, subject })
    return Object.fromEntries(history.map(({ transfer, struck }) => [transfer.id, struck]))
  }
  expect(await strikes(stockDrizzle)).toEqual(await strikes(stockKysely))
})
