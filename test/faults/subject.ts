// A system under test, behind one small face: the same transfers, whoever carries them out.

import { setTimeout as pause } from 'node:timers/promises'
import type { Told, Transfer } from './history.js'

export interface Subject {
  readonly name: string
  /** With that many connections at most. Connects when it is used. */
  open(url: string, connections: number): Bank
  /** What a caller makes of an error of `transfer`. */
  reads(error: unknown): Extract<Told, 'rejected' | 'unknown' | 'strange'>
}

export interface Bank {
  /** Resolves when it says that the transfer is done. */
  transfer(transfer: Transfer): Promise<void>
  close(): Promise<void>
}

const attempts = 5

/** The loop that many an application has around its transactions: whatever fails is done again. */
export async function naively(work: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work()
    } catch (error) {
      if (attempt === attempts) throw error
      await pause(20 * attempt)
    }
  }
}
