// A promise one can look at without waiting for it, and which is never unhandled.

export class Watched<T> {
  #state: 'pending' | 'resolved' | 'rejected' = 'pending'
  #value: T[] = []
  #error: unknown

  constructor(promise: PromiseLike<T>) {
    promise.then(
      (value) => {
        this.#state = 'resolved'
        this.#value = [value]
      },
      (error: unknown) => {
        this.#state = 'rejected'
        this.#error = error
      },
    )
  }

  get state(): 'pending' | 'resolved' | 'rejected' {
    return this.#state
  }

  get value(): T {
    for (const value of this.#value) return value
    throw new Error(`expected a value; the promise is ${this.#state}`, { cause: this.#error })
  }

  get error(): unknown {
    if (this.#state !== 'rejected') throw new Error(`expected a rejection; the promise is ${this.#state}`)
    return this.#error
  }
}

export function watch<T>(promise: PromiseLike<T>): Watched<T> {
  return new Watched(promise)
}
