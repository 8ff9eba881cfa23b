// What is between the callers and the server: nothing, or some distance.

import postgres from 'postgres'
import { Child } from '../child.js'
import { spread } from '../spread.js'
import type { WireAnswer, WireOrder } from './wire-process.js'

/** By the names under which they are asked for: milliseconds of a round trip. */
export const wireNames = ['loopback', '1ms', '5ms'] as const
export type WireName = (typeof wireNames)[number]

const roundTrips: Readonly<Record<WireName, number>> = { loopback: 0, '1ms': 1, '5ms': 5 }

/** How close it has to come to what it is called, and how often that is tried. */
const tolerance = 0.02
const attempts = 6

export interface Wire {
  readonly name: WireName
  readonly url: string
  /** What it adds to a `select 1` on a bare connection, in milliseconds; undefined for no distance at all. */
  readonly addsMs: number | undefined
  end(): void
}

/** @param samples of `select 1`, for how long it takes */
export async function startWire(name: WireName, url: string, samples: number): Promise<Wire> {
  const wanted = roundTrips[name]
  if (wanted === 0) return { name, url, addsMs: undefined, end() {} }
  const { hostname, port } = new URL(url)
  const file = new URL('wire-process.js', import.meta.url)
  const child = new Child<WireOrder>({ name: `the wire of ${name}`, file, args: [hostname, port || '5432'] })
  try {
    let delayMs = wanted / 2
    const { port } = await child.ask<WireAnswer>({ delayMs })
    const through = new URL(url)
    through.hostname = '127.0.0.1'
    through.port = String(port)
    let addsMs = await added(url, through.href, samples)
    // Passing on takes time of its own, which is part of the distance.
    for (let attempt = 1; attempt < attempts && Math.abs(addsMs / wanted - 1) > tolerance; attempt++) {
      delayMs = Math.max(0, delayMs + (wanted - addsMs) / 2)
      await child.ask<WireAnswer>({ delayMs })
      addsMs = await added(url, through.href, samples)
    }
    return { name, url: through.href, addsMs, end: () => child.kill() }
  } catch (error) {
    child.kill()
    throw error
  }
}

/** By turns, so that whatever slows the machine down slows both. */
async function added(direct: string, through: string, samples: number): Promise<number> {
  const connections = [postgres(direct, { max: 1 }), postgres(through, { max: 1 })]
  const took: number[][] = [[], []]
  try {
    for (let sample = -5; sample < samples; sample++) {
      for (const [place, sql] of connections.entries()) {
        const begun = performance.now()
        await sql`select 1`
        if (sample >= 0) took[place]?.push(performance.now() - begun)
      }
    }
  } finally {
    for (const sql of connections) await sql.end()
  }
  const [near, far] = took.map((milliseconds) => spread(milliseconds).median)
  return (far ?? Number.NaN) - (near ?? Number.NaN)
}
