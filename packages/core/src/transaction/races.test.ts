// Whatever happens, and in whichever microtask of a transaction it does: it ends, once and with one answer, its body is never
// run beside itself, what was to be done after it is what became of it, and nothing is left behind.

import { describe, expect, it } from '@jest/globals'
import type { TransactionContext } from '../scope.js'
import { deadlock } from '../testing/failures.js'
import type { FakeConnection, Operation } from '../testing/fake-connection.js'
import type { FakePool, Fixture } from '../testing/fixture.js'
import { no, noting } from '../testing/noting.js'
import { expectNothingHeld, retrying, untilRest } from '../testing/retrying.js'
import { type Watched, watch } from '../testing/watch.js'
import type { TransactionScope } from './transaction.js'

type Scope = TransactionScope<FakeConnection>

interface Work {
  readonly pool: FakePool
  readonly tx: Scope
  readonly context: TransactionContext
  readonly nested: (text: string, signal?: AbortSignal) => Promise<void>
  readonly signal: AbortSignal
}

/** What a body does between its first statement and its last. */
const kinds = {
  'with two nested ones beside each other': ({ nested }) => Promise.all([nested('one'), nested('other')]),
  'with a nested one that fails': ({ pool }) => pool.transaction(no).catch(() => {}),
  'with a nested one that may be ended by itself': ({ nested, signal }) => nested('nested', signal).catch(() => {}),
  'with one that joins it': ({ pool }) =>
    pool.transaction(({ connection }) => connection.statement('joined'), { propagation: 'required' }),
  'with a conflict': async ({ context: { attempt } }) => {
    if (attempt === 1) throw deadlock()
  },
  'in a session': async () => {},
} satisfies Record<string, (work: Work) => Promise<unknown>>

const events = {
  'its connection is lost': ({ driver }) => {
    for (const connection of driver.open) connection.lose()
  },
  'the pool evicts its connections': ({ pool }) => pool.evict(),
  'the pool is suspended for a while': ({ pool, clock }) => {
    pool.suspend()
    clock.setTimer(() => pool.resume(), 500)
  },
  'its signal fires': (_, abort) => abort.abort(),
  'the pool is closed': ({ pool }) => void pool.close({ timeoutMs: 50 }),
} satisfies Record<string, (setup: Fixture, abort: AbortController) => void>

type Kind = keyof typeof kinds
type Event = keyof typeof events

const kindNames = Object.keys(kinds).filter((name): name is Kind => name in kinds)
const eventNames = Object.keys(events).filter((name): name is Event => name in events)

/** These end it for good. */
const ends: readonly Event[] = ['its signal fires', 'the pool is closed']

/** More than an attempt of any of these takes. */
const MICROTASKS = 64

interface Run extends Fixture {
  readonly result: Watched<number>
  /** What was done after its end. */
  readonly told: readonly string[]
  readonly runs: { readonly beside: boolean }
  /** The event came when an attempt had ended, or waited for what is not answered: later it makes no difference. */
  readonly last: boolean
}

/** A transaction in which the event happens after so many microtasks; one operation may not be answered. */
async function raced(kind: Kind, event: Event, microtasks: number, unanswered?: Operation): Promise<Run> {
  const setup = retrying({ retry: { maxRetries: 3 } })
  const { pool, driver } = setup
  // A connection that was used just now is lent at once: all that follows is microtasks.
  const lease = await pool.acquire()
  lease.release()
  if (unanswered !== undefined) driver.connection(1).next(unanswered, 'held')
  const abort = new AbortController()
  const { signal } = abort
  const told: string[] = []
  const note = noting(told)
  let running = 0
  const runs = { beside: false }
  const nested = (text: string, signal?: AbortSignal) =>
    pool.transaction(({ connection }) => connection.statement(text), { signal })
  const body = async (tx: Scope, context: TransactionContext) => {
    runs.beside ||= ++running > 1
    try {
      note(context, `${context.attempt}`)
      await tx.connection.statement('first')
      await kinds[kind]({ pool, tx, context, nested, signal })
      await tx.connection.statement('last')
      return context.attempt
    } finally {
      running--
    }
  }
  const own = kind === 'with a nested one that may be ended by itself' ? undefined : signal
  const begin = () => pool.transaction(body, { signal: own })
  const result = watch(kind === 'in a session' ? pool.session(begin) : begin())
  for (let microtask = 0; microtask < microtasks; microtask++) await undefined
  const unheard = driver.connection(1).waiting.length > 0
  const last = result.state !== 'pending' || unheard || told.length > 0
  events[event](setup, abort)
  await untilRest(setup, 50)
  return { ...setup, result, told, runs, last }
}

/** What goes wrong, and after how many microtasks. */
async function problems(
  kind: Kind,
  event: Event,
  unanswered: Operation | undefined,
  wrong: (run: Run) => string | undefined,
): Promise<string[]> {
  const all: string[] = []
  for (let microtasks = 0; microtasks < MICROTASKS; microtasks++) {
    const run = await raced(kind, event, microtasks, unanswered)
    const problem = wrong(run)
    if (problem !== undefined) all.push(`${microtasks}: ${problem}`)
    if (run.last) break
  }
  return all
}

/** What is wrong with how it ended, in words. */
function wrong(run: Run): string | undefined {
  const { result, told, runs, driver } = run
  if (runs.beside) return 'its body was run beside itself'
  if (result.state === 'pending') return 'it has not ended'
  const done = told.filter((what) => what.endsWith('committed'))
  const commits = driver.connections.filter(({ sent }) => sent.includes('commit')).length
  if (result.state === 'rejected' && done.length > 0) return `it failed, and was told to be done: ${done}`
  if (result.state === 'resolved' && `${done}` !== `${result.value} committed`) return `it was done, and told: ${done}`
  if (result.state === 'resolved' && commits !== 1) return `it was done, with ${commits} times COMMIT`
  try {
    expectNothingHeld(run)
  } catch (error) {
    return String(error)
  }
  return undefined
}

describe.each(kindNames)('a transaction %s', (kind) => {
  it.each(eventNames)('ends well, whenever %s', async (event) => {
    const allowed = ends.includes(event) ? /^(TransactionCancelled|PoolClosed|CommitOutcomeUnknown)Error/ : /^never/
    const found = await problems(kind, event, undefined, (run) => {
      const { result } = run
      const failed = result.state === 'rejected' ? String(result.error) : undefined
      return wrong(run) ?? (failed === undefined || allowed.test(failed) ? undefined : failed)
    })
    expect(found).toEqual([])
  })
})

const scenes: { readonly [Name in Operation]?: Kind } = {
  rollback: 'with a conflict',
  rollbackTo: 'with a nested one that fails',
  savepoint: 'with a nested one that may be ended by itself',
  release: 'with a nested one that may be ended by itself',
}

describe.each(['begin', 'statement', 'savepoint', 'release', 'rollbackTo', 'rollback', 'commit'] as const)(
  'a transaction whose %s is not answered',
  (operation) => {
    it.each(['its connection is lost', 'the pool evicts its connections', ...ends] as const)(
      'ends all the same, whenever %s',
      async (event) => {
        const kind = scenes[operation] ?? 'with two nested ones beside each other'
        expect(await problems(kind, event, operation, wrong)).toEqual([])
      },
    )
  },
)
