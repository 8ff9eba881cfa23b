// What a breaker tells of itself, and to whom.

import { describe, expect, it } from '@jest/globals'
import { logEvents } from '../logger.js'
import { type Breaking, breaking, broken, fail, halfOpen, succeed, watched } from '../testing/breaking.js'
import type { BreakerEvent } from '../testing/event-scenes.js'
import { listening } from '../testing/events.js'

/** Everything that breakers tell meanwhile, in order. */
async function told(during: () => Promise<void>): Promise<unknown[]> {
  const all: unknown[] = []
  const hear = (event: BreakerEvent) => (details: object) => all.push({ event: event.slice(17), ...details })
  const events = ['moorings:breaker:opened', 'moorings:breaker:half-opened', 'moorings:breaker:closed'] as const
  const listened = events.reduceRight((inner, event) => () => listening(event, hear(event), inner), during)
  await listened()
  return all
}

const owner = { pool: 'orders', poolId: 17 }
const opened = { event: 'opened', byHand: false, again: false }
const lastError = { name: 'ConnectError', code: 'ECONNREFUSED' }

describe('F4: events', () => {
  it('F4: tell an outage from its beginning to its end, and whose breaker it is', async () => {
    const { breaker, clock } = breaking({ owner })
    const identity = { ...owner, breaker: breaker.name, kind: 'database' }
    const seen = await told(async () => {
      await fail(breaker, 5)
      await watched(breaker, () => 'refused')
      await clock.advance(1_000)
      await fail(breaker)
      await clock.advance(1_000)
      await succeed(breaker)
      await succeed(breaker)
    })
    expect(seen).toEqual([
      { ...identity, ...opened, retryInMs: 1_000, lastError },
      { ...identity, event: 'half-opened', openMs: 1_000 },
      { ...identity, ...opened, again: true, retryInMs: 1_000, lastError },
      { ...identity, event: 'half-opened', openMs: 2_000 },
      { ...identity, event: 'closed', byHand: false, openMs: 2_000 },
    ])
  })

  it('F4: tell what was done by hand, and nothing where that changed nothing', async () => {
    const { breaker, clock } = breaking()
    const seen = await told(async () => {
      breaker.reset()
      breaker.forceOpen()
      breaker.forceOpen()
      await clock.advance(70)
      breaker.forceClose()
      breaker.forceClose()
      breaker.reset()
      breaker.reset()
    })
    expect(seen).toMatchObject([
      { event: 'opened', byHand: true, again: false, retryInMs: undefined },
      { event: 'closed', byHand: true, openMs: 70 },
      { event: 'closed', byHand: true, openMs: 0 },
    ])
  })

  it.each<[string, () => Promise<Breaking>]>([
    ['open', () => broken()],
    ['half-open', () => halfOpen()],
  ])('F4: tell nothing of a shutdown of one that was %s', async (_state, make) => {
    const { breaker, clock } = await make()
    const seen = await told(async () => {
      breaker.shutdown()
      await clock.advance(10_000)
    })
    expect(seen).toEqual([])
  })

  it('F4: are heard when everything is done: a listener may do something to the breaker itself', async () => {
    const { breaker, clock } = breaking()
    await listening(
      'moorings:breaker:opened',
      () => breaker.forceClose(),
      () => fail(breaker, 5),
    )
    await clock.advance(10_000)
    expect([breaker.state, clock.pending]).toEqual(['forced-closed', 0])
  })

  it('F4: of a pool’s breaker are written to that pool’s logger, and no other’s', async () => {
    const lines: [string, string, object][] = []
    const write = (level: string) => (fields: object, message: string) => lines.push([level, message, fields])
    const logger = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
    const stop = logEvents(owner, logger)
    await broken({ owner: { pool: 'orders', poolId: 18 } })
    await broken()
    const { breaker } = await broken({ owner })
    stop()
    expect(lines).toEqual([
      [
        'warn',
        'A breaker opened',
        expect.objectContaining({ pool: 'orders', poolId: 17, breaker: breaker.name, error: lastError }),
      ],
    ])
  })
})
