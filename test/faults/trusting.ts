// A look-up by the book, written by hand: whatever pg_xact_status says about the transaction's number is believed. That
// is right until the server crashes: what was not on disk by then is gone, and its numbers are given out again, so that
// 'committed' may be said of a stranger.

import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import type { Transfer } from './history.js'
import { type Bank, naively, type Subject } from './subject.js'

type Status = 'committed' | 'aborted' | 'in progress'

export const trusting: Subject = {
  name: 'pg, pg_xact_status believed after a crash',
  open(url, connections) {
    const pool = new pg.Pool({ connectionString: url, max: connections, query_timeout: 2_000 })
    pool.on('error', () => {})
    pool.on('connect', (client) => void client.on('error', () => {}))
    return new TrustingBank(pool)
  },
  reads: () => 'rejected',
}

class TrustingBank implements Bank {
  readonly #pool: pg.Pool

  constructor(pool: pg.Pool) {
    this.#pool = pool
  }

  transfer(transfer: Transfer): Promise<void> {
    return naively(async () => {
      const lost = await this.#attempt(transfer)
      if (lost !== undefined && (await this.#statusOf(lost)) !== 'committed') throw new Error('it was rolled back')
    })
  }

  close(): Promise<void> {
    return this.#pool.end()
  }

  /** The number of the transaction, if its COMMIT was not answered. */
  async #attempt({ id, debited, credited, amount }: Transfer): Promise<string | undefined> {
    const client = await this.#pool.connect()
    let failure: Error | undefined
    let number: string | undefined
    try {
      await client.query('begin')
      await client.query('insert into journal values ($1, $2, $3, $4)', [id, debited, credited, amount])
      const { rows } = await client.query<{ number: string }>('select pg_current_xact_id()::text as number')
      const [first, second] = debited < credited ? [debited, credited] : [credited, debited]
      const update = 'update accounts set balance = balance + $1 where id = $2'
      for (const account of [first, second])
        await client.query(update, [account === debited ? -amount : amount, account])
      number = rows[0]?.number
      await client.query('commit')
      return undefined
    } catch (error) {
      failure = error instanceof Error ? error : new Error(String(error))
      if (number === undefined) throw error
      return number
    } finally {
      client.release(failure)
    }
  }

  /** Asked again until there is an answer; a number that the server has not given out yet was rolled back. */
  async #statusOf(number: string): Promise<Status> {
    for (;;) {
      try {
        const { rows } = await this.#pool.query<{ status: Status }>('select pg_xact_status($1::xid8) as status', [
          number,
        ])
        const status = rows[0]?.status ?? 'aborted'
        if (status !== 'in progress') return status
      } catch (error) {
        if (error instanceof pg.DatabaseError && error.code === '22023') return 'aborted'
      }
      await pause(20)
    }
  }
}
