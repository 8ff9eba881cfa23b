// What a server tells of its sessions, read for connections that wait for an answer. Where it might be otherwise, nothing
// is said: who is told that an answer will never come gives the connection up.

import type { WorkState } from '@moorings/core'
import { moment, type Server } from './server.js'

/** What is known on this side of a connection's wait. */
export interface Wait {
  /** Of the statement, sent so far. */
  readonly bytes: number
  readonly copies: boolean
  /** Bytes, since the connection was made. */
  readonly received: number
  readonly ageMs: number
  /** How long it has waited. */
  readonly forMs: number
}

/** A connection, as it is asked about. */
export interface Overdue {
  readonly pid: number
  readonly server: Server | undefined
  /** When its session began, by the server's clock, if that was learnt before. */
  readonly began: string | undefined
  readonly wait: Wait
}

/** One session, as the server tells of it. */
export interface Session {
  /** Undefined where the asker may not know. */
  readonly began: string | undefined
  readonly ageMs: number
  readonly state: string | undefined
  readonly waitEvent: string | undefined
  readonly changed: string | undefined
}

/** What the asking connection was told. */
export interface Told {
  /** Who answers. */
  readonly server: Server | undefined
  /** How long it has run. */
  readonly upMs: number
  readonly self: number
  readonly sessions: ReadonlyMap<number, Session>
}

/** A session begins while its connection is being made, which takes this long at most. */
const CONNECTING_MS = 10_000
/** What the asker's own age may differ by from what the server says of it. */
const MEASURED_MS = 1_000
/** A wire that carries less is not waited for: what was sent and has not arrived by then was lost. */
const LEAST_BYTES_PER_MS = 16

/** @param pids whole numbers */
export function question(pids: readonly number[]): string {
  return `select pid, ${moment('backend_start')} as began, ${milliseconds('backend_start')} as age,
  state, wait_event, ${moment('state_change')} as changed,
  pg_catalog.pg_backend_pid() as self, ${milliseconds('pg_catalog.pg_postmaster_start_time()')} as up
from pg_catalog.pg_stat_activity where pid in (${['pg_catalog.pg_backend_pid()', ...pids].join(', ')})`
}

/** To be carried out if the session is still where it was when it was asked about. */
export function ending(pid: number, { began, changed }: Session): string {
  return `select pg_catalog.pg_terminate_backend(pid) from pg_catalog.pg_stat_activity
where pid = ${pid} and ${moment('backend_start')} = '${began}' and ${moment('state_change')} = '${changed}'
  and wait_event = 'ClientRead'`
}

function milliseconds(since: string): string {
  return `pg_catalog.round(1000 * extract(epoch from pg_catalog.clock_timestamp() - ${since})::pg_catalog.numeric)`
}

/** Of rows of {@link question}, as text. */
export function toldBy(rows: readonly Readonly<Record<string, unknown>>[], server: Server | undefined): Told {
  const sessions = new Map(
    rows.map(({ pid, began, age, state, wait_event, changed }) => [
      Number(pid),
      {
        began: textOr(began),
        ageMs: Number(age ?? Number.NaN),
        state: textOr(state),
        waitEvent: textOr(wait_event),
        changed: textOr(changed),
      },
    ]),
  )
  return { server, upMs: Number(rows[0]?.up), self: Number(rows[0]?.self), sessions }
}

function textOr(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/**
 * Whether an asker finds itself where it should be. Behind a pooler its session has another number, or is one that began
 * before: then nothing can be known of others either.
 */
export function isItself(pid: number | undefined, ageMs: number, { self, sessions }: Told): boolean {
  const own = sessions.get(self)
  return self === pid && own?.began !== undefined && own.ageMs <= ageMs + MEASURED_MS
}

/** Whether the server hides the asker from itself, as it does for a role that was put on at the start. */
export function isHidden({ self, sessions }: Told): boolean {
  return sessions.has(self) && sessions.get(self)?.began === undefined
}

/** Of an asker that finds itself. */
export function workState({ pid, server, began, wait }: Overdue, told: Told): WorkState {
  if (server?.direct === false) return 'unknown'
  const who = compare(server, wait.ageMs, told)
  if (who === 'another') return 'unknown'
  if (who === 'restarted') return 'gone'
  const session = told.sessions.get(pid)
  const goneIf = (certain: boolean) => (certain && who === 'the same' ? 'gone' : 'unknown')
  if (session === undefined) return goneIf(server?.direct === true)
  if (session.began === undefined) return 'unknown'
  if (began === undefined) {
    // Somebody else's: processes' numbers are used again.
    if (!(Math.abs(session.ageMs - wait.ageMs) <= CONNECTING_MS)) return 'unknown'
  } else if (began !== session.began) return goneIf(true)
  return isIdle(session, wait) ? 'idle' : session.state === 'disabled' ? 'unknown' : 'working'
}

/**
 * It waits for us, while we wait for it. In the middle of the extended protocol it is called active; and so it is while it
 * waits for the data of a COPY. What is sent to it is not seen before it is complete.
 */
function isIdle({ state, waitEvent }: Session, { bytes, copies, forMs }: Wait): boolean {
  if (waitEvent !== 'ClientRead' || forMs < bytes / LEAST_BYTES_PER_MS) return false
  return state?.startsWith('idle') === true || (state === 'active' && !copies)
}

/**
 * Several servers may stand behind one name or address. One that is another says nothing about ours; one that stands where
 * ours did, and was started since, took its place.
 */
function compare(
  ours: Server | undefined,
  ageMs: number,
  { server: theirs, upMs }: Told,
): 'the same' | 'restarted' | 'another' | 'unknown' {
  if (ours === undefined || theirs === undefined) return 'unknown'
  if (ours.place !== theirs.place) return 'another'
  const same = ours.systemIdentifier === theirs.systemIdentifier && ours.startedAt === theirs.startedAt
  if (same) return 'the same'
  return upMs < ageMs ? 'restarted' : 'another'
}
