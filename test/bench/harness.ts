// Compares things that do the same work: by turns, over several rounds, so that what slows the machine down for a while
// slows all of them down. Each lives in a process of its own, as in an application, where no other one's shapes and
// garbage are in its compiler's way. What counts are the ratios within a round; the times are this machine's. They are
// of the processor, collectors and compilers included, whoever else keeps the machine busy: this is for what waits for
// nothing. What talks to a server is compared in orms/.

import { Child } from './child.js'
import { type Spread, spread } from './spread.js'

/** One of those that are compared. */
export interface Subject {
  readonly name: string
  /** Made in its own process; the others are not. */
  start(): Promise<Work>
}

export interface Work {
  /** Does it so many times. Returns something made of every single time, so that no compiler leaves one out. */
  run(operations: number): Promise<number>
  /** Leaves nothing that keeps the process alive. */
  end?(): Promise<unknown>
}

/** The same work for all. The first subject is the measure of the others: its ratio is 1. */
export interface Contest {
  readonly name: string
  /** In one round. */
  readonly operations: number
  readonly subjects: readonly Subject[]
}

export interface Bench {
  readonly name: string
  readonly contests: readonly Contest[]
}

export interface Plan {
  readonly rounds: number
  /** A twentieth of the operations: shows that it runs, and no more. */
  readonly quick: boolean
}

/** What a subject's process is asked for, and what it answers. */
export type Order = { readonly ask: 'turn' | 'garbage'; readonly operations: number } | { readonly ask: 'end' }

export interface Turn {
  /** For one operation. */
  readonly nanoseconds: number
}

/** Bytes of heap, for one operation. */
export interface Garbage {
  /** That it takes, garbage included; undefined if that could not be told. */
  readonly bytes: number | undefined
  /** That it leaves behind for good. */
  readonly kept: number
}

export interface Row {
  readonly subject: string
  /** Of its time to the first subject's, in the same round. */
  readonly ratio: Spread
  /** For one operation. */
  readonly nanoseconds: Spread
  /** See {@link Garbage}. */
  readonly allocated: number | undefined
  readonly kept: number
}

export interface Result {
  readonly bench: string
  readonly contest: string
  readonly operations: number
  readonly rows: readonly Row[]
}

/** Rounds that do not count: compilers take their time. */
const WARM_UPS = 2

export async function measure(bench: string, contest: Contest, { rounds, quick }: Plan): Promise<Result> {
  const operations = quick ? Math.ceil(contest.operations / 20) : contest.operations
  const runs: Run[] = []
  try {
    for (const { name } of contest.subjects) runs.push(new Run(bench, contest.name, name))
    for (let round = 0; round < WARM_UPS + rounds; round++) {
      // Another one begins each round: nobody always comes after the same one.
      const first = round % runs.length
      for (const run of [...runs.slice(first), ...runs.slice(0, first)]) {
        const turn = await run.ask<Turn>({ ask: 'turn', operations })
        if (round >= WARM_UPS) run.turns.push(turn)
      }
    }
    const measureOfAll = runs[0]?.turns ?? []
    const rows: Row[] = []
    for (const run of runs) {
      const times = run.turns.map(({ nanoseconds }) => nanoseconds)
      const ratios = times.map((time, round) => time / (measureOfAll[round]?.nanoseconds ?? Number.NaN))
      const { bytes, kept } = await run.ask<Garbage>({ ask: 'garbage', operations })
      rows.push({
        subject: run.subject,
        ratio: spread(ratios),
        nanoseconds: spread(times),
        allocated: bytes,
        kept,
      })
    }
    for (const run of runs) await run.end()
    return { bench, contest: contest.name, operations, rows }
  } finally {
    for (const run of runs) run.kill()
  }
}

/** A subject in its process. */
class Run {
  readonly subject: string
  readonly turns: Turn[] = []
  readonly #child: Child<Order>

  constructor(bench: string, contest: string, subject: string) {
    this.subject = subject
    const file = new URL('subject-process.js', import.meta.url)
    this.#child = new Child({ name: subject, file, args: [bench, contest, subject] })
  }

  ask<Answer>(order: Order): Promise<Answer> {
    return this.#child.ask(order)
  }

  end(): Promise<void> {
    return this.#child.end({ ask: 'end' })
  }

  kill(): void {
    this.#child.kill()
  }
}
