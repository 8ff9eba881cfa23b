// P16, P28, P30: what only a process of its own can show. It ends by itself, leaves nothing open, and nothing goes
// wrong in it that nobody waits for: a rejection without a handler, or a word on stderr, fails the test.

import { describe, expect, it } from '@jest/globals'
import { refusesWrongPasswords } from '../support/passwords.js'
import { type Ended, runChild } from './children/run.js'
import { useScene } from './scene.js'

const scene = useScene()

/** Our own errors, by the names of the classes. */
const ours =
  /^(\w+(Timeout|Lost|Closed|Connect|Authentication|Ended|Aborted|Unknown|Exhausted|Full)\w*|ConnectError|AuthenticationError|StatementError|PoolClosedError)$/

function endedWell(ended: Ended): void {
  expect(ended).toMatchObject({ output: '', code: 0, signal: null, report: { left: [] } })
  for (const name of ended.report?.errors ?? []) expect(name).toMatch(ours)
  // Far below any timer of the pool's own that could have kept it alive, and far above what ending takes.
  expect(ended.lingeredMs).toBeLessThan(5_000)
}

const nothing = { idle: 0, leased: 0, connecting: 0, waiting: 0 }

it('P28: a program that makes databases and does not use them ends at once, and nobody was called', async () => {
  const ended = await runChild(scene, 'ends', 'unused')
  endedWell(ended)
  expect(scene.proxy.accepted).toBe(0)
})

describe('P16: the process can end after a black hole', () => {
  it('P16: the statement’s deadline has passed', async () => {
    const ended = await runChild(scene, 'ends', 'black hole mid-statement')
    endedWell(ended)
    expect(ended.report).toMatchObject({ errors: ['StatementTimeoutError'], notes: { counts: [nothing, nothing] } })
  })

  it('P16: closed with the statement under way', async () => {
    const ended = await runChild(scene, 'ends', 'black hole, closed with the statement under way')
    endedWell(ended)
    expect(ended.report).toMatchObject({ errors: ['ConnectionLostError'] })
  })

  it('P16: closed while the server is asked to stop the statement, and does not answer that, either', async () => {
    const ended = await runChild(scene, 'ends', 'black hole, closed while the server is asked to stop')
    endedWell(ended)
    expect(ended.report).toMatchObject({ errors: ['StatementTimeoutError'] })
  })

  it('P16: closed while the server is asked to stop a COPY', async () => {
    const ended = await runChild(scene, 'ends', 'black hole, closed while the server is asked to stop a COPY')
    endedWell(ended)
    expect(ended.report).toMatchObject({ errors: ['StatementTimeoutError'] })
  })
})

it.each([
  ['used and closed', []],
  // Drizzle's transaction is run again, as its connection was lost, and finds the pool closed.
  ['closed with leases out', ['ConnectionLostError', 'PoolClosedError']],
  ['closed with leases that never come back', []],
  ['closed with waiters', ['PoolClosedError']],
  ['closed during connect', ['PoolClosedError']],
  ['closed during back-off', ['PoolClosedError']],
  ['closed in the moment of the first call, twice', ['PoolClosedError']],
  ['closed with a listener', []],
])('P28: after close() the process ends by itself, no socket and no timer left: %s', async (program, errors) => {
  const ended = await runChild(scene, 'ends', program)
  endedWell(ended)
  expect(ended.report?.errors).toEqual(errors)
})

it.each([
  'backends killed',
  'connections reset',
  'connections closed',
  'connections refused',
  'accepted, then closed',
  'accepted, then reset',
  'accepted and never answered',
  'a black hole',
])('P30: under load, no uncaught exception and no unhandled rejection, and back afterwards: %s', async (program) => {
  const ended = await runChild(scene, 'faults', program)
  endedWell(ended)
  expect(ended.report?.notes).toEqual({ back: [[{ n: 7 }], [{ n: 7 }]], leased: [0, 0] })
})

it.each([
  ['a wrong password', ['AuthenticationError']],
  ['an unknown database', ['ConnectError']],
  ['a password function that rejects', ['AuthenticationError']],
  ['a password function that throws', ['AuthenticationError']],
  ['a password function that hangs', ['AcquireTimeoutError']],
  ['a password function that rejects after close', ['PoolClosedError']],
])('P30: no uncaught exception and no unhandled rejection: %s', async (program, errors) => {
  if (program === 'a wrong password' && !(await refusesWrongPasswords(scene.url))) return
  const ended = await runChild(scene, 'faults', program)
  endedWell(ended)
  expect(ended.report?.errors).toEqual(errors)
})
