// T11: a call chain is followed through everything it awaits or starts, and through nothing else.

import { EventEmitter, on, once } from 'node:events'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setImmediate as immediate, setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it } from '@jest/globals'
import { afterCommit, currentTransaction, outsideTransaction } from '@moorings/core'
import { atRest, named, openJoint, pairs, pidOf, type RootName, rootNames, seenBy, undone } from './joint.js'
import { errorOf, gate, useScene } from './scene.js'

const scene = useScene()

type Ask = () => Promise<number>

/** Ways from a body to a query, each asked for in the body and resolved with what the query has met. */
const ways: Record<string, (ask: Ask) => Promise<number>> = {
  await: async (ask) => {
    await Promise.resolve()
    await undefined
    return ask()
  },
  'a callback of then': (ask) => Promise.resolve().then(ask),
  setTimeout: (ask) => new Promise((resolve, reject) => void setTimeout(() => ask().then(resolve, reject), 1)),
  'timers/promises': async (ask) => {
    await pause(1)
    await immediate()
    return ask()
  },
  setInterval: (ask) =>
    new Promise((resolve, reject) => {
      const timer = setInterval(() => {
        clearInterval(timer)
        ask().then(resolve, reject)
      }, 1)
    }),
  setImmediate: (ask) => new Promise((resolve, reject) => void setImmediate(() => ask().then(resolve, reject))),
  'process.nextTick': (ask) => new Promise((resolve, reject) => process.nextTick(() => ask().then(resolve, reject))),
  queueMicrotask: (ask) => new Promise((resolve, reject) => queueMicrotask(() => ask().then(resolve, reject))),
  'an event emitter': (ask) =>
    new Promise((resolve, reject) => {
      const bus = new EventEmitter()
      bus.on('told', () => ask().then(resolve, reject))
      setImmediate(() => bus.emit('told'))
    }),
  'events.once': async (ask) => {
    const bus = new EventEmitter()
    setImmediate(() => bus.emit('told'))
    await once(bus, 'told')
    return ask()
  },
  'events.on': async (ask) => {
    const bus = new EventEmitter()
    setImmediate(() => bus.emit('told'))
    for await (const _ of on(bus, 'told')) return ask()
    throw new Error('nothing was told')
  },
  'an EventTarget': (ask) =>
    new Promise((resolve, reject) => {
      const target = new EventTarget()
      target.addEventListener('told', () => void ask().then(resolve, reject))
      setImmediate(() => target.dispatchEvent(new Event('told')))
    }),
  'an async generator': async (ask) => {
    async function* asked() {
      yield await ask()
    }
    for await (const pid of asked()) return pid
    throw new Error('nothing was yielded')
  },
  'a stream': async (ask) => {
    let pid = 0
    await pipeline(Readable.from(['chunk']), async (chunks) => {
      for await (const _ of chunks) pid = await ask()
    })
    return pid
  },
  'Promise.all': async (ask) => {
    const [first, ...others] = await Promise.all([ask(), ask(), ask()])
    expect(others).toEqual([first, first])
    return first ?? 0
  },
  'a query of its own before': async (ask) => {
    await ask()
    return ask()
  },
}

/** An emitter that is older than the transaction: its listener is called in the chain of whoever emits. */
const bus = new EventEmitter()

describe.each(pairs)('T11: from withTransaction of %s to the root database of %s', (name, asked) => {
  it.each(Object.keys(ways))('through %s', async (way) => {
    const { roots } = openJoint(scene, 2)
    await roots[name].withTransaction(async (tx) => {
      const pid = await pidOf(tx)
      expect(await named(ways, way)(() => pidOf(roots[asked]))).toBe(pid)
    })
  })

  it('through a listener that was there before', async () => {
    const { roots } = openJoint(scene, 2)
    let heard: Promise<number> | undefined
    const listener = () => {
      heard = pidOf(roots[asked])
    }
    bus.on('written', listener)
    try {
      await roots[name].withTransaction(async (tx) => {
        const pid = await pidOf(tx)
        bus.emit('written')
        expect(await heard).toBe(pid)
      })
    } finally {
      bus.off('written', listener)
    }
  })

  it('those that run side by side join each its own', async () => {
    const { roots, pool } = openJoint(scene, 4)
    const one = async (mark: string, keep: boolean) => {
      const run = async (fail: () => never) =>
        roots[name].withTransaction(async (tx) => {
          await roots[asked].insert(`${mark} first`)
          await pause(1)
          expect(await seenBy(tx)).toEqual([`${mark} first`])
          await Promise.all([roots[asked].insert(`${mark} second`), roots[name].insert(`${mark} third`)])
          expect(await pidOf(roots[asked])).toBe(await pidOf(tx))
          // Only once every one of them is in the midst of it may the first commit.
          arrived.push(mark)
          if (arrived.length === 4) all.open()
          await all.opened
          if (!keep) fail()
        })
      if (keep) {
        await run(() => {
          throw new Error('it was to be kept')
        })
      } else await undone(run)
    }
    const arrived: string[] = []
    const all = gate()
    await Promise.all([one('a', true), one('b', false), one('c', true), one('d', false)])
    const kept = ['a', 'c'].flatMap((mark) => ['first', 'second', 'third'].map((which) => `${mark} ${which}`))
    expect(await scene.marks()).toEqual(kept)
    expect(pool.stats()).toMatchObject({ leased: 0, transactions: { committed: 2, rolledBack: 2 } })
  })
})

describe.each(rootNames)('T11: what withTransaction of %s does not reach', (name: RootName) => {
  it('work that began before it, and goes on beside it', async () => {
    const joint = openJoint(scene, 2)
    const { [name]: root } = joint.roots
    const within = gate()
    const done = gate()
    const beside = (async () => {
      await within.opened
      await root.insert('beside')
      expect(currentTransaction()).toBeUndefined()
      const pid = await pidOf(root)
      done.open()
      return pid
    })()
    await undone((fail) =>
      root.withTransaction(async (tx) => {
        const pid = await pidOf(tx)
        await tx.insert('undone')
        within.open()
        await done.opened
        expect(await beside).not.toBe(pid)
        fail()
      }),
    )
    expect(await scene.marks()).toEqual(['beside'])
  })

  it('its caller, once it has ended', async () => {
    const joint = openJoint(scene, 1)
    const { [name]: root } = joint.roots
    await undone((fail) =>
      root.withTransaction(async (tx) => {
        await tx.insert('undone')
        fail()
      }),
    )
    expect(currentTransaction()).toBeUndefined()
    await root.insert('after')
    expect(await scene.marks()).toEqual(['after'])
  })

  it('work that it has started, once it is committed: that runs on a connection of its own', async () => {
    const joint = openJoint(scene, 1)
    const { [name]: root } = joint.roots
    const ended = gate()
    let late: Promise<void> | undefined
    await root.withTransaction(async (tx) => {
      await tx.insert('committed')
      late = ended.opened.then(async () => {
        expect(currentTransaction()).toBeUndefined()
        await undone((fail) =>
          root.withTransaction(async (own) => {
            await own.insert('undone, in one of its own')
            fail()
          }),
        )
        await root.insert('late')
        await afterCommit(() => root.insert('late, after no commit'))
      })
    })
    ended.open()
    await late
    expect(await scene.marks()).toEqual(['committed', 'late', 'late, after no commit'])
    expect(joint.pool.stats()).toMatchObject({ leased: 0 })
  })

  it('work that it has started, once it was rolled back: that is refused, and stays undone with it', async () => {
    const joint = openJoint(scene, 1)
    const { [name]: root } = joint.roots
    const ended = gate()
    const refused: Promise<unknown>[] = []
    await undone((fail) =>
      root.withTransaction(async (tx) => {
        await tx.insert('undone')
        const late = [
          () => root.insert('late'),
          () => root.withTransaction((own) => own.insert('late, in one of its own')),
          () => afterCommit(() => root.insert('late, after no commit')),
        ]
        for (const work of late) refused.push(errorOf(ended.opened.then(work)))
        fail()
      }),
    )
    ended.open()
    for (const error of await Promise.all(refused)) expect(error).toMatchObject({ name: 'TransactionEndedError' })
    expect(await scene.marks()).toEqual([])
    expect(joint.pool.stats()).toMatchObject({ leased: 0 })
  })

  it('what is run outside of it, which begins transactions of its own', async () => {
    const joint = openJoint(scene, 2)
    const { [name]: root } = joint.roots
    await undone((fail) =>
      root.withTransaction(async (tx) => {
        const pid = await pidOf(tx)
        await outsideTransaction(async () => {
          expect(currentTransaction()).toBeUndefined()
          expect(await pidOf(root)).not.toBe(pid)
          await root.insert('1 outside')
          await root.withTransaction(async (own) => {
            expect(await pidOf(own)).not.toBe(pid)
            await root.insert('2 joined the one outside')
          })
          // The handle is what it is, wherever it is used.
          expect(await pidOf(tx)).toBe(pid)
        })
        expect(await pidOf(root)).toBe(pid)
        await root.insert('undone')
        fail()
      }),
    )
    expect(await scene.marks()).toEqual(['1 outside', '2 joined the one outside'])
    await atRest(joint)
  })
})
