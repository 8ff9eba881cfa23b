import { afterEach, describe, expect, it } from '@jest/globals'
import { InvalidOptionsError } from './errors.js'
import { resolveResilience } from './options.js'
import { optionsFromEnv } from './options-env.js'
import { problemsOfRefusal } from './testing/problems-with.js'

type Env = Record<string, string | undefined>

const DATABASE_URL = 'postgres://app:hunter2@localhost/shop'
const from = (env: Env) => optionsFromEnv({ DATABASE_URL, ...env })
const untouched = { pool: {}, statement: {}, transaction: { retry: {} }, session: {} }
const problemsWith = (env: Env) => problemsOfRefusal(() => optionsFromEnv(env))

describe('optionsFromEnv', () => {
  it('gives the connection, and leaves all that is not set to the defaults', () => {
    const { connection, resilience } = from({ PATH: '/bin', DB_HOST: 'elsewhere' })
    expect(connection).toBe(DATABASE_URL)
    expect(resilience).toEqual(untouched)
    expect(resolveResilience(resilience)).toEqual(resolveResilience({}))
  })

  it('takes all there is', () => {
    const { resilience } = from({
      DB_POOL_SIZE: '20',
      DB_MAX_OVERFLOW: '0',
      DB_POOL_TIMEOUT: '5',
      DB_POOL_RECYCLE: '1800',
      DB_CONNECT_TIMEOUT: '2.5',
      DB_COMMAND_TIMEOUT: '0.25',
      DB_MAX_RETRIES: '3',
      DB_DEADLOCK_RETRY_COUNT: '0',
      DB_RETRY_BASE_DELAY: '0.05',
      DB_RETRY_MAX_DELAY: '2',
      DB_SESSION_TIMEOUT: '900',
    })
    expect(resilience).toEqual({
      pool: { max: 20, overflow: 0, acquireTimeoutMs: 5_000, maxLifetimeMs: 1_800_000, connectTimeoutMs: 2_500 },
      statement: { timeoutMs: 250 },
      transaction: { retry: { maxRetries: 3, maxConflictRetries: 0, initialDelayMs: 50, maxDelayMs: 2_000 } },
      session: { maxDurationMs: 900_000 },
    })
  })

  it('leaves out what is not set, so that it can be spread over options of one’s own', () => {
    const { resilience } = from({ DB_POOL_SIZE: '20' })
    expect(Object.keys(resilience.pool ?? {})).toEqual(['max'])
    expect({ max: 5, overflow: 1, ...resilience.pool }).toEqual({ max: 20, overflow: 1 })
  })

  it('takes -1 of DB_POOL_RECYCLE for never, and 0 of DB_COMMAND_TIMEOUT and DB_SESSION_TIMEOUT for none', () => {
    const none = { DB_POOL_RECYCLE: '-1', DB_COMMAND_TIMEOUT: '0', DB_SESSION_TIMEOUT: '0' }
    const { pool, statement, session } = resolveResilience(from(none).resilience)
    expect(session.maxDurationMs).toBe(0)
    expect(pool.maxLifetimeMs).toBe(0)
    expect(statement.timeoutMs).toBe(0)
  })

  it('takes a pool of one, whose min follows', () => {
    expect(resolveResilience(from({ DB_POOL_SIZE: '1' }).resilience).pool).toMatchObject({ min: 1, max: 1 })
  })

  it.each(['', ' ', '\n'])('takes %j for not set, whatever the variable', (text) => {
    const names = ['DB_POOL_SIZE', 'DB_POOL_TIMEOUT', 'DB_POOL_RECYCLE', 'DB_MAX_RETRIES', 'DB_SESSION_TIMEOUT']
    expect(from(Object.fromEntries(names.map((name) => [name, text]))).resilience).toEqual(untouched)
    expect(problemsWith({ DATABASE_URL: text }).map(({ path }) => path)).toEqual(['DATABASE_URL'])
  })

  it('does not mind blanks around a value, as a file leaves them behind', () => {
    const options = optionsFromEnv({ DATABASE_URL: `${DATABASE_URL}\n`, DB_POOL_SIZE: ' 7 ' })
    expect(options).toEqual({ connection: DATABASE_URL, resilience: { ...untouched, pool: { max: 7 } } })
  })

  it.each([
    ['DB_POOL_SIZE', ['1', '9007199254740991']],
    ['DB_MAX_OVERFLOW', ['0', '9007199254740991']],
    ['DB_POOL_TIMEOUT', ['0.001', '2147483']],
    ['DB_POOL_RECYCLE', ['0.001', '2147483', '-1']],
    ['DB_CONNECT_TIMEOUT', ['0.001', '2147483', '0.0014']],
    ['DB_COMMAND_TIMEOUT', ['0.001', '2147483', '0']],
    ['DB_MAX_RETRIES', ['0', '9007199254740991']],
    ['DB_DEADLOCK_RETRY_COUNT', ['0', '9007199254740991']],
    ['DB_RETRY_BASE_DELAY', ['0.001', '5']],
    ['DB_RETRY_MAX_DELAY', ['0.001', '2147483']],
    ['DB_SESSION_TIMEOUT', ['0.001', '2147483', '0']],
  ])('takes nothing for %s that the pool would then refuse', (name, values) => {
    for (const value of values) expect(() => resolveResilience(from({ [name]: value }).resilience)).not.toThrow()
  })

  it.each([
    ['DB_POOL_SIZE', ['0', '-1', '1.5', 'ten', '1e3', '0x10', '9007199254740992', '10s', '1 0']],
    ['DB_MAX_OVERFLOW', ['-1', '0.5', 'none']],
    ['DB_POOL_TIMEOUT', ['0', '-1', '0.0004', '2147483.1', '30s', '1e3', 'Infinity', 'NaN', '1,5', '1.']],
    ['DB_POOL_RECYCLE', ['0', '-2', '-1.0', '2147484', 'never']],
    ['DB_CONNECT_TIMEOUT', ['0', '-1', 'soon']],
    ['DB_COMMAND_TIMEOUT', ['-1', '0.0004', 'none', '-0']],
    ['DB_MAX_RETRIES', ['-1', '2.5', 'Infinity']],
    ['DB_DEADLOCK_RETRY_COUNT', ['-1', '2.5', 'never']],
    ['DB_RETRY_BASE_DELAY', ['0', '-1', '100ms', '2147484', '5.001']],
    ['DB_RETRY_MAX_DELAY', ['0', '-1', '2147484']],
    ['DB_SESSION_TIMEOUT', ['-1', '0.0004', '2147484', 'never']],
  ])('refuses a %s it cannot make sense of', (name, values) => {
    for (const value of values) {
      const given = JSON.stringify(value)
      expect(problemsWith({ DATABASE_URL, [name]: value })).toEqual([
        { path: name, given, allowed: expect.any(String) },
      ])
    }
  })

  it('says what is allowed in the variable’s own unit', () => {
    const ten = { DB_POOL_SIZE: 'ten', DB_MAX_OVERFLOW: 'ten', DB_POOL_TIMEOUT: 'ten', DB_POOL_RECYCLE: 'ten' }
    const problems = problemsWith({ DATABASE_URL, ...ten, DB_CONNECT_TIMEOUT: 'ten', DB_COMMAND_TIMEOUT: 'ten' })
    expect(problems.map(({ path, allowed }) => [path, allowed])).toEqual([
      ['DB_POOL_SIZE', 'an integer >= 1'],
      ['DB_MAX_OVERFLOW', 'an integer >= 0'],
      ['DB_POOL_TIMEOUT', 'seconds from 0.001 to 2147483'],
      ['DB_POOL_RECYCLE', 'seconds from 0.001 to 2147483, or -1 for never'],
      ['DB_CONNECT_TIMEOUT', 'seconds from 0.001 to 2147483'],
      ['DB_COMMAND_TIMEOUT', 'seconds from 0.001 to 2147483, or 0 for no limit'],
    ])
  })

  it('refuses a first pause that is longer than the longest, as set or by default', () => {
    const path = 'DB_RETRY_BASE_DELAY'
    expect(problemsWith({ DATABASE_URL, DB_RETRY_BASE_DELAY: '2.1', DB_RETRY_MAX_DELAY: '2' })).toEqual([
      { path, given: '"2.1"', allowed: 'at most DB_RETRY_MAX_DELAY (2 seconds)' },
    ])
    expect(problemsWith({ DATABASE_URL, DB_RETRY_BASE_DELAY: '6' })).toEqual([
      { path, given: '"6"', allowed: 'at most DB_RETRY_MAX_DELAY (5 seconds)' },
    ])
    expect(
      problemsWith({ DATABASE_URL, DB_RETRY_BASE_DELAY: '6', DB_RETRY_MAX_DELAY: 'ten' }).map(
        (problem) => problem.path,
      ),
    ).toEqual(['DB_RETRY_MAX_DELAY'])
    expect(() =>
      resolveResilience(from({ DB_RETRY_BASE_DELAY: '6', DB_RETRY_MAX_DELAY: '6' }).resilience),
    ).not.toThrow()
  })

  it('lets the first pause follow a longest one that is shorter than its default', () => {
    const { retry } = resolveResilience(from({ DB_RETRY_MAX_DELAY: '0.02' }).resilience).transaction
    expect(retry).toMatchObject({ initialDelayMs: 20, maxDelayMs: 20 })
  })

  it('names every variable that is wrong, in one error', () => {
    const env = { DB_POOL_SIZE: 'ten', DB_POOL_TIMEOUT: '0', DB_SESSION_TIMEOUT: '5m', DB_MAX_OVERFLOW: '3' }
    expect(() => optionsFromEnv(env)).toThrow(
      new InvalidOptionsError([
        { path: 'DATABASE_URL', given: 'nothing', allowed: 'a URL to connect to' },
        { path: 'DB_POOL_SIZE', given: '"ten"', allowed: 'an integer >= 1' },
        { path: 'DB_POOL_TIMEOUT', given: '"0"', allowed: 'seconds from 0.001 to 2147483' },
        {
          path: 'DB_SESSION_TIMEOUT',
          given: '"5m"',
          allowed: 'seconds from 0.001 to 2147483, or 0 for no limit',
        },
      ]),
    )
    expect(() => optionsFromEnv(env)).toThrow('  DB_POOL_SIZE: given "ten"; allowed: an integer >= 1')
  })

  it('never shows a URL, also not one in the wrong place', () => {
    for (const name of ['DB_POOL_SIZE', 'DB_RETRY_BASE_DELAY', 'DB_SESSION_TIMEOUT']) {
      const problems = problemsWith({ DATABASE_URL, [name]: DATABASE_URL })
      expect(problems).toEqual([{ path: name, given: '(hidden)', allowed: expect.any(String) }])
      expect(JSON.stringify(problems)).not.toContain('hunter2')
    }
  })
})

describe('without an argument', () => {
  const { DATABASE_URL: before } = process.env
  afterEach(() => {
    delete process.env.DB_POOL_SIZE
    if (before === undefined) delete process.env.DATABASE_URL
    else process.env.DATABASE_URL = before
  })

  it('reads the process’s environment, as it is at that moment', () => {
    process.env.DATABASE_URL = DATABASE_URL
    process.env.DB_POOL_SIZE = '3'
    expect(optionsFromEnv()).toEqual({ connection: DATABASE_URL, resilience: { ...untouched, pool: { max: 3 } } })
    process.env.DB_POOL_SIZE = '4'
    expect(optionsFromEnv().resilience.pool).toEqual({ max: 4 })
  })
})
