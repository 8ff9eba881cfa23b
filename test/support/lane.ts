// One direction of a proxied connection: delivers in order, later and slower if told so, and holds its source back
// when it has too much waiting.

import type { Readable, Writable } from 'node:stream'

export interface LaneConditions {
  delayMs: number
  /** `undefined`: as fast as it goes. */
  bytesPerSecond: number | undefined
}

const maximumWaiting = 1024 * 1024
// A throttled chunk leaves in portions of about this much time, so that it trickles instead of coming all at its end.
const portionSeconds = 0.02

interface Portion {
  data: Buffer
  due: number
}

export class Lane {
  readonly #source: Readable
  readonly #target: Writable
  readonly #conditions: LaneConditions
  #queue: Portion[] = []
  #waiting = 0
  #timer: NodeJS.Timeout | undefined
  /** When the link is free for the next byte. */
  #freeAt = 0
  #onEmpty: (() => void)[] = []

  constructor(source: Readable, target: Writable, conditions: LaneConditions) {
    this.#source = source
    this.#target = target
    this.#conditions = conditions
  }

  push(data: Buffer): void {
    const { delayMs, bytesPerSecond } = this.#conditions
    this.#waiting += data.length
    if (this.#waiting > maximumWaiting) this.#source.pause()
    const arrival = performance.now() + delayMs
    if (bytesPerSecond !== undefined) this.#pushPortions(data, arrival, bytesPerSecond)
    else if (delayMs > 0 || this.#queue.length > 0) this.#queue.push({ data, due: arrival })
    else this.#deliver(data)
    this.#schedule()
  }

  /** Runs the callback when everything pushed so far has been given to the kernel, or never can be. */
  whenEmpty(callback: () => void): void {
    if (this.#waiting === 0) callback()
    else this.#onEmpty.push(callback)
  }

  /** Delivers nothing any more. */
  discard(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#queue = []
    this.#settle(this.#waiting)
  }

  #pushPortions(data: Buffer, arrival: number, bytesPerSecond: number): void {
    const size = Math.max(1, Math.floor(bytesPerSecond * portionSeconds))
    for (let start = 0; start < data.length; start += size) {
      const portion = data.subarray(start, start + size)
      this.#freeAt = Math.max(this.#freeAt, arrival) + (portion.length * 1000) / bytesPerSecond
      this.#queue.push({ data: portion, due: this.#freeAt })
    }
  }

  #schedule(): void {
    const next = this.#queue[0]
    if (!next || this.#timer) return
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined
        const now = performance.now()
        while (this.#queue[0] && this.#queue[0].due <= now) {
          const portion = this.#queue.shift()
          if (portion) this.#deliver(portion.data)
        }
        this.#schedule()
      },
      Math.max(0, next.due - performance.now()),
    )
  }

  #deliver(data: Buffer): void {
    if (this.#target.destroyed || this.#target.writableEnded) this.#settle(data.length)
    else this.#target.write(data, () => this.#settle(data.length))
  }

  #settle(bytes: number): void {
    this.#waiting = Math.max(0, this.#waiting - bytes)
    if (this.#waiting <= maximumWaiting / 2) this.#source.resume()
    if (this.#waiting > 0) return
    const callbacks = this.#onEmpty
    this.#onEmpty = []
    for (const callback of callbacks) callback()
  }
}
