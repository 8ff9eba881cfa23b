// Programs under load that meet a fault, go on, and close their pools. What they await gets errors; nothing else may.

import { type Db, orms } from '../orms.js'
import { ended, note, openAll, order, pause, program, report, url } from './stage.js'

const resilience = {
  pool: { min: 1, max: 3, overflow: 1, acquireTimeoutMs: 500, connectTimeoutMs: 300, closeTimeoutMs: 500 },
  statement: { timeoutMs: 500 },
}

/** Callers in every shape there is, over and over, until told to stop. */
function load(dbs: readonly Db[]): () => Promise<void> {
  let stopped = false
  const rounds = dbs.flatMap((db) => [
    () => db.query('select 1'),
    () => db.query('select pg_sleep(0.02)'),
    () => db.insert('mark'),
    () => db.query('select 1 / 0'),
    () => db.transaction((tx) => tx.insert('mark')),
    () => db.transaction(async (tx) => Promise.all([tx.query('select pg_sleep(0.02)'), tx.insert('mark')])),
    // Whose rejection comes before anybody looks: still the caller's, who looks in the end.
    () =>
      db.transaction(async (tx) => {
        const early = ended(tx.query('select pg_sleep(0.02)'))
        await pause(10)
        await tx.insert('late')
        return early
      }),
    async () => {
      const lease = await db.pool.acquire()
      await pause(5)
      lease.release()
    },
  ])
  const workers = rounds.map(async (round) => {
    while (!stopped) {
      await ended(round())
      await pause(1)
    }
  })
  return async () => {
    stopped = true
    await Promise.all(workers)
  }
}

async function meets(fault: () => Promise<void>): Promise<void> {
  const dbs = openAll(resilience)
  for (const db of dbs) await db.query('select 1')
  const stop = load(dbs)
  await pause(50)
  await fault()
  await pause(50)
  await order('restore')
  await stop()
  const back = dbs.map(async (db) => {
    for (let tries = 0; tries < 20; tries++) {
      const seen = await ended(db.query('select 7 as n'))
      if (Array.isArray(seen)) return seen
    }
    return 'never back'
  })
  note('back', await Promise.all(back))
  // What was cancelled on the way may still wait for the server's word.
  for (let tries = 0; tries < 100 && dbs.some((db) => db.pool.stats().leased > 0); tries++) await pause(50)
  note(
    'leased',
    dbs.map((db) => db.pool.stats().leased),
  )
  await Promise.all(dbs.map((db) => db.close()))
}

async function repeatedly(times: number, what: () => Promise<void>): Promise<void> {
  for (let i = 0; i < times; i++) {
    await what()
    await pause(40)
  }
}

async function hopeless(connection: Parameters<typeof openAll>[1]): Promise<void> {
  const dbs = openAll(resilience, connection)
  const calls = dbs.flatMap((db) => [
    ...Array.from({ length: 5 }, () => db.query('select 1')),
    db.transaction((tx) => tx.insert('mark')),
    db.pool.start(),
  ])
  await Promise.all(calls.map(ended))
  await Promise.all(dbs.map((db) => db.close()))
}

function changed(change: (url: URL) => void): string {
  const copy = new URL(url)
  change(copy)
  return copy.href
}

const programs: Record<string, () => Promise<void>> = {
  'backends killed': () => meets(() => repeatedly(6, () => order('kill all'))),
  'connections reset': () => meets(() => repeatedly(6, () => order('reset all'))),
  'connections closed': () => meets(() => repeatedly(6, () => order('close all'))),
  'connections refused': () =>
    meets(async () => {
      await order('closed')
      await order('reset all')
      await pause(500)
    }),
  'accepted, then closed': () =>
    meets(async () => {
      await order('fin')
      await order('kill all')
      await pause(500)
    }),
  'accepted, then reset': () =>
    meets(async () => {
      await order('reset')
      await order('close all')
      await pause(500)
    }),
  'accepted and never answered': () =>
    meets(async () => {
      await order('silent')
      await order('reset all')
      await pause(700)
    }),
  'a black hole': () =>
    meets(async () => {
      await order('swallow')
      await pause(700)
    }),
  'a wrong password': () =>
    hopeless(
      changed((it) => {
        it.password = 'wrong'
      }),
    ),
  'an unknown database': () =>
    hopeless(
      changed((it) => {
        it.pathname = '/no_such_database'
      }),
    ),
  'a password function that rejects': () => hopeless({ url, password: () => Promise.reject(new Error('sealed')) }),
  'a password function that throws': () =>
    hopeless({
      url,
      password: () => {
        throw new Error('sealed')
      },
    }),
  'a password function that hangs': () => hopeless({ url, password: () => new Promise<string>(() => {}) }),
  'a password function that rejects after close': async () => {
    const late = (): Promise<string> => pause(200).then(() => Promise.reject(new Error('sealed')))
    const dbs = orms.map((orm) => orm.open({ url, password: late }, resilience))
    const calls = dbs.map((db) => ended(db.query('select 1')))
    await pause(50)
    await Promise.all(dbs.map((db) => db.close()))
    await Promise.all(calls)
    await pause(300)
  },
}

await programs[program]?.()
await report()
