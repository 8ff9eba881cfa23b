// Runs a program of transactions in each other against a pool, and reads from what was sent to its connections what a
// server would have kept.

import type { CommitOutcome } from '../driver.js'
import { CommitOutcomeUnknownError, RetriesExhaustedError, StatementError } from '../errors.js'
import type { TransactionContext } from '../scope.js'
import type { TransactionScope } from '../transaction/transaction.js'
import type { TransactionOptions } from '../transaction/transaction-options.js'
import { deadlock, lostConnection, serialization } from './failures.js'
import type { FakeConnection } from './fake-connection.js'
import type { Fixture } from './fixture.js'
import { type Body, type Fate, most, type Outcome, type Program, type Step } from './nesting.js'
import { retrying, turns } from './retrying.js'
import { type Watched, watch } from './watch.js'

type Scope = TransactionScope<FakeConnection>

export class NestingRun {
  readonly setup: Fixture = retrying({
    pool: { max: 100, overflow: 0 },
    retry: { maxRetries: most.lost, maxConflictRetries: most.conflict, initialDelayMs: 1, factor: 1 },
  })
  /** What was wrong on the way, beside what comes of it. */
  readonly wrong: string[] = []
  readonly #afterwards: string[] = []
  /** What befalls the next COMMIT on a connection. */
  readonly #fates = new Map<FakeConnection, Fate>()
  /** Where a COMMIT did otherwise than it says by itself: by its place in what was sent. */
  readonly #applied = new Map<FakeConnection, Map<number, boolean>>()
  readonly #told = new Map<string, CommitOutcome>()

  async outcome(program: Program): Promise<Outcome> {
    const { clock, driver, pool } = this.setup
    driver.outcomeOf = async ({ transactionId }) => this.#told.get(transactionId) ?? 'unknown'
    const result = watch(this.#transaction(program, 'p', {}))
    await turns(20)
    for (let timer = 0; result.state === 'pending' && timer < 1_000; timer++) {
      await clock.advanceToNext()
      await turns(20)
    }
    const { committed, rolledBack, unknown, exhausted, retries } = pool.stats().transactions
    return {
      kept: driver.connections.flatMap((connection) => this.#keptOn(connection)).sort(),
      afterwards: this.#afterwards,
      result: kindOf(result),
      counts: { committed, rolledBack, unknown, exhausted, conflict: retries.conflict, lost: retries.lost },
    }
  }

  #transaction({ body, fates }: Program, at: string, options: TransactionOptions): Promise<void> {
    return this.setup.pool.transaction(async (scope, context) => {
      const { connection } = scope
      this.#follow(connection)
      await this.#body(body, scope, context, at)
      this.#fates.set(connection, fates[context.attempt - 1] ?? 'answered')
    }, options)
  }

  #follow(connection: FakeConnection): void {
    this.#fates.delete(connection)
    if (this.#applied.has(connection)) return
    const applied = new Map<number, boolean>()
    this.#applied.set(connection, applied)
    const commit = connection.commit.bind(connection)
    connection.commit = () => {
      const place = connection.sent.length
      const fate = this.#fates.get(connection) ?? 'answered'
      const failed = connection.transactionStatus === 'failed'
      if (fate === 'answered' || (fate === 'conflict' && failed)) return commit()
      applied.set(place, fate.startsWith('applied') && !failed)
      if (fate === 'conflict') {
        connection.next('commit', serialization())
        return commit()
      }
      const transactionId = `${connection.id}:${place}`
      connection.ticket = { transactionId }
      this.#told.set(
        transactionId,
        fate.endsWith('unknown') ? 'unknown' : applied.get(place) ? 'committed' : 'rolled-back',
      )
      connection.next('commit', 'held')
      const answer = commit()
      connection.lose(lostConnection())
      return answer
    }
  }

  async #body({ steps, ends }: Body, scope: Scope, context: TransactionContext, at: string): Promise<void> {
    context.afterCommit(() => this.#afterwards.push(`${at} committed`))
    context.afterRollback(() => this.#afterwards.push(`${at} rolled back`))
    for (const [number, step] of steps.entries()) {
      const done = this.#step(step, scope, context, `${at}.${number}`)
      await ('caught' in step && step.caught ? done.catch(() => {}) : done)
      if (this.setup.pool.scopes.current?.scope !== scope) this.wrong.push(`${at}.${number}: is inside of another one`)
    }
    if (ends === 'throws') throw new Error(`${at} throws`)
    if (ends === 'conflicts' && context.attempt === 1) throw deadlock()
  }

  async #step(step: Step, scope: Scope, context: TransactionContext, at: string): Promise<void> {
    const { pool } = this.setup
    const nested = (body: Body, where: string, propagation: 'nested' | 'required') =>
      pool.transaction((inner, told) => this.#body(body, inner, told, where), { propagation })
    switch (step.does) {
      case 'write':
        return this.#statement(scope, at)
      case 'fail':
        if (step.conflict && context.attempt > 1) return
        return this.#statement(scope, 'fail', step.conflict ? deadlock() : new StatementError('refused'))
      case 'lose':
        if (context.attempt > 1) return
        try {
          scope.connection.lose(lostConnection())
        } catch {
          // It is gone already.
        }
        return
      case 'own':
        return this.#transaction(step.own, at, { propagation: 'requiresNew' })
      case 'beside':
        await Promise.allSettled(step.bodies.map((body, number) => nested(body, `${at}.${number}`, 'nested')))
        return
      case 'nest':
        return nested(step.body, at, step.how)
    }
  }

  /** As an ORM does it: what fails is noted. */
  async #statement(scope: Scope, text: string, error?: Error): Promise<void> {
    try {
      const { connection } = scope
      if (error !== undefined && connection.transactionStatus === 'open') connection.next('statement', error)
      await connection.statement(text)
    } catch (failure) {
      scope.noteError(failure)
      throw failure
    }
  }

  /** As a server reads it. */
  #keptOn(connection: FakeConnection): string[] {
    const kept: string[] = []
    let writes: string[] = []
    let failed = false
    let savepoints: { readonly name: string; readonly writes: number }[] = []
    const find = (name: string) => {
      const found = savepoints.findIndex((savepoint) => savepoint.name === name)
      if (found < 0) this.wrong.push(`connection ${connection.id}: there is no savepoint ${name}`)
      return found
    }
    for (const [number, text] of connection.sent.entries()) {
      const [word = '', ...rest] = text.split(' ')
      const name = rest.at(-1) ?? ''
      if (word === 'begin') [writes, failed, savepoints] = [[], false, []]
      else if (word === 'savepoint') savepoints.push({ name, writes: writes.length })
      else if (word === 'release') savepoints = savepoints.slice(0, find(name))
      else if (text.startsWith('rollback to')) {
        const at = find(name)
        writes = writes.slice(0, savepoints[at]?.writes)
        savepoints = savepoints.slice(0, at + 1)
        failed = false
      } else if (word === 'commit') {
        if (this.#applied.get(connection)?.get(number) ?? !failed) kept.push(...writes)
      } else if (word === 'fail') failed = true
      else if (word.startsWith('p.') && !failed) writes.push(word)
    }
    return kept
  }
}

function kindOf(result: Watched<void>): Outcome['result'] {
  if (result.state === 'resolved') return 'done'
  const { error } = result
  if (error instanceof CommitOutcomeUnknownError) return 'unknown'
  return error instanceof RetriesExhaustedError ? 'exhausted' : 'failed'
}
