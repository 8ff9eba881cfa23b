// The rows of the matrix: what befalls the database, or the way to it.

import { type Admin, killBackends } from '../support/admin.js'
import { isCommit } from '../support/matchers.js'
import type { FaultProxy } from '../support/proxy.js'
import type { Node, Replicated } from '../support/replicated.js'
import type { CutHow } from '../support/rules.js'
import { until } from '../support/until.js'
import type { Way } from './ground.js'

export interface Strike {
  readonly set: Replicated
  readonly primary: Node
  /** Where there is one. */
  readonly standby: Node
  /** On the primary. */
  readonly admin: Admin
  /** The clients' database user. */
  readonly user: string
  /** Before the primary. */
  readonly proxy: FaultProxy
  /** Resolves when the fault has lasted that long; a quick run makes it shorter. */
  lasts(ms: number): Promise<void>
  /** The name leads to the server in that place, or its look-up hangs. */
  name(means: number | 'hangs'): Promise<void>
}

export interface Fault {
  readonly name: string
  /** What is done, for the reader of the report. */
  readonly what: string
  /** Default `one host`. */
  readonly way?: Way
  /** Whether it strikes while all connections are idle. */
  readonly atRest?: boolean
  /** Part of a quick run. */
  readonly quick?: boolean
  /** Resolves when the database, and the way to it, are (again) as good as before. */
  strike(strike: Strike): Promise<unknown>
}

const idleMs = 2_000
const outageMs = 3_000
const freezeMs = 5_000

export const faults: readonly Fault[] = [
  {
    name: 'idle connections killed',
    what: 'Nobody asks anything for 2 s; meanwhile the server ends every connection (`pg_terminate_backend`). Then the load goes on.',
    atRest: true,
    quick: true,
    async strike({ admin, user, lasts }) {
      await lasts(idleMs)
      await killBackends(admin, 'usename = $1', [user])
    },
  },
  {
    name: 'killed in a statement',
    what: 'Five times, 200 ms apart, the server ends every connection that is carrying out a statement.',
    strike: (strike) => killOften(strike, `state = 'active'`),
  },
  {
    name: 'killed in a transaction',
    what: 'Five times, 200 ms apart, the server ends every connection that is in a transaction, between two statements.',
    quick: true,
    strike: (strike) => killOften(strike, `state = 'idle in transaction'`),
  },
  {
    name: 'restart',
    what: 'The server is restarted as an administrator does it (`pg_ctl restart -m fast`).',
    strike: ({ primary }) => primary.server.restart('fast'),
  },
  {
    name: 'crash',
    what: 'Every process of the server is killed (SIGKILL). A second later it is started again, and recovers.',
    quick: true,
    async strike({ primary, lasts }) {
      await primary.server.kill('SIGKILL')
      await lasts(1_000)
      await primary.server.restart()
    },
  },
  {
    name: 'slow start',
    what: 'The server crashes, and for 3 s answers everybody that it is starting up (57P03).',
    async strike({ primary, lasts }) {
      const start = await primary.server.restartSlowly('immediate')
      await lasts(outageMs)
      await start.finish()
    },
  },
  {
    name: 'refused',
    what: 'All connections are reset, and for 3 s new ones are refused (ECONNREFUSED).',
    strike: (strike) => refuse(strike, 'closed'),
  },
  {
    name: 'accepted, then closed',
    what: 'All connections are reset, and for 3 s new ones are accepted and closed at once, as by a proxy without a server.',
    strike: (strike) => refuse(strike, 'fin'),
  },
  {
    name: 'too many connections',
    what: 'All connections are ended, and for 3 s the server has no place for new ones (53300).',
    async strike({ admin, user, lasts }) {
      await admin.query(`alter role ${user} connection limit 0`)
      await killBackends(admin, 'usename = $1', [user])
      await lasts(outageMs)
      await admin.query(`alter role ${user} connection limit -1`)
    },
  },
  {
    name: 'black hole while idle',
    what: 'Nobody asks anything for 2 s; meanwhile the network forgets every connection: what is sent gets no answer, and no error. New connections work. Then the load goes on.',
    atRest: true,
    quick: true,
    async strike({ proxy, lasts }) {
      await lasts(idleMs)
      for (const connection of proxy.connections) connection.swallow('both')
    },
  },
  {
    name: 'black hole in a statement',
    what: 'Under load, for 3 s, nothing arrives any more in either direction, and no error either. What was under way stays lost.',
    async strike({ proxy, lasts }) {
      proxy.swallow()
      await lasts(outageMs)
      await proxy.restore()
    },
  },
  {
    name: 'black hole at COMMIT',
    what: 'Of eight transactions each, COMMIT is lost on its way to the server, and its answer on its way back, without an error. It is over with the last of them: where all callers are among them then, nothing succeeds before their limit.',
    strike: (strike) => cutCommits(strike, 'swallow'),
  },
  {
    name: 'connection cut at COMMIT',
    what: 'Eight connections each are reset when COMMIT is about to arrive at the server, and when its answer is about to arrive back.',
    quick: true,
    strike: (strike) => cutCommits(strike, 'reset'),
  },
  {
    name: 'black hole at connect',
    what: 'All connections are reset, and for 3 s new ones are accepted and never answered.',
    strike: (strike) => refuse(strike, 'silent'),
  },
  {
    name: 'server frozen',
    what: 'Every process of the server stands still for 5 s (SIGSTOP), as on a machine that is out of memory or being moved.',
    async strike({ primary, lasts }) {
      await primary.server.freeze()
      await lasts(freezeMs)
      await primary.server.thaw()
    },
  },
  {
    name: 'fail-over',
    what: 'The primary is killed (SIGKILL) and stays away; a second later the standby is promoted. Who knows several hosts is given both.',
    way: 'several hosts',
    quick: true,
    async strike({ set, primary, standby, lasts }) {
      await primary.server.kill('SIGKILL')
      await lasts(1_000)
      await set.failOver(standby)
    },
  },
  {
    name: 'demotion to read-only',
    what: 'The primary goes on, but refuses to write (25006), and the standby is promoted. Who knows several hosts is given both.',
    way: 'several hosts',
    async strike({ set, primary, standby, admin, user }) {
      await primary.makeReadOnly()
      const writing = `select from pg_stat_activity where usename = $1 and xact_start < $2`
      const [now] = await admin.query<{ at: Date }>('select clock_timestamp() as at')
      const done = async () => (await admin.query(writing, [user, now?.at])).length === 0
      await until(done, { what: 'the last writers to end' })
      await set.caughtUp()
      await set.failOver(standby)
    },
  },
  {
    name: 'changed DNS name',
    what: 'Everybody knows the servers by one host name. The primary is killed, a second later the standby is promoted and the name leads there.',
    way: 'changing name',
    async strike({ set, primary, standby, lasts, name }) {
      await primary.server.kill('SIGKILL')
      await lasts(1_000)
      await set.failOver(standby)
      await name(1)
    },
  },
  {
    name: 'DNS hangs',
    what: 'All connections are reset, and for 3 s look-ups of the host name get no answer.',
    way: 'changing name',
    async strike({ proxy, lasts, name }) {
      await name('hangs')
      proxy.resetAll()
      await lasts(outageMs)
      await name(0)
    },
  },
  {
    name: 'latency',
    what: 'For 3 s every byte arrives 100 ms later, in each direction.',
    async strike({ proxy, lasts }) {
      proxy.delay(100)
      await lasts(outageMs)
      await proxy.restore()
    },
  },
  {
    name: 'throttling',
    what: 'For 3 s each connection carries 2 kB/s at most, in each direction.',
    async strike({ proxy, lasts }) {
      proxy.throttle(2_000)
      await lasts(outageMs)
      await proxy.restore()
    },
  },
]

async function refuse({ proxy, lasts }: Strike, how: 'closed' | 'fin' | 'silent'): Promise<void> {
  proxy.refuse(how)
  proxy.resetAll()
  await lasts(outageMs)
  await proxy.restore()
}

/** A time or two it may find nobody there to kill. */
async function killOften({ admin, user, lasts }: Strike, state: string): Promise<void> {
  for (let time = 0; time < 5; time += 1) {
    const killed = async () => (await killBackends(admin, `usename = $1 and ${state}`, [user])).length > 0
    await until(killed, { what: 'somebody to kill', timeoutMs: 2_000 }).catch(() => {})
    await lasts(200)
  }
}

async function cutCommits({ proxy, lasts }: Strike, how: CutHow): Promise<void> {
  const times = 8
  const cuts = [
    proxy.cutWhen({ direction: 'to-server', match: isCommit, when: 'before', how, times }),
    proxy.cutWhen({ direction: 'to-client', match: isCommit, when: 'before', how, times }),
  ]
  await until(() => cuts.every(({ fired }) => fired === times), { what: 'the cuts', timeoutMs: 5_000 }).catch(() => {})
  for (const cut of cuts) cut.remove()
  await lasts(0)
}
