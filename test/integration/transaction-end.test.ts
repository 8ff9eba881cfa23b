// T3: what has ended carries nothing any more. The proxy's list of statements is the witness of what was sent.

import { describe, expect, it } from '@jest/globals'
import { TransactionEndedError } from '@moorings/core'
import { type Orm, padded, type Tx, transactional } from './orms.js'
import { errorOf, outcome, useScene } from './scene.js'

const scene = useScene()
const single = { pool: { min: 1, max: 1, overflow: 0 } }
/** More than the driver keeps back to send together: written to the socket at once. */
const longEnough = 2_000

async function ticks(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await undefined
}

function isBegin(sql: string): boolean {
  return /^(begin|start transaction)/.test(sql)
}

function isEnd(sql: string): boolean {
  return sql === 'commit' || sql === 'rollback'
}

/** Those of the statements that were sent between two transactions. */
function sentOutside(statements: readonly string[], pattern: RegExp): string[] {
  let open = false
  return statements.filter((sql) => {
    if (isBegin(sql)) open = true
    if (isEnd(sql)) open = false
    return !open && pattern.test(sql)
  })
}

describe.each(transactional)('$name', (orm: Orm) => {
  it.each(['commit', 'rollback'] as const)('T3: a handle used after %s rejects, and nothing is sent', async (end) => {
    const db = scene.open(orm, single)
    let kept: Tx | undefined
    await outcome(
      db.transaction(async (tx) => {
        kept = tx
        await tx.insert('inside')
        if (end === 'rollback') throw new Error('undo')
      }),
    )
    const sent = scene.proxy.statements.length
    const error = await errorOf(kept?.insert('late') ?? Promise.resolve())
    // Kysely refuses it before we are asked, in words of its own.
    if (orm.name === 'drizzle') expect(error).toBeInstanceOf(TransactionEndedError)
    else expect(String(error)).toMatch(/Transaction is already (committed|rolled back)/)
    await errorOf(kept?.query('select 1') ?? Promise.resolve())
    await db.query('select 2')
    expect(scene.proxy.statements.slice(sent)).toEqual(['select 2'])
    expect(await scene.marks()).toEqual(end === 'commit' ? ['inside'] : [])
  })

  it('T3: what is sent with a BEGIN that does not arrive is not carried out, and the next transaction works', async () => {
    const db = scene.open(orm, single)
    await db.query('select 1')
    scene.proxy.cutWhen({
      direction: 'to-server',
      match: (_, { executes }) => executes !== undefined && isBegin(executes),
      when: 'before',
      how: 'reset',
    })
    const seen = await outcome(db.transaction((tx) => tx.insert('first')))
    // It may have been tried again as a whole.
    const first = 'value' in seen ? ['first'] : []
    await db.transaction((tx) => tx.insert('next'))
    expect(sentOutside(scene.proxy.statements, /insert/)).toEqual([])
    expect(await scene.marks()).toEqual([...first, 'next'])
  })

  it.each([
    ['commit', 0],
    ['commit', longEnough],
    ['rollback', 0],
    ['rollback', longEnough],
  ] as const)(
    'T3: a statement sent while %s is under way is part of the transaction or refused (padded to %i)',
    async (end, length) => {
      const db = scene.open(orm, single)
      const accepted: string[] = []
      for (let delay = 0; delay < 40; delay++) {
        const mark = `stray ${String(delay).padStart(2, '0')}`
        let stray: Promise<unknown> = Promise.resolve()
        await outcome(
          db.transaction(async (tx) => {
            await tx.query('select 1')
            stray = outcome(
              ticks(delay).then(() => tx.query(padded(`insert into marks values ('${mark}')`, length))),
            ).then((seen) => {
              if ('value' in seen) accepted.push(mark)
            })
            if (end === 'rollback') throw new Error('undo')
          }),
        )
        await stray
      }
      expect(sentOutside(scene.proxy.statements, /stray/)).toEqual([])
      expect(await scene.marks()).toEqual(end === 'commit' ? accepted : [])
    },
  )
})

describe('drizzle', () => {
  const [drizzle] = transactional
  it.each(['released', 'rolled back'] as const)(
    'T3: the handle of a nested transaction that was %s rejects',
    async (how) => {
      if (drizzle === undefined) throw new Error('no drizzle')
      const db = scene.open(drizzle, single)
      let late: unknown
      await outcome(
        db.transaction(async (tx) => {
          let kept: Tx | undefined
          await outcome(
            tx.nested(async (nested) => {
              kept = nested
              await nested.insert('nested')
              if (how === 'rolled back') throw new Error('undo')
            }),
          )
          late = await errorOf(kept?.insert('after the nested one') ?? Promise.resolve()).catch((e: unknown) => e)
        }),
      )
      expect(late).toBeInstanceOf(TransactionEndedError)
      expect(await scene.marks()).toEqual(how === 'released' ? ['nested'] : [])
    },
  )
})
