// What must come of a program of transactions in each other, thought through without a pool, a connection or a clock.

import { type Body, type Counts, most, type Outcome, type Program, type Step } from './nesting.js'

/** What is thrown, as far as it matters. */
interface Thrown {
  readonly kind: Exclude<Outcome['result'], 'done'>
  /** To run again. */
  readonly reason?: 'conflict' | 'lost' | undefined
  /** Something in it may have been applied. */
  readonly unknown?: boolean | undefined
}

interface Note {
  readonly name: string
  undone: boolean
}

/** One attempt, on one connection. */
interface Attempt {
  readonly number: number
  writes: string[]
  readonly notes: Note[]
  /** A statement has failed: only a roll-back helps. */
  failed: boolean
  lost: boolean
  first: Thrown | undefined
}

/** The attempt or a savepoint in it. */
interface Place {
  spoilt: Thrown | undefined
}

const business: Thrown = { kind: 'failed' }
const conflict: Thrown = { kind: 'failed', reason: 'conflict' }
const gone: Thrown = { kind: 'failed', reason: 'lost' }

/** A TransactionAbortedError that names it as its cause. */
function abortedBy(cause: Thrown | undefined): Thrown {
  return { ...cause, kind: 'failed' }
}

export class NestingModel {
  readonly #kept: string[] = []
  readonly #afterwards: string[] = []
  readonly #counts: Counts = { committed: 0, rolledBack: 0, unknown: 0, exhausted: 0, conflict: 0, lost: 0 }

  outcome(program: Program): Outcome {
    const thrown = this.#transaction(program, 'p')
    return {
      kept: this.#kept.sort(),
      afterwards: this.#afterwards,
      result: thrown?.kind ?? 'done',
      counts: this.#counts,
    }
  }

  /** @returns what it throws */
  #transaction({ body, fates }: Program, at: string): Thrown | undefined {
    const made = { conflict: 0, lost: 0 }
    for (let number = 1; ; number++) {
      const attempt: Attempt = { number, writes: [], notes: [], failed: false, lost: false, first: undefined }
      const causes = this.#attempt(body, fates[number - 1] ?? 'answered', attempt, at)
      if (causes === undefined) return undefined
      const [thrown = business] = causes
      const reason = causes.some((cause) => cause?.unknown) ? undefined : causes.find((cause) => cause?.reason)?.reason
      if (reason === undefined) return thrown
      if (made[reason] >= most[reason]) {
        this.#counts.exhausted++
        return { kind: 'exhausted' }
      }
      made[reason]++
      this.#counts[reason]++
    }
  }

  /** @returns what it threw, and what else may be why; undefined if it is done */
  #attempt(
    body: Body,
    fate: NonNullable<Program['fates'][number]>,
    attempt: Attempt,
    at: string,
  ): readonly (Thrown | undefined)[] | undefined {
    const place: Place = { spoilt: undefined }
    const thrown = this.#body(body, attempt, place, at)
    if (thrown !== undefined) {
      this.#end(attempt, 'rolled back')
      return [thrown, attempt.lost ? gone : undefined, attempt.first]
    }
    if (place.spoilt !== undefined || attempt.lost) {
      this.#end(attempt, 'rolled back')
      return [place.spoilt ? abortedBy(place.spoilt) : gone]
    }
    if (fate === 'answered' || fate === 'conflict') {
      const refused = attempt.failed ? abortedBy(attempt.first) : fate === 'conflict' ? conflict : undefined
      this.#end(attempt, refused === undefined ? 'committed' : 'rolled back')
      return refused && [refused]
    }
    const applied = fate.startsWith('applied') && !attempt.failed
    if (fate.endsWith('unknown')) {
      this.#end(attempt, undefined, applied)
      return [{ kind: 'unknown', unknown: true }]
    }
    this.#end(attempt, applied ? 'committed' : 'rolled back')
    return applied ? undefined : [gone]
  }

  #end({ writes, notes }: Attempt, how: 'committed' | 'rolled back' | undefined, applied = how === 'committed'): void {
    if (applied) this.#kept.push(...writes)
    this.#counts[how === 'rolled back' ? 'rolledBack' : (how ?? 'unknown')]++
    if (how === undefined) return
    for (const { name, undone } of notes) {
      this.#afterwards.push(`${name} ${undone ? 'rolled back' : how}`)
    }
  }

  #body({ steps, ends }: Body, attempt: Attempt, place: Place, at: string): Thrown | undefined {
    attempt.notes.push({ name: at, undone: false })
    for (const [number, step] of steps.entries()) {
      const thrown = this.#step(step, attempt, place, `${at}.${number}`)
      if (thrown !== undefined && !('caught' in step && step.caught)) return thrown
    }
    if (ends === 'throws') return business
    return ends === 'conflicts' && attempt.number === 1 ? conflict : undefined
  }

  #step(step: Step, attempt: Attempt, place: Place, at: string): Thrown | undefined {
    switch (step.does) {
      case 'write':
        return this.#statement(attempt, () => void attempt.writes.push(at))
      case 'fail':
        if (step.conflict && attempt.number > 1) return undefined
        return this.#statement(attempt, () => {
          attempt.failed = true
          return step.conflict ? conflict : business
        })
      case 'lose':
        if (attempt.number === 1) attempt.lost = true
        return undefined
      case 'own':
        return this.#transaction(step.own, at)
      case 'beside':
        for (const [number, body] of step.bodies.entries()) this.#nested(body, attempt, `${at}.${number}`)
        return undefined
      case 'nest': {
        if (step.how === 'nested') return this.#nested(step.body, attempt, at)
        const thrown = this.#body(step.body, attempt, place, at)
        place.spoilt ??= thrown
        return thrown
      }
    }
  }

  #statement(attempt: Attempt, run: () => Thrown | undefined): Thrown | undefined {
    const thrown = attempt.lost ? gone : attempt.failed ? business : run()
    attempt.first ??= thrown
    return thrown
  }

  #nested(body: Body, attempt: Attempt, at: string): Thrown | undefined {
    if (attempt.lost) return gone
    if (attempt.failed) return business
    const [writes, notes, first] = [[...attempt.writes], attempt.notes.length, attempt.first]
    const place: Place = { spoilt: undefined }
    const thrown = this.#body(body, attempt, place, at) ?? this.#unsound(attempt, place)
    if (thrown === undefined) return undefined
    for (const note of attempt.notes.slice(notes)) note.undone = true
    attempt.writes = writes
    if (attempt.lost) return thrown
    attempt.failed = false
    attempt.first = first
    return thrown
  }

  #unsound(attempt: Attempt, { spoilt }: Place): Thrown | undefined {
    if (spoilt !== undefined) return abortedBy(spoilt)
    if (attempt.lost) return gone
    return attempt.failed ? abortedBy(attempt.first) : undefined
  }
}
