// Time as the pool sees it: monotonic, and replaceable in tests.

export interface Timer {
  cancel(): void
  ref(): void
  unref(): void
}

export interface Clock {
  /** Milliseconds that never go back, whatever happens to the wall clock. */
  now(): number
  setTimer(run: () => void, delayMs: number): Timer
  /** Resolves once the event loop has looked for what came in on the sockets meanwhile. */
  turn(): Promise<void>
}

export const systemClock: Clock = {
  now: () => performance.now(),
  setTimer(run, delayMs) {
    const timeout = setTimeout(run, delayMs)
    return { cancel: () => clearTimeout(timeout), ref: () => timeout.ref(), unref: () => timeout.unref() }
  },
  // The first may come before the loop polls again, the second comes after.
  turn: () => new Promise((resolve) => setImmediate(() => setImmediate(resolve))),
}
