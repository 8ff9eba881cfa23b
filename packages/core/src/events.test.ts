// Nothing is built unless somebody listens.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, expect, it } from '@jest/globals'
import { hears, publish } from './events.js'

const pool = { pool: 'shop', poolId: 7 }

describe('publish', () => {
  it('builds nothing while nobody listens', () => {
    let built = 0
    const build = () => ({ id: ++built, heldMs: 1 })
    publish('moorings:lease:returned', pool, build)
    expect(hears('moorings:lease:returned')).toBe(false)
    const seen: unknown[] = []
    const listener = (event: unknown) => seen.push(event)
    subscribe('moorings:lease:returned', listener)
    expect(hears('moorings:lease:returned')).toBe(true)
    publish('moorings:lease:returned', pool, build)
    publish('moorings:lease:taken', pool, () => {
      throw new Error('nobody listens to this one')
    })
    unsubscribe('moorings:lease:returned', listener)
    publish('moorings:lease:returned', pool, build)
    expect(seen).toEqual([{ pool: 'shop', poolId: 7, id: 1, heldMs: 1 }])
    expect(built).toBe(1)
  })

  it('carries the pool’s name and number, and nothing else of whatever bears them', () => {
    const seen: unknown[] = []
    const listener = (event: unknown) => seen.push(event)
    subscribe('moorings:pool:suspended', listener)
    publish('moorings:pool:suspended', { ...pool, ...{ secret: 'sesame' } }, () => ({ refuseAfterMs: 0 }))
    unsubscribe('moorings:pool:suspended', listener)
    expect(seen).toEqual([{ pool: 'shop', poolId: 7, refuseAfterMs: 0 }])
  })
})
