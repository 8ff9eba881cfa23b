import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { InvalidOptionsError, type OptionProblem } from '@moorings/core'
import postgres from 'postgres'
import {
  adoptClientOptions,
  describe as inWords,
  type ParsedConnection,
  parseConnection,
  parsePoolOptions,
} from './options.js'

const { env } = process
const kept = { ...env }

beforeEach(() => {
  for (const name of Object.keys(env)) if (name.startsWith('PG')) delete env[name]
})
afterEach(() => {
  for (const name of Object.keys(env)) if (!(name in kept)) delete env[name]
  Object.assign(env, kept)
})

function errorOf(run: () => unknown): InvalidOptionsError {
  try {
    run()
  } catch (error) {
    if (error instanceof InvalidOptionsError) return error
    throw error
  }
  throw new Error('these options were accepted')
}

function problemsWith(connection: unknown, extra?: unknown): readonly OptionProblem[] {
  return errorOf(() => parseConnection(connection, extra)).problems
}

/** What decides where a session goes and what it starts with. */
function identity({ library }: ParsedConnection) {
  const { host, port, user, pass, database, connection, path } = library
  return { host, port, user, pass, database, connection, path: path || false }
}

describe('parseConnection: a URL means what it means to postgres.js', () => {
  it.each([
    ['postgres://u:p@h:6000/db'],
    ['postgresql://u:p@h/db'],
    ['postgres://u:p%40%2F%3F@h/db'],
    ['postgres://u:p@ss@h/db'],
    ['postgres://u:a,b@h/db'],
    ['postgres://h'],
    ['postgres:///db'],
    ['postgres://h1:1,h2:2/db'],
    ['postgres://u:p@h1:6000,h2/db'],
    ['postgres://h1,h2,h3'],
    [' postgres://u:p@h/db\n'],
    ['postgres://u:p@h/db?application_name=me&statement_timeout=5000&search_path=a%2Cb'],
    ['postgres://u:p@h/db?sslmode=require&channel_binding=require&prepare=false&fetch_types=false&keep_alive=5'],
    ['postgres://u@h/a%20b'],
  ])('%s', (url) => {
    const parsed = parseConnection(url)
    const { host, port, user, pass, database, connection, path } = postgres(url).options
    expect(identity(parsed)).toEqual({ host, port, user, pass, database, connection, path })
    expect(parsed.endpoints).toEqual(host.map((name, i) => ({ host: name, port: port[i] })))
    expect([parsed.user, parsed.password, parsed.database]).toEqual([user, pass, database])
  })

  it('takes options out of the query and leaves startup parameters in it', () => {
    const parsed = parseConnection(
      'postgres://h/db?sslmode=disable&sslnegotiation=direct&prepare=false&fetch_types=false&keep_alive=7&debug=true&target_session_attrs=primary&lock_timeout=9',
    )
    expect(parsed).toMatchObject({
      ssl: false,
      sslnegotiation: 'direct',
      prepare: false,
      fetchTypes: false,
      keepAliveSeconds: 7,
      debug: true,
      targetSessionAttrs: 'primary',
    })
    expect(parsed.library.connection).toEqual({ application_name: 'postgres.js', lock_timeout: '9' })
  })

  it('lets options beat the query', () => {
    const parsed = parseConnection('postgres://h/db?sslmode=require&prepare=false&keep_alive=7', {
      ssl: false,
      prepare: true,
      keep_alive: null,
      database: 'other',
      port: 7000,
    })
    expect(parsed).toMatchObject({ ssl: false, prepare: true, keepAliveSeconds: 0, database: 'other' })
    expect(parsed.endpoints).toEqual([{ host: 'h', port: 7000 }])
  })

  it('does not let an option of undefined undo the query', () => {
    expect(parseConnection({ url: 'postgres://h/db?sslmode=require', ssl: undefined }).ssl).toBe('require')
  })

  it.each([
    ['disable', false],
    ['false', false],
    ['require', 'require'],
    ['allow', 'allow'],
    ['prefer', 'prefer'],
    ['verify-full', 'verify-full'],
    ['verify-ca', 'verify-full'],
    ['true', true],
  ])('reads sslmode=%s', (word, ssl) => {
    expect(parseConnection(`postgres://h/db?sslmode=${word}`).ssl).toBe(ssl)
    expect(parseConnection(`postgres://h/db?ssl=${word}`).ssl).toBe(ssl)
  })

  it('verifies fully with the roots of the system, and does not send them to the server', () => {
    const parsed = parseConnection('postgres://h/db?sslrootcert=system')
    expect(parsed.ssl).toBe('verify-full')
    expect(parsed.library.connection).toEqual({ application_name: 'postgres.js' })
  })

  it('takes a URL object for its text', () => {
    expect(inWords(parseConnection(new URL('postgres://u:p@h:1/db')))).toBe('postgres://u@h:1/db')
    expect(inWords(parseConnection({ url: new URL('postgres://u:p@h:1/db') }))).toBe('postgres://u@h:1/db')
  })
})

describe('parseConnection: where the library goes wrong', () => {
  it.each([
    ['postgres://u@[::1]:5433/db', [{ host: '::1', port: 5433 }]],
    ['postgres://u@[::1]/db', [{ host: '::1', port: 5432 }]],
    [
      'postgres://u:p@[::1]:1,[fe80::2]:2/db',
      [
        { host: '::1', port: 1 },
        { host: 'fe80::2', port: 2 },
      ],
    ],
  ])('understands IPv6 in %s', (url, endpoints) => {
    expect(parseConnection(url).endpoints).toEqual(endpoints)
  })

  it('understands an IPv6 host in options and environment', () => {
    expect(parseConnection({ host: '::1', port: 9 }).endpoints).toEqual([{ host: '::1', port: 9 }])
    env.PGHOST = '::1'
    env.PGPORT = '8'
    expect(parseConnection({}).endpoints).toEqual([{ host: '::1', port: 8 }])
  })

  it('gives every host of a list the one port', () => {
    expect(parseConnection({ host: ['a', 'b'], port: 7 }).endpoints).toEqual([
      { host: 'a', port: 7 },
      { host: 'b', port: 7 },
    ])
    expect(parseConnection({ host: ['a', 'b'], port: [7, 8] }).endpoints[1]).toEqual({ host: 'b', port: 8 })
    expect(parseConnection({ host: ['a', 'b'] }).endpoints[1]).toEqual({ host: 'b', port: 5432 })
  })

  it('finds a socket by its directory, percent-encoded in a URL or plain in options, and by its path', () => {
    const path = '/tmp/.s.PGSQL.5433'
    const endpoints = [{ host: path, port: 5433, path }]
    expect(parseConnection('postgres://u:p@%2Ftmp:5433/db').endpoints).toEqual(endpoints)
    expect(parseConnection({ host: '/tmp', port: 5433 }).endpoints).toEqual(endpoints)
    expect(parseConnection({ path, port: 5433 }).endpoints).toEqual(endpoints)
    expect(parseConnection({ path, port: 5433 }).library.path).toBe(path)
    env.PGHOST = '/tmp'
    env.PGPORT = '5433'
    expect(parseConnection({}).endpoints).toEqual(endpoints)
  })
})

describe('parseConnection: options', () => {
  it('takes all that a connection needs', async () => {
    const socket = () => undefined
    const onnotice = () => {}
    const types = { point: { to: 600, from: [600], serialize: String, parse: String } }
    const parsed = parseConnection({
      hostname: 'h',
      port: '6000',
      db: 'db',
      username: 'u',
      pass: async () => 'secret',
      ssl: { ca: 'x' },
      types,
      transform: { undefined: null },
      connection: { application_name: 'me', statement_timeout: 5 },
      no_prepare: true,
      onnotice,
      socket,
      debug: false,
    })
    expect(inWords(parsed)).toBe('postgres://u@h:6000/db')
    expect(parsed).toMatchObject({ ssl: { ca: 'x' }, prepare: false, fetchTypes: true, keepAliveSeconds: 60 })
    expect([parsed.socket, parsed.onnotice]).toEqual([socket, onnotice])
    expect(parsed.library.connection).toEqual({ application_name: 'me', statement_timeout: 5 })
    expect(parsed.library.transform.undefined).toBeNull()
    expect(parsed.library.parsers[600]).toBe(String)
    expect(typeof parsed.password === 'function' && (await parsed.password())).toBe('secret')
  })

  it('does not touch what it was given', () => {
    const options = Object.freeze({ host: 'h', no_prepare: true, connection: Object.freeze({ a: 'b' }) })
    parseConnection(options)
    expect(options).toEqual({ host: 'h', no_prepare: true, connection: { a: 'b' } })
  })

  it('takes an empty object for the environment and the defaults', () => {
    expect(parseConnection({}).endpoints).toEqual([{ host: 'localhost', port: 5432 }])
  })

  it('honours the variables that say who and where', () => {
    Object.assign(env, {
      PGHOST: 'eh',
      PGPORT: '6001',
      PGUSER: 'eu',
      PGPASSWORD: 'ep',
      PGDATABASE: 'ed',
      PGAPPNAME: 'ea',
      PGSSL: 'require',
      PGTARGETSESSIONATTRS: 'standby',
    })
    const parsed = parseConnection({})
    expect(inWords(parsed)).toBe('postgres://eu@eh:6001/ed')
    expect(parsed).toMatchObject({ password: 'ep', ssl: 'require', targetSessionAttrs: 'standby' })
    expect(parsed.library.connection).toEqual({ application_name: 'ea' })
    env.PGUSERNAME = 'first'
    expect(parseConnection({}).user).toBe('first')
    expect(parseConnection({ ssl: false }).ssl).toBe(false)
  })

  it('lets no variable for timers and tuning take part', () => {
    const before = parseConnection('postgres://u@h/db')
    Object.assign(env, {
      PGMAX: '77',
      PGIDLE_TIMEOUT: '1',
      PGMAX_LIFETIME: '1',
      PGCONNECT_TIMEOUT: '1',
      PGBACKOFF: '1',
      PGMAX_PIPELINE: '1',
      PGKEEP_ALIVE: '1',
      PGPREPARE: 'false',
      PGDEBUG: 'true',
      PGFETCH_TYPES: 'false',
      PGPUBLICATIONS: 'x',
    })
    const after = parseConnection('postgres://u@h/db')
    expect(JSON.stringify(after.library)).toBe(JSON.stringify(before.library))
    expect(JSON.stringify(after)).toBe(JSON.stringify(before))
    expect(after.library).toMatchObject({ max: 1, idle_timeout: undefined, connect_timeout: 0, max_lifetime: null })
  })

  it.each([
    ['PGSSL', 'maybe'],
    ['PGTARGETSESSIONATTRS', 'any'],
    ['PGPORT', 'abc'],
  ])('refuses a variable it cannot read: %s=%s', (name, value) => {
    env[name] = value
    expect(problemsWith({})).toEqual([
      { path: `environment variable ${name}`, given: `"${value}"`, allowed: expect.any(String) },
    ])
  })

  it('takes PGSSL=disable at its word', () => {
    env.PGSSL = 'disable'
    expect(parseConnection({}).ssl).toBe(false)
  })
})

describe('parseConnection: what it refuses', () => {
  it.each([
    ['max', 20, 'resilience.pool.max'],
    ['idle_timeout', 5, 'resilience.pool.idleTimeoutMs'],
    ['timeout', 5, 'resilience.pool.idleTimeoutMs'],
    ['connect_timeout', 5, 'resilience.pool.connectTimeoutMs'],
    ['max_lifetime', null, 'resilience.pool.maxLifetimeMs'],
    ['backoff', false, 'the pool backs off by itself'],
    ['max_pipeline', 5, 'nothing'],
    ['onclose', () => {}, 'nothing'],
    ['publications', 'p', 'nothing'],
  ])('what the pool owns: %s', (name, value, ours) => {
    const [problem, ...others] = problemsWith({ host: 'h', [name]: value })
    expect(problem?.path).toBe(`connection.${name}`)
    expect(problem?.allowed).toContain(ours)
    expect(others).toEqual([])
    expect(parseConnection({ host: 'h', [name]: undefined }).user).not.toBe('')
  })

  it('the same in the query, each by its name, together with all the rest', () => {
    const url = 'postgres://u:secret@h/db?max=3&idle_timeout=4&connect_timeout=10&backoff=1&sslmode=no-verify&prepare=0'
    const error = errorOf(() => parsePoolOptions({ connection: { url, prot: 1 }, resilience: { pool: { max: 0 } } }))
    expect(error.problems.map(({ path }) => path)).toEqual([
      'connection.prot',
      'connection.url?max',
      'connection.url?idle_timeout',
      'connection.url?connect_timeout',
      'connection.url?backoff',
      'connection.url?sslmode',
      'connection.url?prepare',
      'resilience.pool.max',
    ])
    expect(error.problems[0]?.allowed).toContain('did you mean port?')
    expect(error.problems[3]?.given).toBe('"10"')
  })

  it.each([
    [undefined, 'nothing'],
    [null, 'null'],
    ['', 'an empty string'],
    ['  ', 'an empty string'],
    [5, '5'],
    [[], 'an array of 0'],
    [() => {}, 'a function'],
    [new Map(), 'an object'],
    ['localhost:5432/db', 'a string that is no URL (hidden)'],
    ['mysql://u:secret@h/db', 'a mysql:// URL (hidden)'],
    ['u:secret@h/db', 'a string that is no URL (hidden)'],
  ])('%p in place of a connection', (connection, given) => {
    expect(problemsWith(connection)).toEqual([{ path: 'connection', given, allowed: expect.any(String) }])
  })

  it.each([
    [undefined, 'nothing'],
    ['', 'an empty string'],
    [null, 'null'],
    [5, '(hidden)'],
  ])('%p for a url', (url, given) => {
    expect(problemsWith({ url })).toEqual([{ path: 'connection.url', given, allowed: expect.any(String) }])
  })

  it('only a url of undefined beside a host stands for none', () => {
    expect(parseConnection({ url: undefined, host: 'h' }).endpoints[0]?.host).toBe('h')
  })

  it.each([
    ['connectionString', 'url'],
    ['dbname', 'database'],
    ['application_name', 'connection.application_name'],
  ])("another driver's %s, naming %s", (name, ours) => {
    expect(problemsWith({ [name]: 'postgres://u:secret@h' })[0]?.allowed).toBe(
      `nothing by this name; postgres.js calls it ${ours}`,
    )
  })

  it.each([
    ['port', 0],
    ['port', '5432x'],
    ['port', 70_000],
    ['host', []],
    ['ssl', 'no-verify'],
    ['sslnegotiation', 'later'],
    ['target_session_attrs', 'any'],
    ['prepare', 'false'],
    ['fetch_types', 0],
    ['keep_alive', -1],
    ['types', { x: null }],
    ['types', []],
    ['connection', { a: {} }],
    ['onnotice', true],
    ['socket', {}],
    ['transform', 'camel'],
    ['database', 5],
    ['user', {}],
  ])('%s: %p', (name, value) => {
    const problems = problemsWith({ [name]: value })
    expect(problems).toHaveLength(1)
    expect(problems[0]?.path).toMatch(new RegExp(`^connection\\.${name}`))
    expect(problems[0]?.allowed).not.toMatch(/invalid|expected/i)
  })

  it('hosts and ports that do not pair up, and ports that are none', () => {
    expect(problemsWith({ host: ['a', 'b'], port: [1] })[0]).toMatchObject({ given: '1 ports for 2 hosts' })
    expect(problemsWith('postgres://h:0/db')[0]).toMatchObject({ path: 'connection (port)', given: '0' })
    expect(problemsWith('postgres://h1:1,h2:x/db')[0]).toMatchObject({ path: 'connection (port)', given: 'NaN' })
  })

  it('a zero byte, with which a value could set other startup parameters', () => {
    expect(problemsWith('postgres://u%00replication%00true@h/db')).toHaveLength(1)
    expect(problemsWith('postgres://h/db?application_name=a%00b')).toHaveLength(1)
    expect(problemsWith({ database: 'a\0b' })).toHaveLength(1)
  })
})

describe('the password', () => {
  // Each half would betray it as well.
  const betrays = /hunter|quux/i

  it.each([
    ['postgres://u:hunter/quux@h/db'],
    ['postgres://u:hunter?quux@h/db'],
    ['postgres://u:hunter#quux@h/db'],
    ['postgres://u:99/hunter@h/db'],
    ['postgres://u:99#hunter@h/db'],
    ['postgres://u:x@y/hunter@h/db'],
    ['postgres://u:x@y?hunter@h/db=1'],
    ['postgres://u:x@hunter@h1,h2/db'],
    ['postgres://u:x@hun,ter@h/db'],
    ['postgres://u:hunter%zz@h/db'],
    ['postgres://u:hunter%E0%A4%A@h/db'],
    ['postgres://u:hunter quux@h:70000/db'],
    ['postgres://u:hunter@h1:1,h2:x/db'],
    ['postgres:/u:hunter@h/db'],
    ['postgres//u:hunter@h/db'],
    ['postgre://u:hunter@h/db'],
    ['postgres://u:hunter@/db'],
    ['hunter2'],
    ['postgres://u:hunter@h/db?max=3'],
    ['postgres://u:hunter@h/db?sslmode=hunter://'],
    ['postgres://u:hunter@h%00/db'],
  ])('is not in the error about %s', (url) => {
    expect(problemsWith(url)[0]?.path).toMatch(/^connection/)
    for (const connection of [url, { url }, { url, max: 3 }]) {
      const error = errorOf(() => parsePoolOptions({ connection, resilience: { pool: { max: 0 } } }))
      for (const text of [error.message, JSON.stringify(error), inspect(error, { depth: 9 }), String(error.stack)]) {
        expect(text.replace(/at .*\n/g, '')).not.toMatch(betrays)
      }
      expect(error.cause).toBeUndefined()
    }
  })

  it.each([
    [{ password: 42, host: 5 }],
    [{ pass: ['hunter'] }],
    [{ passwrd: 'hunter' }],
    [{ secret: 'hunter' }],
    [{ host: 'postgres://u:hunter@h' }],
    [{ host: ['u:hunter@h'] }],
    [{ host: 'u:hunter@h' }],
    [{ database: 'x\0hunter' }],
    [{ port: 'postgres://u:hunter@h' }],
    [{ ssl: 'hunter@x' }],
  ])('is not in the error about %j', (connection) => {
    const error = errorOf(() => parseConnection(connection))
    expect(inspect(error, { depth: 9 }).replace(/at .*\n/g, '')).not.toMatch(/hunter|42/)
  })

  it('is in no description, JSON or inspection of a parsed connection', () => {
    const parsed = parseConnection('postgres://u:hunter%40quux@h/db')
    expect(parsed.password).toBe('hunter@quux')
    for (const text of [inWords(parsed), JSON.stringify(parsed), inspect(parsed, { depth: 9 })]) {
      expect(text).not.toMatch(betrays)
    }
  })
})

describe('describe', () => {
  it.each([
    ['postgres://u:p@h1:1,h2:2/db', 'postgres://u@h1:1,h2:2/db'],
    ['postgres://me%40corp:p@[::1]/db', 'postgres://me%40corp@[::1]:5432/db'],
    ['postgres://u@%2Ftmp/db', 'postgres://u@/tmp/.s.PGSQL.5432/db'],
  ])('%s is %s', (url, words) => {
    expect(inWords(parseConnection(url))).toBe(words)
  })
})

describe('adoptClientOptions', () => {
  it("takes over a client's connection and what it says of pooling", () => {
    const client = postgres('postgres://u:p@h1:1,h2:2/db?sslmode=require', {
      max: 20,
      idle_timeout: 20,
      max_lifetime: 1800,
      connect_timeout: 5,
      prepare: false,
    })
    const { connection, resilience } = adoptClientOptions(client)
    expect(inWords(connection)).toBe('postgres://u@h1:1,h2:2/db')
    expect(connection).toMatchObject({ ssl: 'require', prepare: false, password: 'p' })
    expect(resilience).toEqual({
      pool: { max: 20, idleTimeoutMs: 20_000, maxLifetimeMs: 1_800_000, connectTimeoutMs: 5_000 },
    })
  })

  it('has no wish where the client has defaults of its own making', () => {
    const { resilience } = adoptClientOptions(postgres('postgres://h/db'))
    expect(resilience).toEqual({ pool: { max: 10, connectTimeoutMs: 30_000 } })
  })

  it('understands what a query left as text, and null for no limit', () => {
    const client = postgres('postgres://h/db?max=7&prepare=false&debug=true&keep_alive=9&ssl=true', {
      max_lifetime: null,
      connect_timeout: 0,
      idle_timeout: 0,
    })
    const { connection, resilience } = adoptClientOptions(client)
    expect(resilience).toEqual({ pool: { max: 7, idleTimeoutMs: 0, maxLifetimeMs: 0 } })
    expect(connection).toMatchObject({ prepare: false, debug: true, keepAliveSeconds: 9, ssl: true })
  })

  it("leaves the client alone and shares no parsers with it, the user's own types included", () => {
    const client = postgres('postgres://h/db', {
      types: { x: { to: 600, from: [600], serialize: String, parse: String } },
    })
    const { connection } = adoptClientOptions(client)
    connection.library.parsers[600] = undefined
    connection.library.parameters.x = 'y'
    expect(client.options.parsers[600]).toBe(String)
    expect(client.options.max).toBe(10)
    expect(client.parameters).toEqual({})
    expect(connection.library).toMatchObject({ max_lifetime: null, max: 1 })
  })

  it('refuses what is no client', () => {
    for (const value of [undefined, {}, () => {}, { options: {} }]) {
      expect(errorOf(() => adoptClientOptions(value)).problems[0]?.path).toBe('client')
    }
  })

  it('refuses an onclose it could not call', () => {
    const error = errorOf(() => adoptClientOptions(postgres('postgres://h/db', { onclose: () => {} })))
    expect(error.problems.map(({ path }) => path)).toEqual(['client.options.onclose'])
  })
})

describe('parsePoolOptions', () => {
  it('resolves both halves', () => {
    const { connection, resilience } = parsePoolOptions({
      connection: 'postgres://u@h/db',
      resilience: { pool: { max: 3 } },
    })
    expect([inWords(connection), resilience.pool.max]).toEqual(['postgres://u@h:5432/db', 3])
  })

  it.each([
    ['the client', false],
    ['its options', true],
  ])('lets explicit resilience beat what came with %s', (_what, bare) => {
    const client = postgres('postgres://u@h/db', { max: 20, idle_timeout: 5 })
    const connection = bare ? client.options : client
    expect(parsePoolOptions({ connection }).resilience.pool).toMatchObject({ max: 20, idleTimeoutMs: 5_000 })
    const resilience = { pool: { max: 4, idleTimeoutMs: undefined }, statement: { timeoutMs: 9 } }
    const resolved = parsePoolOptions({ connection, resilience }).resilience
    expect(resolved.pool).toMatchObject({ max: 4, idleTimeoutMs: 5_000 })
    expect(resolved.statement.timeoutMs).toBe(9)
  })

  it('reports wrong resilience beside a client as well', () => {
    const connection = postgres('postgres://u@h/db')
    for (const resilience of [5, { pool: 5 }, { pol: {} }]) {
      expect(errorOf(() => parsePoolOptions({ connection, resilience })).problems).toHaveLength(1)
    }
  })
})
