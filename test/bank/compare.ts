// Several subjects do the same transfers, by turns, over several rounds: what slows the machine down for a while slows
// all of them down.

import { Branch, type BranchSettings, type Outcome } from './branch.js'
import type { Subject } from './subject.js'
import { transferOf } from './transfers.js'

export interface Plan extends BranchSettings {
  readonly server: string
  readonly subjects: readonly Subject[]
  /** For each subject, in all rounds together. */
  readonly transfers: number
  readonly rounds: number
  readonly seed: number
}

export interface Score {
  readonly orm: Subject['orm']
  readonly subject: string
  readonly outcomes: Outcome[]
  /** One for each round. */
  readonly seconds: number[]
  /** What is wrong with its books. */
  readonly findings: string[]
}

/** For each worker, before the first round: connections are made, and code is compiled. */
const warmUps = 4

export async function compare(plan: Plan, onRound: (round: number) => void = () => {}): Promise<Score[]> {
  const { subjects, transfers, rounds, seed, accounts, connections, signal } = plan
  const branches: Branch[] = []
  try {
    for (const subject of subjects) branches.push(await Branch.open(subject, plan.server, plan))
    const numbered = (first: number, count: number) =>
      Array.from({ length: count }, (_, index) => transferOf(first + index, seed, accounts))
    for (const branch of branches) await branch.carryOut(numbered(-warmUps * connections, warmUps * connections))

    const turns = branches.map((branch) => ({ branch, outcomes: [] as Outcome[], seconds: [] as number[] }))
    for (let round = 0; round < rounds && !signal?.aborted; round++) {
      const first = Math.floor((round * transfers) / rounds)
      const batch = numbered(first, Math.floor(((round + 1) * transfers) / rounds) - first)
      // Another one begins each round: nobody always comes after the same one.
      const leader = round % turns.length
      for (const { branch, outcomes, seconds } of [...turns.slice(leader), ...turns.slice(0, leader)]) {
        const startedAt = performance.now()
        outcomes.push(...(await branch.carryOut(batch)))
        seconds.push((performance.now() - startedAt) / 1_000)
      }
      onRound(round + 1)
    }

    const scores: Score[] = []
    for (const { branch, outcomes, seconds } of turns) {
      const { orm, name } = branch.subject
      scores.push({ orm, subject: name, outcomes, seconds, findings: await branch.audit() })
    }
    return scores
  } finally {
    for (const branch of branches) await branch.close()
  }
}
