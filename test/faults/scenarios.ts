// What may befall COMMITs, as a network or a server does it.

import { type CommitFault, crashes, cuts } from './commit-faults.js'
import type { CrashingServer } from './crashing.js'
import type { RunOptions } from './run.js'

export type Scenario = Pick<
  RunOptions,
  'faults' | 'share' | 'questions' | 'workers' | 'connections' | 'accounts' | 'hangMs' | 'mostHangs'
> & { readonly name: string }

/** Far beyond all limits that a transfer has by itself. */
const oursMs = 60_000

/** Connections end, with all that was on its way. Often, as it costs little time; also those that ask what has become. */
export const cut: Scenario = {
  name: 'cut',
  faults: [...cuts('reset'), ...cuts('fin')],
  questions: 0.3,
  hangMs: oursMs,
}

/** Sockets stay open, and nothing comes any more: the server keeps the transaction open, with its locks. */
export const blackHole: Scenario = {
  name: 'black hole',
  faults: [...cuts('swallow'), ...cuts('reset', 0.5)],
  share: 0.1,
  questions: 0.1,
  hangMs: oursMs,
}

/**
 * All want the same two rows, which a transaction in a black hole has locked. Whoever gets one of the few connections waits
 * for it, and whoever is to find out what became of it needs one.
 */
export const crowd: Scenario = {
  name: 'crowd before a black hole',
  faults: cuts('swallow'),
  share: 0.05,
  ...{ workers: 32, connections: 2, accounts: 2 },
  hangMs: oursMs,
}

/** The server crashes while COMMITs are under way, in both ways in which it can. */
export function crash(server: CrashingServer): Scenario {
  const crashAt = (signal: 'SIGKILL' | 'SIGQUIT') => (afterMs: number) => server.crash(signal, afterMs)
  const faults: CommitFault[] = [
    ...crashes('immediate shutdown', crashAt('SIGQUIT')),
    ...crashes('SIGKILL', crashAt('SIGKILL')),
  ]
  return { name: 'crash', faults, share: 0.05, workers: 16, hangMs: oursMs }
}

/** What is not on disk when the server crashes is gone: here that is as much as can be. */
export const crashSettings = { wal_writer_delay: '10s', checkpoint_timeout: '1h' }
