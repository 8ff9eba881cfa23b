// What befalls servers: they stop, crash, stand still, refuse, and hand over to their standby. Each of these resolves when
// there is a primary with a standby again.

import type { StopMode } from '../support/postmaster.js'
import type { Node } from '../support/replicated.js'
import { until } from '../support/until.js'
import type { Fault } from './plan.js'
import type { Scene } from './scene.js'
import { killSessions } from './session-faults.js'

export const serverFaults: readonly Fault[] = [
  {
    name: 'restart',
    plan(dice) {
      const mode = dice.pick<StopMode>(['fast', 'immediate'])
      return { how: mode, strike: ({ set }) => set.primary.server.restart(mode) }
    },
  },
  {
    name: 'crash',
    plan(dice) {
      const ms = dice.ms(0, 2_500)
      return {
        how: `away for ${ms} ms`,
        async strike({ set, lasts }) {
          await set.primary.server.kill('SIGKILL')
          await lasts(ms)
          await set.primary.server.restart()
        },
      }
    },
  },
  {
    name: 'slow start',
    plan(dice) {
      const ms = dice.ms(500, 4_000)
      return {
        how: `for ${ms} ms`,
        async strike({ set, lasts }) {
          const start = await set.primary.server.restartSlowly('immediate')
          await lasts(ms)
          await start.finish()
        },
      }
    },
  },
  {
    name: 'server frozen',
    plan(dice) {
      const ms = dice.ms(500, 5_000)
      return {
        how: `for ${ms} ms`,
        async strike({ set, lasts }) {
          const { server } = set.primary
          await server.freeze()
          await lasts(ms)
          await server.thaw()
        },
      }
    },
  },
  {
    name: 'standby frozen',
    plan(dice) {
      const ms = dice.ms(500, 3_000)
      return {
        how: `for ${ms} ms`,
        async strike({ set, lasts }) {
          const { server } = standbyOf(set)
          await server.freeze()
          await lasts(ms)
          await server.thaw()
        },
      }
    },
  },
  failOver('fail-over from a crash', ({ server }) => server.kill('SIGKILL')),
  failOver('fail-over from a server that is frozen', ({ server }) => server.freeze()),
  {
    name: 'orderly switch',
    plan: () => ({
      how: 'to the standby',
      async strike({ set }) {
        await set.caughtUp()
        await set.switchOver(standbyOf(set))
      },
    }),
  },
  {
    name: 'demotion to read-only',
    plan(dice) {
      const ms = dice.ms(0, 2_000)
      return {
        how: `the standby is promoted, and the old one read-only for another ${ms} ms`,
        async strike(scene) {
          const { set, lasts } = scene
          const old = set.primary
          await old.makeReadOnly()
          await noWriters(scene)
          await set.caughtUp()
          await set.failOver(standbyOf(set))
          await lasts(ms)
          await old.server.kill('SIGKILL')
          await set.rejoin(old)
        },
      }
    },
  },
  {
    name: 'too many connections',
    plan(dice) {
      const ms = dice.ms(500, 3_000)
      return {
        how: `all ended, and refused for ${ms} ms`,
        async strike(scene) {
          const { set, clients, lasts } = scene
          const limit = async (places: number) => {
            for (const { user } of clients)
              await set.primary.admin.query(`alter role ${user} connection limit ${places}`)
          }
          await limit(0)
          await killSessions(scene, 'true')
          await lasts(ms)
          await limit(-1)
        },
      }
    },
  },
]

/** The old primary comes back as a standby, without what it had and nobody was told of. */
function failOver(name: string, strike: (primary: Node) => Promise<void>): Fault {
  return {
    name,
    plan(dice) {
      const [awayMs, aloneMs] = [dice.ms(0, 1_500), dice.ms(0, 1_500)]
      return {
        how: `after ${awayMs} ms, the old one back ${aloneMs} ms later`,
        async strike({ set, lasts }) {
          const old = set.primary
          // As an operator would: a standby that lags behind is not promoted.
          await set.caughtUp()
          await strike(old)
          await lasts(awayMs)
          await set.failOver(standbyOf(set))
          await lasts(aloneMs)
          // One that was frozen must never go on: it does not know that it leads no more.
          await old.server.kill('SIGKILL')
          await set.rejoin(old)
        },
      }
    },
  }
}

/** Those that were in a transaction when the server became read-only may write on; who takes too long is ended. */
async function noWriters(scene: Scene): Promise<void> {
  const { admin } = scene.set.primary
  const users = scene.clients.map(({ user }) => user)
  const [now] = await admin.query<{ at: Date }>('select clock_timestamp() as at')
  const old = () =>
    admin.query('select from pg_stat_activity where usename = any($1) and xact_start < $2', [users, now?.at])
  const gone = async () => (await old()).length === 0
  await until(gone, { what: 'the last writers to end', timeoutMs: 1_000 }).catch(() => killSessions(scene, 'true'))
}

function standbyOf({ standbys }: Scene['set']): Node {
  const [standby] = standbys
  if (!standby) throw new Error('there is no standby')
  return standby
}
