// What an application's editor knows while `resilience` is written: hooks get their context typed, and slips are errors.

import { describe, expect, it } from '@jest/globals'
import {
  type AcquireVerdict,
  type Connection,
  type HookContext,
  type HookOptions,
  optionsFromEnv,
  type Resilience,
  type ResilienceOptions,
  resolveResilience,
  type ScalingOptions,
} from '@moorings/core'
import { drizzle, type ResilientDatabase } from '@moorings/drizzle/postgres-js'
import { ResilientPostgresDialect, type ResilientPostgresDialectConfig } from '@moorings/kysely'
import { type ConnectionInput, createPool } from '@moorings/postgres'
import { pgTable, text } from 'drizzle-orm/pg-core'
import { expectTypeOf } from 'expect-type'

const url = 'postgres://app@localhost/shop'

describe('types of hooks', () => {
  it('gives each hook its context without an annotation', () => {
    const hooks: HookOptions = {
      beforeConnect: (context) => {
        expectTypeOf(context).toEqualTypeOf<{ readonly signal: AbortSignal }>()
        return { password: 'a token' }
      },
      afterConnect: async (context) => {
        expectTypeOf(context).toEqualTypeOf<HookContext>()
        expectTypeOf(context.connection).toEqualTypeOf<Connection>()
        expectTypeOf(context.connection.execute({ text: 'select 1' })).resolves.toHaveProperty('rows')
      },
      beforeAcquire: ({ signal }) => {
        expectTypeOf(signal).toEqualTypeOf<AbortSignal>()
        return 'replace'
      },
      afterRelease: ({ heldMs }) => {
        expectTypeOf(heldMs).toBeNumber()
        return heldMs > 60_000 ? 'destroy' : 'keep'
      },
      beforeClose: ({ reason }) => {
        expectTypeOf(reason).toExtend<string>()
        expectTypeOf<'lifetime'>().toExtend<typeof reason>()
      },
    }
    createPool(url, { resilience: { hooks } })
  })

  it('takes what a hook that decides may answer, async or not, and nothing else', () => {
    expectTypeOf<'use' | 'replace' | undefined>().toExtend<AcquireVerdict>()
    expectTypeOf<{ fail: Error; connection: 'keep' }>().toExtend<AcquireVerdict>()
    createPool(url, {
      resilience: { hooks: { beforeAcquire: async () => ({ fail: new Error('read only'), connection: 'destroy' }) } },
    })
    // @ts-expect-error: what becomes of the connection is not said
    expectTypeOf<{ fail: Error }>().toExtend<AcquireVerdict>()
    // @ts-expect-error: no verdict
    createPool(url, { resilience: { hooks: { beforeAcquire: () => 'refuse' } } })
    // @ts-expect-error: not what afterRelease answers
    createPool(url, { resilience: { hooks: { afterRelease: () => 'replace' } } })
  })

  it('a hook that answers nothing is one that is content', () => {
    const nothing = async () => {}
    createPool(url, { resilience: { hooks: { afterConnect: nothing, beforeClose: nothing } } })
    createPool(url, {
      resilience: { hooks: { beforeConnect: async () => {}, beforeAcquire: () => {}, afterRelease: async () => {} } },
    })
  })
})

describe('types of the other options', () => {
  it('scaling is false or its settings', () => {
    expectTypeOf<NonNullable<ResilienceOptions['pool']>['scaling']>().toEqualTypeOf<
      ScalingOptions | false | undefined
    >()
    // @ts-expect-error: it is on unless it is false
    expect(() => createPool(url, { resilience: { pool: { scaling: true } } })).toThrow('resilience.pool.scaling')
    // @ts-expect-error: misspelt
    expect(() => createPool(url, { resilience: { pool: { scaling: { stp: 1 } } } })).toThrow('did you mean step?')
  })

  it('a logger of the shape of pino or of console will do', () => {
    createPool(url, { resilience: { logger: console } })
    const log = (_fields: object, _message: string) => {}
    createPool(url, { resilience: { logger: { debug: log, info: log, warn: log, error: log } } })
    // @ts-expect-error: not all of the methods
    expect(() => createPool(url, { resilience: { logger: { info: log } } })).toThrow('resilience.logger')
  })

  it('leaves nothing open once the defaults are in', () => {
    const { pool, hooks } = resolveResilience({})
    expectTypeOf(pool.min).toBeNumber()
    expectTypeOf(pool.start).toEqualTypeOf<'lazy' | 'eager'>()
    expectTypeOf(pool.onConnect).toEqualTypeOf<string | undefined>()
    expectTypeOf(hooks.timeoutMs).toBeNumber()
    if (pool.scaling !== false) expectTypeOf(pool.scaling.everyMs).toBeNumber()
    expectTypeOf<Resilience>().toHaveProperty('health')
  })
})

describe('types of the options from the environment', () => {
  const env = { DATABASE_URL: url, DB_POOL_SIZE: '3' }
  const schema = { users: pgTable('users', { email: text() }) }

  it('fit wherever a connection and resilience are asked for', () => {
    const options = optionsFromEnv(env)
    expectTypeOf(options.connection).toExtend<ConnectionInput>()
    expectTypeOf(options.resilience).toExtend<ResilienceOptions>()
    expectTypeOf(options).toExtend<ResilientPostgresDialectConfig>()
    expectTypeOf(drizzle({ ...options, schema })).toEqualTypeOf<ResilientDatabase<typeof schema>>()
    expectTypeOf(drizzle(options)).toEqualTypeOf<ResilientDatabase>()
    expect(new ResilientPostgresDialect(options).pool.resilience.pool.max).toBe(3)
    const { connection, resilience } = options
    expect(createPool(connection, { resilience }).resilience.pool.max).toBe(3)
    expectTypeOf(process.env).toExtend<NonNullable<Parameters<typeof optionsFromEnv>[0]>>()
  })
})
