// Callers that pause, borrow, work for a while and give back, fewer than would keep all busy: what they wait for a
// connection is what a service does that is not overloaded.

import type { Peer } from '../pool-peers.js'

export interface Arrivals {
  readonly callers: number
  readonly connections: number
  /** How long each keeps what it was lent. */
  readonly workMs: number
  /** The part of all connections that is lent on average. */
  readonly busy: number
}

/**
 * How long each pauses is drawn from an exponential distribution. That has no memory: who of those that pause comes next
 * does not matter, only when, and so no timers are needed, which would be a millisecond late.
 *
 * @param took gets the microseconds of every single wait, from the call to the connection
 * @returns seconds
 */
export function letCome(peer: Peer, arrivals: Arrivals, milliseconds: number, took: number[]): Promise<number> {
  const { callers, connections, workMs, busy } = arrivals
  const pauseMs = (callers * workMs) / (connections * busy) - workMs
  const random = randomFrom(1)
  /** In order of time, as all work for equally long. */
  let working: { readonly until: number; readonly giveBack: () => void }[] = []
  let first = 0
  let pausing = callers
  const begun = performance.now()
  const end = begun + milliseconds
  let next = begun

  return new Promise((resolve, reject) => {
    const come = () => {
      const asked = performance.now()
      peer.borrow().then((giveBack) => {
        const lent = performance.now()
        took.push((lent - asked) * 1e3)
        working.push({ until: lent + workMs, giveBack })
      }, reject)
    }
    const goOn = () => {
      const now = performance.now()
      for (let done = working[first]; done !== undefined && done.until <= now; done = working[first]) {
        first++
        pausing++
        done.giveBack()
      }
      if (first > 1_000) {
        working = working.slice(first)
        first = 0
      }
      while (now < end && next <= now && pausing > 0) {
        come()
        pausing--
        next += (-Math.log(1 - random()) * pauseMs) / Math.max(1, pausing)
      }
      if (now >= end && pausing === callers) resolve((now - begun) / 1e3)
      // Never a timer: it would wait for a millisecond at least.
      else setImmediate(goOn)
    }
    goOn()
  })
}

/** Mulberry32: the same for everybody who is compared. */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
