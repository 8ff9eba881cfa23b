// What a transaction makes of the one it is asked for in.

import { describe, expect, it } from '@jest/globals'
import { InvalidOptionsError, PropagationError } from '../errors.js'
import { outsideTransaction } from '../scope.js'
import { retrying, turns } from '../testing/retrying.js'
import { watch } from '../testing/watch.js'
import type { Propagation, TransactionOptions } from './transaction-options.js'

type Found = 'new' | 'savepoint' | 'joined' | 'none' | 'refused'

/** What becomes of one that is asked for, and what was sent on each connection. */
async function asked(propagation: Propagation, inside: boolean): Promise<{ found: Found; sent: string[][] }> {
  const { pool, driver } = retrying()
  let found: Found = 'refused'
  const ask = () =>
    pool.transaction(
      ({ connection }) => connection.statement('work'),
      { propagation },
      {
        without: async () => {
          found = pool.joinable === undefined ? 'none' : 'joined'
        },
      },
    )
  const result = watch(
    inside
      ? pool.transaction(async ({ connection }) => {
          await connection.statement('before')
          await ask()
        })
      : ask(),
  )
  await turns()
  const sent = driver.connections.map((connection) => connection.sent)
  const [first = [], second] = sent
  if (result.state === 'rejected') {
    expect(result.error).toBeInstanceOf(PropagationError)
    expect(String(result.error)).toContain(`'${propagation}'`)
  } else if (second !== undefined || (!inside && first.length > 0)) found = 'new'
  else if (first.some((text) => text.startsWith('savepoint'))) found = 'savepoint'
  else if (first.includes('work')) found = 'joined'
  return { found, sent }
}

const begun = ['begin', 'work', 'commit']
const alone = ['begin', 'before', 'commit']

describe('inside of a transaction', () => {
  it.each<[Propagation, Found, string[][]]>([
    ['nested', 'savepoint', [['begin', 'before', 'savepoint s0', 'work', 'release s0', 'commit']]],
    ['required', 'joined', [['begin', 'before', 'work', 'commit']]],
    ['supports', 'joined', [['begin', 'before', 'work', 'commit']]],
    ['mandatory', 'joined', [['begin', 'before', 'work', 'commit']]],
    ['requiresNew', 'new', [alone, begun]],
    ['notSupported', 'none', [alone]],
    ['never', 'refused', [['begin', 'before', 'rollback']]],
  ])('%s is %s', async (propagation, found, sent) => {
    await expect(asked(propagation, true)).resolves.toEqual({ found, sent })
  })
})

describe('outside of any', () => {
  it.each<[Propagation, Found, string[][]]>([
    ['nested', 'new', [begun]],
    ['required', 'new', [begun]],
    ['requiresNew', 'new', [begun]],
    ['supports', 'none', []],
    ['never', 'none', []],
    ['notSupported', 'none', []],
    ['mandatory', 'refused', []],
  ])('%s is %s', async (propagation, found, sent) => {
    await expect(asked(propagation, false)).resolves.toEqual({ found, sent })
  })
})

describe('one that is to be none', () => {
  it('is refused where nothing is said of what to do then', async () => {
    for (const propagation of ['supports', 'never', 'notSupported'] as const) {
      const { pool, driver } = retrying()
      const result = watch(pool.transaction(() => {}, { propagation }))
      await turns()
      expect(result.error).toBeInstanceOf(InvalidOptionsError)
      expect(result.error).toMatchObject({ problems: [{ path: 'options.propagation', given: `'${propagation}'` }] })
      expect(driver.attempts).toEqual([])
    }
  })

  it('gives what that gives, and throws what it throws', async () => {
    const { pool } = retrying()
    const none = { propagation: 'supports' } as const
    const never = () => 'never'
    await expect(pool.transaction(never, none, { without: () => 'done' })).resolves.toBe('done')
    const thrown = new Error('no')
    const failing = () => {
      throw thrown
    }
    await expect(pool.transaction(never, none, { without: failing })).rejects.toBe(thrown)
  })
})

describe('durable', () => {
  it('is refused inside of another, whatever the propagation, and sends nothing', async () => {
    for (const propagation of ['nested', 'required', 'requiresNew', 'mandatory'] as const) {
      const { pool, driver } = retrying()
      let inner = watch(Promise.resolve())
      await pool.transaction(async () => {
        inner = watch(pool.transaction(() => {}, { propagation, durable: true }))
        await turns()
      })
      expect(inner.error).toBeInstanceOf(PropagationError)
      expect(String(inner.error)).toContain('durable')
      expect(driver.connections.map(({ sent }) => sent)).toEqual([['begin', 'commit']])
    }
  })

  it('is fine as the outermost, and outside of the one around it', async () => {
    const { pool } = retrying()
    await expect(pool.transaction(() => 'done', { durable: true })).resolves.toBe('done')
    await pool.transaction(() => outsideTransaction(() => pool.transaction(() => {}, { durable: true })))
    await pool.transaction(() => pool.transaction(() => {}, { durable: true }, { inside: 'none' }))
  })
})

describe('settings', () => {
  const given: TransactionOptions[] = [
    { isolationLevel: 'serializable' },
    { accessMode: 'read only', deferrable: true },
    { lockTimeoutMs: 0 },
    { role: 'auditor' },
    { settings: { 'app.tenant': 7 } },
  ]

  it.each(given)('%j are refused inside, where they cannot be had', async (options) => {
    for (const propagation of ['nested', 'required', 'mandatory', 'supports'] as const) {
      const { pool, driver } = retrying()
      let inner = watch(Promise.resolve())
      await pool.transaction(async () => {
        inner = watch(pool.transaction(() => {}, { ...options, propagation }))
        await turns()
      })
      expect(inner.error).toBeInstanceOf(PropagationError)
      for (const name of Object.keys(options)) expect(String(inner.error)).toContain(name)
      expect(driver.connection(1).sent).toEqual(['begin', 'commit'])
    }
  })

  it.each([
    ['role', { role: 'tenant' }],
    ['settings', { settings: { 'app.tenant': '42' } }],
    ['statementTimeoutMs', { statementTimeoutMs: 100 }],
  ])('(%s) are not dropped where an ORM asks either: what is not there would be relied on', async (name, settings) => {
    const { pool, driver } = retrying()
    await pool.transaction(async () => {
      const nested = pool.transaction(() => {}, settings, { lenient: true })
      await expect(nested).rejects.toMatchObject({ name: 'PropagationError', message: expect.stringContaining(name) })
    })
    expect(driver.connection(1).sent).toEqual(['begin', 'commit'])
  })

  it('are fine for one of its own, and an isolation level is passed over where an ORM asks', async () => {
    const { pool, driver } = retrying()
    const strict = { isolationLevel: 'serializable' } as const
    await pool.transaction(async () => {
      await pool.transaction(() => {}, { ...strict, propagation: 'requiresNew' })
      await pool.transaction(() => {}, strict, { lenient: true })
      await pool.transaction(() => {}, { isolationLevel: undefined })
    })
    expect(driver.connections.map(({ sent }) => sent)).toEqual([
      ['begin', 'savepoint s0', 'release s0', 'savepoint s1', 'release s1', 'commit'],
      ['begin isolation level serializable', 'commit'],
    ])
  })
})

describe('which transaction it is asked for in', () => {
  it('may be said', async () => {
    const { pool, driver } = retrying()
    await pool.transaction(async (scope, context) => {
      await outsideTransaction(() => pool.transaction(() => {}, {}, { inside: { scope, context } }))
      await pool.transaction(() => {}, {}, { inside: 'none' })
    })
    expect(driver.connections.map(({ sent }) => sent)).toEqual([
      ['begin', 'savepoint s0', 'release s0', 'commit'],
      ['begin', 'commit'],
    ])
  })
})
