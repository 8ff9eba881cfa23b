// E3, E4, E5: what an application may show, log and send of violations: its own words and fields, and never a value of the
// row, wherever that was to be seen: in a parameter, in the statement's text, in what the server says.

import { channel } from 'node:diagnostics_channel'
import { inspect } from 'node:util'
import { beforeAll, describe, expect, it } from '@jest/globals'
import { afterRollback, type EventName, isMooringsError, type Logger, toIssues, toProblem } from '@moorings/core'
import { change, deadlock } from './deadlocks.js'
import { everyOrm, transactional } from './orms.js'
import { errorOf, useScene } from './scene.js'
import { violates } from './violations.js'

const scene = useScene()

const secret = 'c0nfid3ntial'
/** Of what has to be a number. */
const number = 90_210_417

beforeAll(() =>
  scene.admin.query(`
    create table accounts (id int primary key, balance int);
    create table vault (id int primary key, word text unique, owner int references accounts, other text not null default '',
      span int4range, constraint not_this check (word <> '${secret} not'), constraint apart exclude using gist (span with &&),
      constraint late unique (other) deferrable initially deferred);
    create domain short as text constraint is_short check (length(value) < 5);
    create table parts (id int not null, word short, constraint parts_key primary key (id)) partition by range (id);
    create table parts_some partition of parts for values from (0) to (${number + 1});
    create unique index once on marks (mark);
    create function tells() returns trigger language plpgsql as $$ begin
      raise exception 'no' using errcode = 'unique_violation', detail = 'Key (word)=(${secret}) already exists.',
        hint = '${secret}', schema = 'public', table = 'vault', constraint = 'vault_word_key'; end $$;
    create table told (word text);
    create trigger tells before insert on told for each row execute function tells();
    insert into accounts values (1, 5), (2, 5), (${number}, 5);
    insert into vault values (1, '${secret}', ${number}, '${secret}', '[${number},${number + 9})');
    insert into parts values (${number}, 'x')`),
)

const unique = `insert into vault (id, word) values (2, '${secret}')`
const orphan = `insert into vault (id, owner, word) values (2, ${number + 1}, '${secret} 2')`
const parent = `delete from accounts where id = ${number}`
const bare = `insert into vault (id, word, other) values (2, '${secret} 2', null)`

const violations: [what: string, sql: string][] = [
  ['a unique column', unique],
  ['a primary key', `insert into accounts values (${number}, 5)`],
  ['a missing parent', orphan],
  ['a row that is still referred to', parent],
  ['a check', `insert into vault (id, word) values (2, '${secret} not')`],
  ['NOT NULL', bare],
  ['an exclusion', `insert into vault (id, span) values (2, '[${number + 1},${number + 2})')`],
  ['a domain', `insert into parts values (1, '${secret}')`],
  ['a partition', `insert into parts values (${number}, 'x')`],
  ['a row without a partition', `insert into parts values (${number * 2}, 'x')`],
  ['a trigger', `insert into told values ('${secret}')`],
]

/** All that is made of it to be read by somebody. */
function shownOf(error: unknown): string {
  if (!isMooringsError(error)) throw error
  const { message, stack } = error
  return [
    ...[message, stack, String(error), JSON.stringify(error), inspect(error, { depth: 20 })],
    inspect({ error: new Error('around', { cause: error }) }, { depth: 20, showHidden: true }),
    ...[JSON.stringify(toIssues(error)), JSON.stringify(toProblem(error))],
  ].join('\n')
}

const isSecret = new RegExp(`${secret}|${number}|${number + 1}|${number * 2}`)

const names: readonly EventName[] = [
  'moorings:transaction:retried',
  'moorings:after:failed',
  'moorings:rollback:failed',
  'moorings:connection:closed',
  'moorings:connection:reset',
  'moorings:acquire:failed',
]

describe.each(everyOrm)('E4: with $name', (orm) => {
  it.each(violations)('no value is shown of what violates %s', async (_what, sql) => {
    const error = await violates(scene.open(orm, { errors: { exposeValues: true } }), sql)
    // It was there to be seen.
    expect(inspect(error.cause, { showHidden: true })).toMatch(isSecret)
    expect(shownOf(error)).not.toMatch(isSecret)
  })

  it('no parameter is shown', async () => {
    const db = scene.open(orm)
    await db.insert(secret)
    const error = await errorOf(db.insert(secret))
    expect(error).toMatchObject({ name: 'UniqueViolationError', constraint: 'once' })
    expect(shownOf(error)).not.toMatch(isSecret)
  })

  it('no value is in the counts', async () => {
    const db = scene.open(orm)
    for (const [, sql] of violations) await violates(db, sql)
    const stats = db.pool.violationStats()
    expect(stats.total).toBe(violations.length)
    expect(inspect(stats, { depth: 20 })).not.toMatch(isSecret)
  })

  it('no value is in an event or the log: of a transaction that is run again, of a callback that fails', async () => {
    const lines: string[] = []
    const write = (fields: object, message: string) => void lines.push(inspect({ fields, message }, { depth: 20 }))
    const logger: Logger = { debug: write, info: write, warn: write, error: write, isLevelEnabled: () => true }
    const heard: string[] = []
    const hear = (message: unknown, name: string | symbol) => {
      heard.push(String(name))
      lines.push(inspect(message, { depth: 20, showHidden: true }))
    }
    for (const name of names) channel(name).subscribe(hear)
    try {
      const retry = { initialDelayMs: 1 }
      const db = scene.open(orm, { logger, transaction: { retry }, pool: { min: 0, max: 2, overflow: 0 } })
      let attempts = 0
      const error = await errorOf(
        db.withTransaction(async (tx) => {
          attempts++
          await afterRollback(async () => {
            await db.query(unique)
          })
          if (attempts > 1) await tx.query(unique)
          await tx.query(
            `do $$ begin raise exception '%', 'conflict' using errcode = '40001', detail = '${secret}'; end $$`,
          )
        }),
      )
      expect(shownOf(error)).not.toMatch(isSecret)
      expect(heard).toEqual(expect.arrayContaining(['moorings:transaction:retried', 'moorings:after:failed']))
      expect(lines.filter((line) => isSecret.test(line))).toEqual([])
    } finally {
      for (const name of names) channel(name).unsubscribe(hear)
    }
  })

  it('no value is in a deadlock or its report', async () => {
    const db = scene.open(orm, { pool: { min: 0, max: 2, overflow: 0 } })
    const { error } = await deadlock(
      scene.admin,
      db,
      [change('accounts', 1, secret), change('accounts', 2)],
      [change('accounts', 2, secret), change('accounts', 1)],
    )
    expect(shownOf(error)).not.toMatch(isSecret)
    expect(inspect(await db.pool.deadlockReport(), { depth: 20 })).not.toMatch(isSecret)
  })
})

describe.each(transactional)('E4: in a transaction of $name', (orm) => {
  it('no value is shown of what violates a constraint at COMMIT, nor of what made it abort', async () => {
    const db = scene.open(orm)
    const late = `insert into vault (id, other) values (2, '${secret}')`
    expect(shownOf(await errorOf(db.transaction((tx) => tx.query(late))))).not.toMatch(isSecret)
    const swallowed = db.transaction(async (tx) => {
      await errorOf(tx.query(unique))
    })
    const aborted = await errorOf(swallowed)
    expect(aborted).toMatchObject({ name: 'TransactionAbortedError' })
    expect(shownOf(aborted)).not.toMatch(isSecret)
  })
})

describe.each(everyOrm)('with $name', (orm) => {
  const constraints = {
    vault_word_key: { message: 'Taken', path: ['safe', 'word'], code: 'TAKEN' },
    vault_owner_fkey: { message: 'No such account', stillReferenced: { message: 'There is something in it' } },
  }

  it('E3: a form has errors at its fields and an API a problem, in the application’s words where it has some', async () => {
    const db = scene.open(orm, { errors: { constraints } })
    const said = async (sql: string) => {
      const error = await violates(db, sql)
      return [toIssues(error), toProblem(error)]
    }
    expect(await said(unique)).toMatchObject([
      [{ message: 'Taken', path: ['safe', 'word'] }],
      { status: 409, code: 'TAKEN', detail: 'Taken', errors: [{ detail: 'Taken', pointer: '#/safe/word' }] },
    ])
    expect(await said(orphan)).toMatchObject([[{ message: 'No such account', path: ['owner'] }], { status: 422 }])
    expect(await said(parent)).toMatchObject([[{ message: 'There is something in it' }], { status: 409 }])
    expect(await said(bare)).toMatchObject([[{ message: 'This is required', path: ['other'] }], { status: 422 }])
  })

  it('E5: an error is known behind what it was wrapped in, and its JSON says what it was', async () => {
    const error = await violates(scene.open(orm), unique)
    const wrapped = new Error('not saved', { cause: new Error('not written', { cause: error }) })
    expect(toProblem(wrapped)).toMatchObject({ status: 409 })
    expect(toIssues(wrapped)).toEqual([{ message: 'This is already taken', path: ['word'] }])
    expect(JSON.parse(JSON.stringify(error))).toEqual({
      ...{ name: 'UniqueViolationError', kind: 'constraint', code: '23505', retry: 'never', message: error.message },
      ...{ schema: 'public', table: 'vault', constraint: 'vault_word_key', columns: ['word'] },
      cause: { name: 'PostgresError', code: '23505' },
    })
  })
})
