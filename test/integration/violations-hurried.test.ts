// E1: a violation is looked up in a catalogue that does not answer, and whoever waits may not wait any longer: it is told
// with what is known by then, and not given up for that.

import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { executes } from '../support/matchers.js'
import type { Cut } from '../support/rules.js'
import { until } from '../support/until.js'
import { retried } from './orms.js'
import { useScene, within } from './scene.js'
import { violationOf } from './violations.js'

const scene = useScene()
let lookUp: Cut

beforeAll(() =>
  scene.admin.query(`
    create table later (id int, constraint later_id unique (id) deferrable initially deferred);
    create table people (id int primary key);
    insert into later values (1);
    insert into people values (1)`),
)
beforeEach(() => {
  const match = executes(/pg_partition_root/)
  lookUp = scene.proxy.cutWhen({ direction: 'to-server', match, when: 'before', how: 'swallow' })
})

const errors = { lookupTimeoutMs: 60_000, messages: { unique: 'Taken' } }
const told = { name: 'UniqueViolationError', userMessage: 'Taken', columns: ['id'] }
const twice = 'insert into later values (1)'

describe.each(retried)('E1: through $name', (orm) => {
  it('a transaction whose time is over meanwhile tells what COMMIT was refused for', async () => {
    const db = scene.open(orm, { errors })
    const late = db.withTransaction((tx) => tx.query(twice), { timeoutMs: 500 })
    expect(await within(20_000, violationOf(late))).toMatchObject(told)
    expect(lookUp.fired).toBe(1)
    expect(db.pool.violationStats().total).toBe(1)
  })

  it('one that is cancelled meanwhile does as well', async () => {
    const db = scene.open(orm, { errors })
    const stop = new AbortController()
    const cancelled = db.withTransaction((tx) => tx.query(twice), { signal: stop.signal })
    await until(() => lookUp.fired === 1, { what: 'the look-up to begin' })
    stop.abort()
    expect(await within(20_000, violationOf(cancelled))).toMatchObject(told)
  })

  it('a statement whose time is over meanwhile has the application’s words, and is counted', async () => {
    const db = scene.open(orm, { errors, statement: { timeoutMs: 500 } })
    const late = db.withTransaction((tx) => tx.query('insert into people values (1)'))
    expect(await within(20_000, violationOf(late))).toMatchObject(told)
    expect(lookUp.fired).toBe(1)
    expect(db.pool.violationStats().total).toBe(1)
  })
})
