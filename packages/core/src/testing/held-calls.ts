// A hook whose calls wait until the test says what becomes of each.

interface HeldCall<Context, Answer> {
  readonly context: Context
  readonly answer: (answer: Answer) => void
  readonly fail: (error: unknown) => void
}

export class HeldCalls<Context, Answer> {
  /** Every call there was, oldest first. */
  readonly calls: HeldCall<Context, Answer>[] = []

  /** To be given to the pool. It hears no signal: whatever limits it, limits it from outside. */
  readonly hook = (context: Context): Promise<Answer> =>
    new Promise((answer, fail) => {
      this.calls.push({ context, answer, fail })
    })

  call(number: number): HeldCall<Context, Answer> {
    const found = this.calls[number - 1]
    if (found === undefined) throw new Error(`there is no call ${number}: ${this.calls.length} were made`)
    return found
  }
}
