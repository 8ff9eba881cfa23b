// The application: a few callers that make one transfer after the other, and go on whatever happens.

import { randomInt, randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { Bank, Transfer } from './bank.js'
import type { Books } from './books.js'

export interface Shift {
  readonly accounts: number
  readonly tellers: number
  /** Ends the shift; transfers under way are finished. */
  readonly signal: AbortSignal
}

/** Between two transfers of one teller: long enough that a demo does not take the whole machine. */
const breathMs = 2

export async function work(bank: Bank, books: Books, { accounts, tellers, signal }: Shift): Promise<void> {
  const teller = async () => {
    while (!signal.aborted) {
      await books.enter(drawTransfer(accounts), (transfer) => bank.transfer(transfer))
      await pause(breathMs)
    }
  }
  await Promise.all(Array.from({ length: tellers }, teller))
}

function drawTransfer(accounts: number): Transfer {
  const debited = randomInt(1, accounts + 1)
  // Any other account.
  const credited = ((debited + randomInt(1, accounts) - 1) % accounts) + 1
  return { id: randomUUID(), debited, credited, amount: randomInt(1, 100) }
}
