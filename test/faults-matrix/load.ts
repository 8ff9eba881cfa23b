// The load: workers that append to a log and move money, and do again what failed. A caller waits for a call as long as its
// limit says and then goes on with something else; what becomes of the call is noted all the same.

import { setTimeout as pause } from 'node:timers/promises'
import { inventTransfer } from '../faults/run.js'
import { type Call, epoch, type LoadSettings, type Operation } from './messages.js'
import type { Client, Reading, System } from './system.js'

/** How often a caller does a thing, until it takes it for failed. */
const attempts = 3
const beforeRepeatMs = 100
const betweenMs = 10
/** Where there is something to read, one in so many looks at it. */
const readEvery = 20

interface Work extends Pick<Operation, 'id' | 'kind' | 'transfer'> {
  run(): Promise<unknown>
}

interface UnderWay {
  readonly work: Work
  readonly began: number
}

interface End {
  readonly error?: unknown
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
    for (const { work, began } of this.#underWay) {
      this.#notes.call({ began })
      this.#note(work, { told: 'hung', began })
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
    if (number % 2 === 0) {
      const id = `row-${number}`
      return { id, kind: 'append', run: () => this.#client.append(id) }
    }
    const { read } = this.#client
    if (read && number % readEvery === 1) return { id: `read-${number}`, kind: 'read', run: read }
    const transfer = inventTransfer(number, this.#settings)
    return { id: transfer.id, kind: 'transfer', transfer, run: () => this.#client.transfer(transfer) }
  }

  async #operate(work: Work): Promise<void> {
    const began = epoch()
    const told = ({ error }: End) => this.#note(work, { ...this.#told(error, work), began, ended: epoch() })
    for (let attempt = 1; ; attempt += 1) {
      const ended = this.#call(work)
      const end = await within(this.#settings.place.limitMs, ended)
      if (end === undefined) {
        void ended.then(told)
        return
      }
      if (end.error === undefined || attempt === attempts || this.#reads(end.error, work) !== 'repeat') return told(end)
      await pause(beforeRepeatMs)
    }
  }

  #reads(error: unknown, { kind }: Work): Reading {
    return this.#system.reads?.(error, kind) ?? 'repeat'
  }

  /** Of one who does not go on. */
  #told(error: unknown, work: Work): Pick<Operation, 'told' | 'error'> {
    if (error === undefined) return { told: 'acknowledged' }
    const reading = this.#reads(error, work)
    return { told: reading === 'repeat' ? 'rejected' : reading, error: describe(error) }
  }

  #note({ id, kind, transfer }: Work, outcome: Omit<Operation, 'id' | 'kind' | 'transfer'>): void {
    this.#notes.operation({ id, kind, transfer, ...outcome })
  }

  /** Never rejects. */
  async #call(work: Work): Promise<End> {
    const call = { work, began: epoch() }
    this.#underWay.add(call)
    let end: End
    try {
      await work.run()
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
