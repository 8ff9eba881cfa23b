// A branch of the bank: one subject with books of its own, and workers that carry out transfers through it.

import { createDatabase, type Database, inventName } from '../support/database.js'
import { audit, openBooks, readBooks, type Told } from './ledger.js'
import type { Bank, BankSettings, Subject } from './subject.js'
import type { Transfer } from './transfers.js'

export interface Outcome extends Told {
  readonly attempts: number
  /** From the caller's asking to the last answer. */
  readonly ms: number
}

export interface BranchSettings extends BankSettings {
  /** The fewer, the more transfers are in each other's way. */
  readonly accounts: number
  /** How long the server waits for a lock before it looks for a deadlock. Undefined: the server's own, usually 1 s. */
  readonly deadlockTimeoutMs?: number | undefined
}

export class Branch {
  readonly subject: Subject
  readonly #database: Database
  readonly #bank: Bank
  readonly #workers: number
  readonly #signal: AbortSignal | undefined
  readonly #told: Told[] = []

  private constructor(subject: Subject, database: Database, settings: BranchSettings) {
    this.subject = subject
    this.#database = database
    this.#workers = settings.connections
    this.#signal = settings.signal
    this.#bank = subject.open(database.url, settings)
  }

  static async open(subject: Subject, server: string, settings: BranchSettings): Promise<Branch> {
    const database = await createDatabase(inventName('bank'), server)
    try {
      const set = (setting: string) => database.admin.query(`alter database "${database.name}" set ${setting}`)
      if (settings.deadlockTimeoutMs !== undefined) await set(`deadlock_timeout = ${settings.deadlockTimeoutMs}`)
      // Six rows fit on one page, and a serializable transaction that reads all of it is in conflict with every other.
      // The accounts of a bank are not found that way.
      await set('enable_seqscan = off')
      await openBooks(database.admin, settings.accounts)
      return new Branch(subject, database, settings)
    } catch (error) {
      await database.drop()
      throw error
    }
  }

  /** Resolves when all are done, or the signal has ended it and those under way are done. */
  async carryOut(transfers: readonly Transfer[]): Promise<Outcome[]> {
    const outcomes: Outcome[] = []
    const queue = transfers.values()
    // One queue for all: each takes the next.
    const worker = async () => {
      for (const transfer of queue) {
        outcomes.push(await this.#carryOut(transfer))
        if (this.#signal?.aborted) return
      }
    }
    await Promise.all(Array.from({ length: this.#workers }, worker))
    this.#told.push(...outcomes)
    return outcomes
  }

  async #carryOut(transfer: Transfer): Promise<Outcome> {
    let attempts = 0
    const startedAt = performance.now()
    let error: unknown
    try {
      await this.#bank.transfer(transfer, () => ++attempts)
    } catch (reason) {
      error = reason ?? new Error('rejected with nothing')
    }
    return { transfer, attempts, ms: performance.now() - startedAt, error }
  }

  /** What is wrong with the books, after everything that was carried out so far. */
  async audit(): Promise<string[]> {
    return audit(await readBooks(this.#database.admin), this.#told)
  }

  async close(): Promise<void> {
    try {
      await this.#bank.close()
    } finally {
      await this.#database.drop()
    }
  }
}
