// Statements that take long: those that a server works on are left alone, those whose answer will never come are ended.

import { describe, expect, it } from '@jest/globals'
import type { WorkState } from '../driver.js'
import { ConnectionLostError } from '../errors.js'
import type { HookOptions } from '../hooks.js'
import { settled } from '../testing/fake-clock.js'
import { type Fixture, fixture, takeOne } from '../testing/fixture.js'
import { inFlight, under } from '../testing/in-flight.js'
import { expectNothingLeft } from '../testing/nothing-left.js'
import { watch } from '../testing/watch.js'

const afterMs = 10_000
/** Between two questions about what is in doubt: `validationTimeoutMs`. */
const pauseMs = 2_000
/** What nothing else disturbs. */
const quiet = { max: 5, overflow: 0, idleTimeoutMs: 0, maxLifetimeMs: 0 }

function setup(livenessAfterMs = afterMs, hooks?: HookOptions): Fixture {
  return fixture(quiet, () => 0, { statement: { livenessAfterMs }, transaction: { retry: {} }, hooks })
}

/** What the server does, question by question; then it works. */
function inTurn(...states: WorkState[]): () => WorkState {
  return () => states.shift() ?? 'working'
}

/** Which connections were asked about, question by question. */
function asked({ driver }: Fixture): number[][] {
  return driver.questions.map(({ ids }) => [...ids])
}

describe('a statement that takes long', () => {
  it('is asked about after livenessAfterMs, again after as long, and left alone while the server works on it', async () => {
    const it = setup()
    const { statement, answer, lease } = await inFlight(it.pool)
    await it.clock.advance(afterMs - 1)
    expect(asked(it)).toEqual([])
    await it.clock.advance(1)
    expect(asked(it)).toEqual([[1]])
    await it.clock.advance(afterMs - 1)
    expect(asked(it)).toEqual([[1]])
    await it.clock.advance(60 * afterMs)
    expect(asked(it).length).toBeGreaterThanOrEqual(50)
    expect(asked(it).length).toBeLessThanOrEqual(61)
    expect(statement.state).toBe('pending')
    await answer()
    expect(statement.state).toBe('resolved')
    lease.release()
  })

  it('is asked about soon after its time, whenever it began', async () => {
    const it = setup()
    const { pool, clock } = it
    const lease = await takeOne(pool)
    await clock.advance(afterMs / 2)
    await under(lease)
    await clock.advance(afterMs - 1)
    expect(asked(it)).toEqual([])
    await clock.advance(1_001)
    expect(asked(it)).toEqual([[1]])
  })

  it('is nobody’s business when it is answered in time, waits for us, or was told to stop', async () => {
    const it = setup()
    const { pool, clock } = it
    const answered = await inFlight(pool)
    const suspended = await inFlight(pool)
    const stopped = await inFlight(pool)
    await takeOne(pool)
    suspended.connection.suspended = true
    stopped.connection.cancelling = true
    await answered.answer()
    await clock.advance(10 * afterMs)
    expect(asked(it)).toEqual([])
  })

  it('is asked about as often as there are new ones: an answer ends it', async () => {
    const it = setup()
    const { pool, clock } = it
    const first = await inFlight(pool)
    await clock.advance(afterMs)
    await first.answer()
    const second = await under(first.lease)
    await clock.advance(afterMs - 1)
    expect(asked(it)).toEqual([[1]])
    await clock.advance(1_001)
    expect(asked(it)).toEqual([[1], [1]])
    expect(second.statement.state).toBe('pending')
  })

  it('is never asked about with livenessAfterMs 0', async () => {
    const it = setup(0)
    await inFlight(it.pool)
    await it.clock.advance(100 * afterMs)
    expect(asked(it)).toEqual([])
  })

  it('is asked about together with others at its endpoint, and apart from those elsewhere', async () => {
    const it = setup()
    const { pool, driver, clock } = it
    await inFlight(pool)
    await inFlight(pool)
    driver.endpoint = { host: 'other.test', port: 5432 }
    await inFlight(pool)
    await clock.advance(afterMs)
    expect(asked(it)).toEqual([[1, 2], [3]])
  })

  it('is asked about once at a time, however long that takes', async () => {
    const it = setup(1_000)
    const { pool, driver, clock } = it
    let tell = (_: WorkState) => {}
    driver.works = () =>
      new Promise((resolve) => {
        tell = resolve
      })
    await inFlight(pool)
    await clock.advance(1_000)
    await inFlight(pool)
    await clock.advance(5_000)
    expect(asked(it)).toEqual([[1]])
    tell('working')
    await clock.advance(1_000)
    expect(asked(it)).toEqual([[1], [1, 2]])
  })

  it('is asked about as whom the beforeConnect hook says', async () => {
    const credentials = { user: 'guest', password: 'token' }
    const { pool, driver, clock } = setup(afterMs, { beforeConnect: () => credentials })
    await inFlight(pool)
    await clock.advance(afterMs)
    expect(driver.questions).toEqual([{ ids: [1], credentials, ended: [] }])
  })
})

describe('an answer that will never come', () => {
  it('is not waited for when the server knows nothing of the session any more', async () => {
    const { pool, driver, clock } = setup()
    driver.works = ({ id }) => (id === 1 ? 'gone' : 'working')
    const [lost, other] = [await inFlight(pool), await inFlight(pool)]
    await clock.advance(afterMs)
    const { error } = lost.statement
    expect(error).toBeInstanceOf(ConnectionLostError)
    expect(error).toMatchObject({
      retry: 'reconnect',
      message:
        'The connection to db.test:5432 was lost: after 10000 ms without an answer, its server, asked through another connection, no longer knew it',
    })
    expect(lost.connection).toMatchObject({ ended: 'destroyed', lost: error })
    expect(lost.lease.lost).toBe(true)
    expect(pool.stats()).toMatchObject({ lost: 1, closedBy: { lost: 1 } })
    expect(other.statement.state).toBe('pending')
  })

  it('is not waited for when the server has nothing to do for it twice in a row: then it is to end the session', async () => {
    const { pool, driver, clock } = setup()
    driver.works = inTurn('idle', 'idle')
    const { statement } = await inFlight(pool)
    await clock.advance(afterMs)
    expect(statement.state).toBe('pending')
    await clock.advance(pauseMs)
    expect(driver.questions.map(({ ended }) => ended)).toEqual([[], [1]])
    expect(statement.error).toBeInstanceOf(ConnectionLostError)
  })

  it('may be on its way: the server was idle once, and then at work again', async () => {
    const { pool, driver, clock } = setup()
    const states: WorkState[] = ['idle', 'working', 'idle', 'unknown', 'idle', 'unreachable', 'idle', 'working']
    driver.works = inTurn(...states)
    const { statement } = await inFlight(pool)
    await clock.advance(20 * afterMs)
    expect(driver.questions.length).toBeGreaterThan(states.length)
    expect(statement.state).toBe('pending')
  })

  it('is that of one statement: what was idle under the one before does not count for the next', async () => {
    const it = setup()
    const { pool, driver, clock } = it
    driver.works = () => 'idle'
    const first = await inFlight(pool)
    await clock.advance(afterMs)
    await first.answer()
    const second = await under(first.lease)
    await clock.advance(afterMs)
    expect(asked(it)).toEqual([[1], [1]])
    expect(driver.questions.map(({ ended }) => ended)).toEqual([[], []])
    expect(second.statement.state).toBe('pending')
  })

  it('has come meanwhile: then nothing that is said of it counts', async () => {
    const { pool, driver, clock } = setup()
    const { statement, answer, connection } = await inFlight(pool)
    driver.works = async (): Promise<WorkState> => {
      await answer()
      return 'gone'
    }
    await clock.advance(2 * afterMs)
    expect(driver.questions.map(({ ended }) => ended)).toEqual([[]])
    expect(statement.state).toBe('resolved')
    expect(connection.open).toBe(true)
  })

  it('is not waited for when nothing is heard of the server three times in a row', async () => {
    const { pool, driver, clock } = setup()
    driver.works = () => 'unreachable'
    const { statement } = await inFlight(pool)
    await clock.advance(afterMs + pauseMs)
    expect(statement.state).toBe('pending')
    await clock.advance(pauseMs)
    expect(driver.questions).toHaveLength(3)
    expect(statement.error).toBeInstanceOf(ConnectionLostError)
    expect(String(statement.error)).toContain('nothing was heard of its server')
  })

  it('is waited for when the server is out of reach now and then', async () => {
    const { pool, driver, clock } = setup()
    driver.works = inTurn('unreachable', 'unreachable', 'unknown', 'unreachable', 'unreachable', 'idle', 'unreachable')
    const { statement } = await inFlight(pool)
    await clock.advance(20 * afterMs)
    expect(statement.state).toBe('pending')
  })

  it.each<[string, (driver: Fixture['driver']) => void]>([
    ['says nothing of it', (driver) => (driver.works = () => 'unknown')],
    ['cannot be asked', (driver) => (driver.works = () => Promise.reject(new Error('no')))],
    ['leaves it out', (driver) => (driver.worksOn = async () => ({ states: [], finish: async () => {} }))],
  ])('is waited for where the server %s', async (_, does) => {
    const { pool, driver, clock } = setup()
    does(driver)
    const { statement } = await inFlight(pool)
    await clock.advance(20 * afterMs)
    expect(statement.state).toBe('pending')
  })

  it('is waited for while the beforeConnect hook fails: nobody was asked', async () => {
    let calls = 0
    const beforeConnect = () => {
      if (++calls > 1) throw new Error('no token')
    }
    const { pool, driver, clock } = setup(afterMs, { beforeConnect })
    driver.works = () => 'gone'
    const { statement } = await inFlight(pool)
    await clock.advance(20 * afterMs)
    expect(calls).toBeGreaterThan(10)
    expect(statement.state).toBe('pending')
  })

  it('is waited for while the beforeConnect hook takes its time: that says nothing of the server', async () => {
    let connects = 0
    const slowly = (resolve: () => void) => clock.setTimer(resolve, pauseMs + 1)
    const beforeConnect = () => (++connects === 1 ? undefined : new Promise<void>(slowly))
    const { pool, driver, clock } = setup(afterMs, { beforeConnect, timeoutMs: 2 * pauseMs })
    driver.works = () => 'unreachable'
    const { statement } = await inFlight(pool)
    await clock.advance(10 * afterMs)
    expect(connects).toBeGreaterThan(5)
    expect(driver.questions).toEqual([])
    expect(statement.state).toBe('pending')
  })

  it('has its question limited: after validationTimeoutMs the driver is told to come to an end', async () => {
    const { pool, driver, clock } = setup()
    const signals: AbortSignal[] = []
    driver.works = (_, signal) => {
      signals.push(signal)
      return new Promise((resolve) => signal.addEventListener('abort', () => resolve('unreachable')))
    }
    await inFlight(pool)
    await clock.advance(afterMs + pauseMs - 1)
    expect(signals.map(({ aborted }) => aborted)).toEqual([false])
    await clock.advance(1)
    expect(signals.map(({ aborted }) => aborted)).toEqual([true])
  })

  it('ends the attempt of a transaction, which is run again on another connection', async () => {
    const { pool, driver, clock } = setup()
    driver.works = () => 'gone'
    const ids: number[] = []
    const done = watch(
      pool.transaction(async ({ connection }) => {
        ids.push(connection.id)
        if (ids.length === 1) connection.next('statement', 'held')
        await connection.statement()
      }),
    )
    await clock.advance(2 * afterMs)
    expect(done.state).toBe('resolved')
    expect(ids).toEqual([1, 2])
  })

  it('is that of COMMIT: what became of the transaction is looked up', async () => {
    const { pool, driver, clock } = setup()
    driver.works = () => 'gone'
    driver.outcomes.push('committed')
    const done = watch(
      pool.transaction(async ({ connection }) => {
        connection.ticket = { transactionId: '77' }
        connection.next('commit', 'held')
        return 'done'
      }),
    )
    await clock.advance(2 * afterMs)
    expect(done.value).toBe('done')
    expect(driver.asked).toEqual(['77'])
  })

  it('is asked about no more when the pool is closed, and what is said of it then does not count', async () => {
    const it = setup()
    const { pool, driver, clock } = it
    const heard: AbortSignal[] = []
    driver.works = (_, signal) => {
      heard.push(signal)
      return new Promise((resolve) => signal.addEventListener('abort', () => resolve('gone')))
    }
    const { statement, lease, answer } = await inFlight(pool)
    await clock.advance(afterMs)
    const closed = watch(pool.close())
    await settled()
    expect(heard.map(({ aborted }) => aborted)).toEqual([true])
    await answer()
    expect(statement.state).toBe('resolved')
    lease.release()
    await settled()
    expect(closed.state).toBe('resolved')
    await expectNothingLeft(it)
  })
})
