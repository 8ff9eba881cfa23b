// The chaos run in short, and that its checker finds what is wrong with clients that are wrong on purpose. The long one is
// `npm run chaos`.

import { describe, expect, it } from '@jest/globals'
import { lanes } from './plan.js'
import { chaos } from './run.js'

/** Some half a minute, if nobody else is at work. */
const busyMachineMs = 240_000

describe('a chaos run', () => {
  it(
    'F3: ends without an anomaly through both ORMs while servers, networks and sessions fail',
    async () => {
      const seed = Math.floor(Math.random() * 2 ** 31)
      const begun = new Set<string>()
      const { loads, anomalies } = await chaos({
        ...{ seed, ms: 15_000, tempo: 0.3, systems: ['drizzle', 'kysely'], lanes },
        onStrike: ({ lane }) => begun.add(lane),
      })
      expect({ seed, anomalies }).toEqual({ seed, anomalies: [] })
      expect(loads.map(({ system }) => system)).toEqual(['drizzle', 'kysely'])
      expect([...begun].sort()).toEqual(lanes.map(({ name }) => name).sort())
    },
    busyMachineMs,
  )

  it(
    'F3: finds a client that forgets, repeats, denies, hangs, throws or stays',
    async () => {
      const systems = ['forgets', 'repeats', 'denies', 'hangs', 'throws', 'stays']
      const { anomalies } = await chaos({ seed: 1, ms: 500, systems, lanes: [], patienceMs: 4_000 })
      const kinds = (system: string) =>
        new Set(anomalies.filter(({ text }) => text.startsWith(`${system}: `)).map(({ kind }) => kind))
      expect(kinds('forgets')).toEqual(new Set(['lost']))
      expect(kinds('repeats')).toEqual(new Set(['duplicate']))
      // Done again by callers who believe it.
      expect(kinds('denies')).toContain('duplicate')
      expect(kinds('hangs')).toEqual(new Set(['hang']))
      expect(kinds('throws')).toEqual(new Set(['uncaught']))
      expect(kinds('stays')).toEqual(new Set(['left']))
    },
    busyMachineMs,
  )

  it(
    'F3: tells when a fault cannot be made, instead of going on without',
    async () => {
      const faults = [
        { name: 'none', plan: () => ({ how: '', strike: () => Promise.reject(new Error('it is broken')) }) },
      ]
      const run = chaos({ seed: 1, ms: 10_000, systems: ['kysely'], lanes: [{ name: 'one', faults, pauseMs: [1, 1] }] })
      await expect(run).rejects.toThrow('it is broken')
    },
    busyMachineMs,
  )
})
