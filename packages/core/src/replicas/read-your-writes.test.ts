// Who has written reads what it wrote: on fake drivers, with transactions of core's own.

import { describe, expect, it } from '@jest/globals'
import { InvalidOptionsError } from '../errors.js'
import { ticket } from '../testing/committing.js'
import { checkedScene, type ReplicatedScene } from '../testing/replicated-scene.js'
import { noteWrite, type ReadYourWritesOptions, readsItsWrites, withReadYourWrites } from './read-your-writes.js'

async function readAt({ replicas }: ReplicatedScene): Promise<string> {
  const lease = replicas.tryAcquire() ?? (await replicas.acquire({ brief: true }))
  const { host } = lease.connection.endpoint
  lease.release()
  return host
}

describe('withReadYourWrites', () => {
  it('reads from replicas until something is written, and from the primary from then on', async () => {
    const scene = await checkedScene()
    const { pool } = scene.primary
    await withReadYourWrites(async (scope) => {
      expect(await readAt(scene)).toMatch('replica')
      expect(scope.hasWritten).toBe(false)
      await pool.transaction(async (tx) => tx.connection.statement('insert'))
      expect(scope.hasWritten).toBe(true)
      expect(await readAt(scene)).toBe('primary')
    })
    expect(await readAt(scene)).toMatch('replica')
    expect(scene.replicas.stats()).toMatchObject({ afterWrites: 1, fellBack: 0 })
  })

  it('is of no consequence to others that read at the same time', async () => {
    const scene = await checkedScene()
    await Promise.all([
      withReadYourWrites(async () => {
        noteWrite(scene.primary.pool)
        expect(await readAt(scene)).toBe('primary')
      }),
      withReadYourWrites(async () => expect(await readAt(scene)).toMatch('replica')),
    ])
  })

  it('takes a transaction for a write that is not known to have written nothing', async () => {
    const scene = await checkedScene()
    const { pool } = scene.primary
    await withReadYourWrites(async (scope) => {
      await pool.transaction((tx) => {
        tx.connection.ticket = 'nothing'
      })
      expect(scope.hasWritten).toBe(false)
      await pool.transaction((tx) => {
        tx.connection.ticket = ticket
      })
      expect(scope.hasWritten).toBe(true)
    })
  })

  it('takes one that is rolled back for none', async () => {
    const scene = await checkedScene()
    await withReadYourWrites(async (scope) => {
      const failing = scene.primary.pool.transaction(async () => {
        throw new Error('no')
      })
      await expect(failing).rejects.toThrow('no')
      expect(scope.hasWritten).toBe(false)
    })
  })

  it('hears of a write in whatever it awaits, also in one that is inside of it', async () => {
    const scene = await checkedScene()
    const { pool } = scene.primary
    await withReadYourWrites(async (outer) => {
      await Promise.all([
        withReadYourWrites(async (inner) => {
          await pool.transaction(() => {})
          expect(inner.hasWritten).toBe(true)
        }),
      ])
      expect(outer.hasWritten).toBe(true)
      expect(await readAt(scene)).toBe('primary')
    })
  })

  it('knows of a write before it where it is told so, and does not take that for one of its own', async () => {
    const scene = await checkedScene()
    await withReadYourWrites(
      async (scope) => {
        expect(await readAt(scene)).toBe('primary')
        expect(scope.hasWritten).toBe(false)
        await scene.primary.pool.transaction(async (tx) => tx.connection.statement('insert'))
        expect(scope.hasWritten).toBe(true)
      },
      { hasWritten: true },
    )
  })

  it('leaves the replicas of another database alone', async () => {
    const [scene, other] = [await checkedScene(), await checkedScene()]
    await withReadYourWrites(async () => {
      noteWrite(other.primary.pool)
      expect(await readAt(scene)).toMatch('replica')
      expect(await readAt(other)).toBe('primary')
    })
  })

  it('gives back what its body does, begins what that returns inside of it, and is over after it', async () => {
    expect(withReadYourWrites(() => 7)).toBe(7)
    const lazy: PromiseLike<boolean> = Object.create(Promise.resolve(), {
      // biome-ignore lint/suspicious/noThenProperty: as Drizzle's queries are
      then: { value: (done: (inside: boolean) => void) => done(readsItsWrites()) },
    })
    expect(await withReadYourWrites(() => lazy)).toBe(true)
    expect(readsItsWrites()).toBe(false)
    noteWrite({})
  })

  it('says so at once when it is given no function', () => {
    const given: unknown = Promise.resolve()
    expect(() => withReadYourWrites(given as () => void)).toThrow(InvalidOptionsError)
  })

  it.each([
    [{ haswritten: true }, 'options.haswritten: given true; allowed: nothing by this name; did you mean hasWritten?'],
    [{ hasWritten: '1' }, 'options.hasWritten: given "1"; allowed: true or false'],
    [null, 'options: given null; allowed: an object'],
  ])('says so at once when it is given %j, which would be taken for nothing', (options: unknown, message) => {
    expect(() => withReadYourWrites(() => 7, options as ReadYourWritesOptions)).toThrow(message)
  })
})
