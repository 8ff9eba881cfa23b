// The load: workers that append to a log and move money, and do again what failed. A caller waits for a call as long as its
// limit says and then goes on with something else; what becomes of the call is noted all the same.

import { setTimeout as pause } from 'node:timers/promises'
import type { Transfer } from '../faults/history.js'
import { inventTransfer } from '../faults/run.js'
import { type Call, epoch, type LoadSettings, type Operation } from './messages.js'
import type { Client, System } from './system.js'

/** How often a caller does a thing, until it takes it for failed. */
const attempts = 3
const beforeRepeatMs = 100
const betweenMs = 10

interface Work {
  readonly id: string
  readonly transfer?: Transfer
  run(): Promise<unknown>
}

interface UnderWay {
  readonly id: string
  readonly began: number
}

export interface Notes {
  call(call: Call): void
  operation(operation: Operation): void
}

export class Load {
  readonly #client: Client
  readonly #system: System
  readonly #settings: LoadSettings
  readonly #notes: Notes
  readonly #underWay = new Set<UnderWay>()
  #workers: Promise<void>[] = []
  #going = false
  #next = 1

  constructor(client: Client, system: System, settings: LoadSettings, notes: Notes) {
    this.#client = client
    this.#system = system
    this.#settings = settings
    this.#notes = notes
  }

  go(): void {
    this.#going = true
    this.#workers = Array.from({ length: this.#settings.workers }, () => this.#work())
  }

  /** Resolves when every caller has gone; what they did not wait for may still be under way. */
  async rest(): Promise<void> {
    this.#going = false
    await Promise.all(this.#workers)
  }

  /** Resolves when every call has ended, or hangs. */
  async end(): Promise<void> {
    await this.rest()
    const { place, graceMs } = this.#settings
    const hangs = ({ began }: UnderWay) => epoch() - began > place.limitMs + graceMs
    while (![...this.#underWay].every(hangs)) await pause(20)
    for (const { id, began } of this.#underWay) {
      this.#notes.call({ began })
      this.#notes.operation({ id, transfer: this.#transfer(id), told: 'hung' })
    }
  }

  async #work(): Promise<void> {
    while (this.#going) {
      await this.#operate(this.#nextWork())
      await pause(betweenMs)
    }
  }

  #nextWork(): Work {
    const number = this.#next++
    const id = number % 2 === 0 ? `row-${number}` : `transfer-${number}`
    const transfer = this.#transfer(id)
    if (transfer) return { id, transfer, run: () => this.#client.transfer(transfer) }
    return { id, run: () => this.#client.append(id) }
  }

  #transfer(id: string): Transfer | undefined {
    const [kind, number] = id.split('-')
    if (kind !== 'transfer') return undefined
    return inventTransfer(Number(number), { seed: 1, accounts: this.#settings.accounts })
  }

  async #operate({ id, transfer, run }: Work): Promise<void> {
    const told = (told: Operation['told']) => this.#notes.operation({ id, transfer, told })
    const kind = transfer ? 'transfer' : 'append'
    const read = (error: unknown) => (this.#system.repeats?.(error, kind) === false ? 'unknown' : 'rejected')
    for (let attempt = 1; ; attempt += 1) {
      const ended = this.#call(id, run)
      const end = await within(this.#settings.place.limitMs, ended)
      if (end === undefined) {
        void ended.then(({ error }) => told(error === undefined ? 'acknowledged' : read(error)))
        return
      }
      if (end.error === undefined) return told('acknowledged')
      if (read(end.error) === 'unknown' || attempt === attempts) return told(read(end.error))
      await pause(beforeRepeatMs)
    }
  }

  /** Never rejects. */
  async #call(id: string, run: () => Promise<unknown>): Promise<{ error?: unknown }> {
    const call = { id, began: epoch() }
    this.#underWay.add(call)
    let end: { error?: unknown }
    try {
      await run()
      end = {}
    } catch (error) {
      end = { error: error ?? 'nothing' }
    }
    this.#underWay.delete(call)
    const error = 'error' in end ? describe(end.error) : undefined
    this.#notes.call({ began: call.began, ended: epoch(), error })
    return end
  }
}

/** Undefined when there is nothing by then. */
async function within<T>(limitMs: number, promise: Promise<T>): Promise<T | undefined> {
  const over = new AbortController()
  const late = pause(limitMs, undefined, { signal: over.signal }).catch(() => undefined)
  try {
    return await Promise.race([promise, late])
  } finally {
    over.abort()
  }
}

/** The innermost cause, which a wrapping ORM hides; without numbers, which make two of the same look different. */
export function describe(error: unknown): string {
  let inner = error
  while (inner instanceof Error && inner.cause instanceof Error) inner = inner.cause
  if (!(inner instanceof Error)) return String(inner)
  const outer = error instanceof Error && error.name !== 'Error' && error !== inner ? `${error.name}: ` : ''
  const code = 'code' in inner && typeof inner.code === 'string' ? `${inner.code} ` : ''
  const [said = ''] = (inner.message || inner.name).split('\n', 1)
  return `${outer}${code}${said.replaceAll(/\d+([.:]\d+)*/g, 'N')}`.slice(0, 120)
}
