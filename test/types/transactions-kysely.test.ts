// What the compiler knows of Kysely's transactions: the tables and the result are inferred, whichever of Kysely's handles
// is given. Checked by the compiler; at run time nothing connects.

import { describe, expect, it } from '@jest/globals'
import {
  type Propagation,
  ResilientPostgresDialect,
  type TransactionContext,
  type TransactionHost,
  type TransactionOptions,
  withTransaction,
} from '@moorings/kysely'
import { expectTypeOf } from 'expect-type'
import { CamelCasePlugin, type ControlledTransaction, type Generated, Kysely, type Transaction } from 'kysely'

interface Database {
  users: { id: Generated<number>; email: string | null }
}
type Other = {
  boats: { name: string }
}
interface User {
  id: number
  email: string | null
}

const url = 'postgres://app@localhost/shop'
const db = new Kysely<Database>({ dialect: new ResilientPostgresDialect({ connection: url }) })

/** Never called: what is written in it is only for the compiler. */
function compiled(_body: () => unknown): void {
  expect(true).toBe(true)
}

describe('types of withTransaction', () => {
  it("gives its body Kysely's own handle and the context, and the body's result to its caller", () => {
    compiled(async () => {
      const users = await withTransaction(db, async (tx, context) => {
        expectTypeOf(tx).toEqualTypeOf<Transaction<Database>>()
        expectTypeOf(context).toEqualTypeOf<TransactionContext>()
        return tx.selectFrom('users').selectAll().execute()
      })
      expectTypeOf(users).toEqualTypeOf<User[]>()
      expectTypeOf(await withTransaction(db, () => 7)).toEqualTypeOf<number>()
      expectTypeOf(await withTransaction(db, async () => 'a' as const)).toEqualTypeOf<'a'>()
      expectTypeOf(await withTransaction(db, (_, { attempt }) => attempt)).toEqualTypeOf<number>()
    })
  })

  it('infers the tables from each of the three handles, and from what is made of them', () => {
    compiled(async () => {
      const transaction: Transaction<Database> = await db.startTransaction().execute()
      const controlled: ControlledTransaction<Database> = await db.startTransaction().execute()
      const withSavepoints: ControlledTransaction<Database, ['one', 'two']> = await controlled
        .savepoint('one')
        .execute()
        .then((one) => one.savepoint('two').execute())
      const host: TransactionHost<Database> = controlled
      const body = async (tx: Transaction<Database>) => tx.selectFrom('users').selectAll().execute()
      expectTypeOf(await withTransaction(db, body)).toEqualTypeOf<User[]>()
      for (const handle of [transaction, controlled, withSavepoints, host]) {
        expectTypeOf(await withTransaction(handle, body)).toEqualTypeOf<User[]>()
      }
      const inferred = (tx: Transaction<Database>) => tx
      expectTypeOf(await withTransaction(transaction, (tx) => inferred(tx).isTransaction)).toEqualTypeOf<true>()
      await withTransaction(controlled, (tx) => expectTypeOf(tx).toEqualTypeOf<Transaction<Database>>())
      await withTransaction(withSavepoints, (tx) => expectTypeOf(tx).toEqualTypeOf<Transaction<Database>>())
      await withTransaction(host, (tx) => expectTypeOf(tx).toEqualTypeOf<Transaction<Database>>())
      await withTransaction(db.withSchema('harbour').withPlugin(new CamelCasePlugin()), (tx) =>
        expectTypeOf(tx).toEqualTypeOf<Transaction<Database>>(),
      )
      await withTransaction(db.withTables<Other>(), (tx) => tx.selectFrom('boats').selectAll().execute())
    })
  })

  it('refuses a table that is not there, what is misspelt, and what is no database', () => {
    compiled(async () => {
      // @ts-expect-error: another database's table
      await withTransaction(db, (tx) => tx.selectFrom('boats').selectAll().execute())
      // @ts-expect-error: misspelt
      await withTransaction(db, async () => {}, { timeout: 5_000 })
      // @ts-expect-error: misspelt, further down
      await withTransaction(db, async () => {}, { retry: { maxRetry: 5 } })
      // @ts-expect-error: Kysely's, and not PostgreSQL's
      await withTransaction(db, async () => {}, { isolationLevel: 'snapshot' })
      // @ts-expect-error: no propagation
      await withTransaction(db, async () => {}, { propagation: 'require' })
      // @ts-expect-error: no database
      await withTransaction(url, async () => {})
      // @ts-expect-error: no body
      await withTransaction(db)
    })
  })

  it('takes all that may be said for one', () => {
    compiled(async () => {
      await withTransaction(db, async () => {}, {
        isolationLevel: 'repeatable read',
        accessMode: 'read only',
        deferrable: true,
        statementTimeoutMs: 100,
        lockTimeoutMs: 100,
        idleTimeoutMs: 100,
        role: 'auditor',
        settings: { 'app.tenant': 7 },
        retry: {
          maxRetries: 1,
          onRetry: ({ attempt, delayMs }) => expectTypeOf([attempt, delayMs]).toEqualTypeOf<number[]>(),
        },
        exactlyOnce: false,
        timeoutMs: 5_000,
        signal: new AbortController().signal,
        propagation: 'requiresNew',
        durable: true,
        acquireTimeoutMs: 100,
      })
      await withTransaction(db, async () => {}, { retry: false, timeoutMs: undefined })
    })
  })

  it('says what the body is given where there may be no transaction', () => {
    compiled(async () => {
      for (const propagation of ['supports', 'never', 'notSupported'] as const) {
        const users = await withTransaction(
          db,
          (own) => {
            expectTypeOf(own).toEqualTypeOf<Kysely<Database>>()
            return own.selectFrom('users').selectAll().execute()
          },
          { propagation },
        )
        expectTypeOf(users).toEqualTypeOf<User[]>()
      }
      const needsTx = (tx: Transaction<Database>) => tx.selectFrom('users').selectAll().execute()
      // @ts-expect-error: it may be none
      await withTransaction(db, needsTx, { propagation: 'supports' })
      await withTransaction(db, needsTx, { propagation: 'mandatory' })
    })
  })

  it('options can be passed on: what is typed as they are goes on giving a transaction', () => {
    compiled(async () => {
      const audited = <T>(body: (tx: Transaction<Database>) => Promise<T>, options?: TransactionOptions) =>
        withTransaction(db, body, { ...options, settings: { 'app.audit': true } })
      await audited((tx) => tx.selectFrom('users').execute(), { propagation: 'requiresNew', timeoutMs: 100 })
      // @ts-expect-error: gives no transaction
      await audited((tx) => tx.selectFrom('users').execute(), { propagation: 'never' })
      const any = (options: TransactionOptions<Propagation>) =>
        withTransaction(db, (own) => own.selectFrom('users').selectAll().execute(), options)
      await any({ propagation: 'never' })
      await any({})
    })
  })
})
