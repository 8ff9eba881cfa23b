// Asks a server whether it still works on what connections wait for: through a connection made for that, to the very
// address they lead to, and closed again.

import type { Duplex } from 'node:stream'
import {
  ConnectError,
  type Credentials,
  isMooringsError,
  type WorkAsking,
  type WorkReport,
  type WorkState,
} from '@moorings/core'
import { plain } from './codec.js'
import type { PostgresConnection } from './connection.js'
import type { ServerAddress } from './options.js'
import { ending, isHidden, isItself, question, type Session, type Told, toldBy, workState } from './work-state.js'

/** How far a connect has come. */
export interface Headway {
  stage: 'preparing' | 'dialling' | 'open' | 'heard'
}

/** Makes a connection to this server, whatever its role. */
export type Reach = (
  endpoint: ServerAddress,
  request: { readonly signal: AbortSignal; readonly credentials: Credentials | undefined },
  headway: Headway,
) => Promise<PostgresConnection>

/** Nothing is there, or no way leads there. Others are about us, or an answer of somebody's. */
const unreachable = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'ENOENT',
])

/** Of a connection that was asked about. */
interface Seen {
  /** Which statement it was about. */
  readonly statement: number
  readonly received: number
  readonly session: Session | undefined
}

type Report = WorkReport<PostgresConnection>

export class WorkAsker {
  readonly #reach: Reach
  readonly #seen = new WeakMap<PostgresConnection, Seen>()

  constructor(reach: Reach) {
    this.#reach = reach
  }

  /** Never rejects. Ends with the signal. */
  async ask(connections: readonly PostgresConnection[], asking: WorkAsking): Promise<Report> {
    // One name may have led to several addresses.
    const groups = [...byAddress(connections).values()]
    const reports = await Promise.all(groups.map((group) => this.#ask(group, asking)))
    const states = new Map<PostgresConnection, WorkState | undefined>()
    for (const [at, group] of groups.entries()) {
      for (const [place, connection] of group.entries()) states.set(connection, reports[at]?.states[place])
    }
    return {
      states: connections.map((connection) => states.get(connection) ?? 'unknown'),
      async finish(givenUp) {
        const among = (group: readonly PostgresConnection[]) => givenUp.filter((one) => group.includes(one))
        await Promise.all(groups.map((group, at) => reports[at]?.finish(among(group))))
      },
    }
  }

  async #ask(connections: readonly PostgresConnection[], asking: WorkAsking): Promise<Report> {
    const { signal } = asking
    const headway: Headway = { stage: 'preparing' }
    const nothing = async () => {}
    const [first] = connections
    if (first === undefined) return { states: [], finish: nothing }
    let asker: PostgresConnection
    try {
      asker = await this.#reach({ ...first.endpoint, address: first.address }, asking, headway)
    } catch (error) {
      const state = outOfReach(error, headway, signal) ? 'unreachable' : 'unknown'
      return { states: connections.map(() => state), finish: nothing }
    }
    const end = async () => {
      if (signal.aborted) asker.destroy(new ConnectError('The time to ask is over'))
      else await asker.close(signal)
    }
    try {
      const states = await this.#askThrough(asker, connections, signal)
      const finish = async (givenUp: readonly PostgresConnection[]) => {
        for (const connection of givenUp) await this.#endSession(asker, connection, signal).catch(() => {})
        await end()
      }
      return { states, finish }
    } catch {
      return { states: [], finish: end }
    }
  }

  async #askThrough(
    asker: PostgresConnection,
    connections: readonly PostgresConnection[],
    signal: AbortSignal,
  ): Promise<readonly WorkState[]> {
    const before = connections.map(({ wait }) => wait.received)
    const pids = connections.flatMap(({ backendKey }) => backendKey?.pid ?? [])
    const told = await tell(asker, pids, signal)
    if (!isItself(asker.backendKey?.pid, asker.wait.ageMs, told)) return []
    return connections.map((connection, at) => this.#stateOf(connection, told, before[at]))
  }

  #stateOf(connection: PostgresConnection, told: Told, before: number | undefined): WorkState {
    const { wait, server, waitingSince, statements: statement } = connection
    const pid = connection.backendKey?.pid
    if (pid === undefined || waitingSince === undefined) return 'unknown'
    const seen = this.#seen.get(connection)
    const state = workState({ pid, server, began: seen?.session?.began, wait }, told)
    const known = state === 'idle' || state === 'working'
    const session = known ? told.sessions.get(pid) : seen?.session
    this.#seen.set(connection, { statement, received: wait.received, session })
    // The rest of its answer may be on its way yet.
    const moves = wait.received !== before || (seen?.statement === statement && wait.received !== seen.received)
    return state === 'idle' && moves ? 'working' : state
  }

  /** Or it would keep its locks until it finds out by itself, and whoever tries again would wait for them. */
  async #endSession(asker: PostgresConnection, connection: PostgresConnection, signal: AbortSignal): Promise<void> {
    const pid = connection.backendKey?.pid
    const session = this.#seen.get(connection)?.session
    if (pid === undefined || session?.began === undefined) return
    await asker.execute({ text: ending(pid, session) }, { codec: plain, signal, timeoutMs: 0 })
  }
}

async function tell(asker: PostgresConnection, pids: readonly number[], signal: AbortSignal): Promise<Told> {
  const ask = async () => {
    const { rows } = await asker.execute({ text: question(pids) }, { codec: plain, signal, timeoutMs: 0 })
    return toldBy(rows, asker.server)
  }
  const told = await ask()
  if (!isHidden(told) || asker.server?.direct !== true) return told
  await asker.execute({ text: 'set role none' }, { codec: plain, signal, timeoutMs: 0 })
  return ask()
}

function outOfReach(error: unknown, { stage }: Headway, signal: AbortSignal): boolean {
  if (stage === 'preparing' || stage === 'heard') return false
  if (stage === 'open' || signal.aborted) return true
  return isMooringsError(error) && error.code !== undefined && unreachable.has(error.code)
}

function byAddress(connections: readonly PostgresConnection[]): Map<string | undefined, PostgresConnection[]> {
  const groups = new Map<string | undefined, PostgresConnection[]>()
  for (const connection of connections) {
    const group = groups.get(connection.address)
    if (group === undefined) groups.set(connection.address, [connection])
    else group.push(connection)
  }
  return groups
}

/** To be called at once when the socket is open. */
export function followed(headway: Headway, socket: Duplex): void {
  headway.stage = 'open'
  socket.once('data', () => {
    headway.stage = 'heard'
  })
}
