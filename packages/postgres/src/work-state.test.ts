// What is made of a server's word about a session. When in doubt nothing is said.

import { describe, expect, it } from '@jest/globals'
import type { Server } from './server.js'
import {
  isHidden,
  isItself,
  type Overdue,
  type Session,
  type Told,
  toldBy,
  type Wait,
  workState,
} from './work-state.js'

const server: Server = {
  systemIdentifier: '7001',
  timeline: '00000001',
  startedAt: '20260101000000000000',
  recoveredTo: undefined,
  countsSince: undefined,
  place: '10.0.0.5 5432',
  direct: true,
  words: { id: '', assignedId: '', statusOf: () => '' },
}
/** Waits for 12 s on a connection of a minute. */
const wait: Wait = { bytes: 100, copies: false, received: 5_000, ageMs: 60_000, forMs: 12_000 }
const idle: Session = {
  began: '20260102000000000000',
  ageMs: 60_100,
  state: 'idle',
  waitEvent: 'ClientRead',
  changed: '20260102000048000000',
}

function state(session: Partial<Session> | undefined, told: Partial<Told> = {}, asked: Partial<Overdue> = {}) {
  const sessions = new Map(session === undefined ? [] : [[42, { ...idle, ...session }]])
  return workState(
    { pid: 42, server, began: undefined, wait, ...asked },
    { server, upMs: 86_400_000, self: 99, sessions, ...told },
  )
}

describe('a session that is found', () => {
  it.each<[string, Partial<Session>]>([
    ['is idle', {}],
    ['is idle in a transaction', { state: 'idle in transaction' }],
    ['is idle in a transaction that failed', { state: 'idle in transaction (aborted)' }],
    ['waits for the rest of what it is asked, in the extended protocol', { state: 'active' }],
  ])('idle: it %s, and waits for us', (_, session) => {
    expect(state(session)).toBe('idle')
  })

  it.each<[string, Partial<Session>]>([
    ['is active', { state: 'active', waitEvent: undefined }],
    ['waits for a lock', { state: 'active', waitEvent: 'transactionid' }],
    ['waits for a standby to confirm its COMMIT', { state: 'active', waitEvent: 'SyncRep' }],
    ['writes what is read slowly', { state: 'active', waitEvent: 'ClientWrite' }],
    ['is done, and writes the rest of what is read slowly', { waitEvent: 'ClientWrite' }],
    ['calls a function', { state: 'fastpath function call', waitEvent: undefined }],
  ])('working: it %s', (_, session) => {
    expect(state(session)).toBe('working')
  })

  it.each<[string, Partial<Session>]>([
    ['does not say what it does (track_activities)', { state: 'disabled' }],
    ['is hidden from the asker', { began: undefined, ageMs: Number.NaN, state: undefined, waitEvent: undefined }],
    ['is too old to be ours', { ageMs: 80_000 }],
    ['is too young to be ours', { ageMs: 40_000 }],
    ['says nothing of its age', { ageMs: Number.NaN }],
  ])('unknown: it %s', (_, session) => {
    expect(state(session)).toBe('unknown')
  })

  it('working: what was sent is so much that it may be on its way yet', () => {
    const sent = (bytes: number) => state({}, {}, { wait: { ...wait, bytes } })
    expect([sent(16 * 12_000), sent(16 * 12_000 + 16)]).toEqual(['idle', 'working'])
  })

  it('working: a COPY waits for its data', () => {
    expect(state({ state: 'active' }, {}, { wait: { ...wait, copies: true } })).toBe('working')
    expect(state({ state: 'idle' }, {}, { wait: { ...wait, copies: true } })).toBe('idle')
  })

  it('gone: it is another one of the same number', () => {
    expect(state({}, {}, { began: idle.began })).toBe('idle')
    expect(state({}, {}, { began: '20260101120000000000' })).toBe('gone')
  })
})

describe('a session that is not found', () => {
  it('gone: on the server it was on', () => {
    expect(state(undefined)).toBe('gone')
  })

  it('unknown: its number may be a pooler’s own', () => {
    const pooled = { ...server, direct: false }
    expect(state(undefined, {}, { server: pooled })).toBe('unknown')
    expect(state({}, {}, { server: pooled })).toBe('unknown')
    expect(state(undefined, { upMs: 1_000, server: { ...server, startedAt: 'later' } }, { server: pooled })).toBe(
      'unknown',
    )
  })

  it('unknown: who answers does not say who it is, or ours did not', () => {
    expect(state(undefined, { server: undefined })).toBe('unknown')
    expect(state(undefined, {}, { server: undefined })).toBe('unknown')
    expect(state({}, { server: undefined }, { server: undefined })).toBe('idle')
    expect(state({}, { server: undefined }, { server: undefined, began: 'another' })).toBe('unknown')
  })
})

describe('a server that was started at another time', () => {
  const other = { ...server, startedAt: '20260102000030000000' }

  it('gone: in the place of ours, and since we connected', () => {
    expect(state(undefined, { server: other, upMs: 30_000 })).toBe('gone')
    expect(state({}, { server: other, upMs: 30_000 })).toBe('gone')
    expect(state(undefined, { server: { ...other, systemIdentifier: '7002' }, upMs: 30_000 })).toBe('gone')
  })

  it('unknown: it has run for longer, and shares an address with ours', () => {
    expect(state(undefined, { server: other })).toBe('unknown')
    expect(state({}, { server: other })).toBe('unknown')
  })

  it('unknown: it is elsewhere, behind the same name', () => {
    const elsewhere = { ...other, place: '10.0.0.6 5432' }
    expect(state(undefined, { server: elsewhere, upMs: 30_000 })).toBe('unknown')
    expect(state({}, { server: { ...server, place: '10.0.0.6 5432' } })).toBe('unknown')
  })
})

describe('an asker', () => {
  const row = { pid: '99', began: idle.began, age: '40', state: 'active', wait_event: null, changed: null, self: '99' }
  const told = (more: object = {}) => toldBy([{ ...row, up: '86400000', ...more }], server)

  it('is itself if its session has its number, and began when it did', () => {
    expect(isItself(99, 50, told())).toBe(true)
    expect(isItself(98, 50, told())).toBe(false)
    expect(isItself(undefined, 50, told())).toBe(false)
    expect(isItself(99, 50, told({ age: '60000' }))).toBe(false)
    expect(isItself(99, 50, told({ pid: '98' }))).toBe(false)
    expect(isItself(99, 50, toldBy([], server))).toBe(false)
  })

  it('may be hidden from itself', () => {
    expect(isHidden(told())).toBe(false)
    expect(isHidden(told({ began: null, age: null }))).toBe(true)
    expect(isItself(99, 50, told({ began: null, age: null }))).toBe(false)
    expect(isHidden(toldBy([], server))).toBe(false)
  })
})
