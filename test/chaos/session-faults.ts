// What befalls single sessions: a server ends them, and connections are cut exactly at COMMIT.

import { connectAdmin, killBackends } from '../support/admin.js'
import { withDatabase } from '../support/database.js'
import type { Direction } from '../support/framing.js'
import { isCommit } from '../support/matchers.js'
import type { CutHow } from '../support/rules.js'
import type { Fault } from './plan.js'
import type { Scene } from './scene.js'

export const sessionFaults: readonly Fault[] = [
  kill('one session ended', 'pid = (select min(pid) from pg_stat_activity where usename = $1)'),
  kill('sessions ended in a statement', `state = 'active'`),
  kill('sessions ended in a transaction', `state = 'idle in transaction'`),
  kill('sessions ended at rest', `state = 'idle'`),
  kill('all sessions ended', 'true'),
]

export const commitFaults: readonly Fault[] = [
  {
    name: 'COMMIT cut',
    plan(dice) {
      const [direction, when] = dice.pick<[Direction, 'before' | 'after']>([
        ['to-server', 'before'],
        ['to-server', 'after'],
        ['to-client', 'before'],
      ])
      const how = dice.pick<CutHow>(['reset', 'fin', 'swallow'])
      const times = dice.number(1, 6)
      const ms = dice.ms(500, 2_000)
      return {
        how: `${when} ${direction === 'to-server' ? 'its request' : 'its answer'}, ${how}, ${times} on each wire, ${ms} ms`,
        strike: ({ wires, lasts }) =>
          wires.during(
            (proxy) => proxy.cutWhen({ direction, when, how, times, match: isCommit }),
            () => lasts(ms),
          ),
      }
    },
  },
]

/** @param victims in SQL, of the sessions of the user $1 */
function kill(name: string, victims: string): Fault {
  return {
    name,
    plan: () => ({ how: 'of each client', strike: (scene) => killSessions(scene, victims).catch(unlessDown) }),
  }
}

export async function killSessions({ set, clients }: Scene, victims: string): Promise<void> {
  for (const { user, database } of clients) {
    const admin = connectAdmin(withDatabase(set.primary.server.url, database))
    try {
      await killBackends(admin, `usename = $1 and ${victims}`, [user])
    } finally {
      await admin.end()
    }
  }
}

/** The server is down, or goes down meanwhile: its sessions end with it. */
function unlessDown(): void {}
