// A caller that holds the pool's last connection and waits for another one. On a real server, through both ORMs.

import { describe, expect, it } from '@jest/globals'
import { SelfDeadlockError } from '@moorings/core'
import { type Orm, orms } from './orms.js'
import { errorOf, useScene } from './scene.js'

const scene = useScene()
const one = { pool: { max: 1, overflow: 0, acquireTimeoutMs: 60_000 } }

/** Kysely runs the body of a controlled transaction in the application's own call chain, out of its sight and ours. */
const telling = orms.filter(({ name }) => !name.includes('controlled'))

describe.each(telling)('$name', (orm: Orm) => {
  it('P8: the root used inside a transaction on a pool of one is told as a self-deadlock, long before the timeout', async () => {
    const db = scene.open(orm, one)
    const error = await errorOf(
      db.transaction(async (tx) => {
        await tx.insert('undone')
        await db.insert('never')
      }),
    )
    expect(error).toBeInstanceOf(SelfDeadlockError)
    expect(error).toHaveProperty('message', expect.stringMatching(/taken at .*integration\/\w+\.ts:\d+/))
    expect(await scene.marks()).toEqual([])
    await db.insert('after')
    expect(await scene.marks()).toEqual(['after'])
  })

  it('P8: what a transaction starts on the side, and goes on working without, waits until it is over', async () => {
    const db = scene.open(orm, one)
    let aside: Promise<void> | undefined
    await db.transaction(async (tx) => {
      aside = db.insert('aside')
      for (let i = 0; i < 15; i++) await tx.query('select pg_sleep(0.1)')
      await tx.insert('inside')
    })
    await aside
    expect(await scene.marks()).toEqual(['aside', 'inside'])
  })

  it('P8: two transactions that each wait for one more: one is told, the other goes through', async () => {
    const db = scene.open(orm, { pool: { max: 2, overflow: 0, acquireTimeoutMs: 60_000 } })
    const both = ['a', 'b'].map((mark) =>
      db.transaction(async (tx) => {
        await tx.insert(`${mark} inside`)
        await db.insert(`${mark} outside`)
      }),
    )
    const ends = await Promise.allSettled(both)
    expect(ends.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    const failed = ends.find((end) => end.status === 'rejected')
    expect(failed?.reason).toBeInstanceOf(SelfDeadlockError)
    expect(await scene.marks()).toHaveLength(2)
  })
})
