import { describe, expect, it } from '@jest/globals'
import { type Answer, type Fate, fateOf } from './fate.js'
import type { PostgresTicket } from './trace.js'

const ticket: PostgresTicket = {
  transactionId: '1000',
  systemIdentifier: '7',
  timeline: '00000001',
  startedAt: '20260101000000000000',
  recoveredTo: undefined,
  countsSince: '20250101000000000000',
  direct: true,
}
const pooled = { direct: false }
const recoveredOnce = { recoveredTo: '0/100' }

/** Of what it was as the ticket was made. */
const same = { startedAt: ticket.startedAt, recoveredTo: ticket.recoveredTo, countsSince: ticket.countsSince }
const later = { nextXid: '0:2000' }
const earlier = { nextXid: '0:1000' }
const startedAgain = { startedAt: '20260101000001000000' }
const lostCounts = { countsSince: '20260101000001500000' }

const shutDown = { ...same, ...startedAgain }
const crashed = { ...same, ...startedAgain, ...lostCounts, recoveredTo: '0/200' }
/** A backend: the postmaster lives on. */
const crashedInside = { ...same, ...lostCounts, recoveredTo: '0/200' }
const crashedThenShutDown = { ...same, ...startedAgain, ...lostCounts }

type Change = Partial<PostgresTicket>
type Life = Omit<Answer, 'status' | 'nextXid'>

const statuses = ['committed', 'aborted', 'in progress', 'to come', undefined] as const

/** Of each status in turn, with the id above and below what the last checkpoint had heard of. */
function fates(life: Life, change: Change = {}): readonly (readonly [above: Fate, below: Fate])[] {
  const fate = (status: string | undefined, checkpoint: { nextXid: string }) =>
    fateOf({ ...ticket, ...change }, { ...life, ...checkpoint, status })
  return statuses.map((status) => [fate(status, earlier), fate(status, later)])
}

const whatever = (fate: Fate) => [fate, fate] as const
const [rolledBack, unknown, askAgain] = [whatever('rolled-back'), whatever('unknown'), whatever('ask again')]

describe('what a server says of a transaction', () => {
  it.each<[string, Life, Change]>([
    ['that has never crashed', same, {}],
    ['that had crashed before', { ...same, ...recoveredOnce }, recoveredOnce],
    ['whose statistics were discarded by hand', { ...same, ...lostCounts }, {}],
    ['of a version that is not known to discard them', { ...same, countsSince: undefined }, { countsSince: undefined }],
    ['behind a pooler', same, pooled],
  ])('T7: is believed while it is the same one, %s', (_, life, change) => {
    const asItSays = [whatever('committed'), rolledBack, whatever('at work'), unknown, unknown]
    expect(fates(life, change)).toEqual(asItSays)
  })

  it.each<[string, Life, Change]>([
    ['a crash', crashed, {}],
    ['a crash of one that had crashed before', crashed, recoveredOnce],
    ['a crash of a backend', crashedInside, {}],
    ['a crash of a backend, and one had crashed before', crashedInside, recoveredOnce],
    ['a crash, and a clean restart behind it', crashedThenShutDown, {}],
    ['a crash that did not discard the statistics', { ...crashed, countsSince: same.countsSince }, {}],
    ['a restart of a version whose statistics say nothing', { ...crashed, countsSince: undefined }, {}],
  ])('T7: is never that it is committed after %s, and nobody is ended', (_, life, change) => {
    // A stranger's, as the checkpoint's next id tells; or, for all that is known, ours.
    const committed = ['rolled-back', 'unknown']
    expect(fates(life, change)).toEqual([committed, rolledBack, rolledBack, rolledBack, unknown])
  })

  it.each<[string, Life, Change]>([
    ['one', shutDown, {}],
    ['the first one since a crash of long ago', shutDown, recoveredOnce],
  ])('T7: is believed after a clean restart: %s', (_, life, change) => {
    // What is under way cannot be ours, nor anybody else's. An id that is still to come cannot be, either.
    expect(fates(life, change)).toEqual([['unknown', 'committed'], rolledBack, askAgain, unknown, unknown])
  })

  it('T7: is unknown after a clean restart of a version that is not known to discard its statistics in a crash', () => {
    const life = { ...shutDown, countsSince: undefined }
    const committed = ['rolled-back', 'unknown']
    expect(fates(life, { countsSince: undefined })).toEqual([committed, rolledBack, rolledBack, rolledBack, unknown])
  })

  it.each<[string, Life, Fate, Fate]>([
    ['a crash', crashed, 'unknown', 'rolled-back'],
    ['a crash of a backend', crashedInside, 'unknown', 'rolled-back'],
    ['a crash, and a clean restart behind it', crashedThenShutDown, 'unknown', 'rolled-back'],
    ['a clean restart', shutDown, 'committed', 'unknown'],
  ])('T7: may be of a later life where a pooler is in between: after %s', (_, life, committed, toCome) => {
    // Then what is under way may be ours, and an id that the checkpoint had not heard of, too.
    expect(fates(life, pooled)).toEqual([whatever(committed), rolledBack, askAgain, whatever(toCome), unknown])
  })

  it.each([
    // 1000 in the second epoch.
    ['4294968296', '1:1001', 'unknown'],
    ['4294968296', '1:1000', 'rolled-back'],
    ['4294968296', '0:4000000000', 'rolled-back'],
    ['1000', '1:3', 'unknown'],
    ['1000', 'what is this', 'unknown'],
  ])('T7: compares ids in their full length: %s with %s', (transactionId, nextXid, fate) => {
    expect(fateOf({ ...ticket, transactionId }, { ...crashed, status: 'committed', nextXid })).toBe(fate)
  })
})
