// A line for each check, its output only when it fails; the process's exit code tells whether all passed.

export class Checklist {
  #passed = 0
  #failed = 0

  /** `check` fails by throwing. Resolves with its result, or undefined if it failed. */
  async run<T>(name: string, check: () => Promise<T>): Promise<T | undefined> {
    const startedAt = performance.now()
    const line = (word: string) => {
      const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1)
      console.log(`${word.padEnd(6)}${name.padEnd(56)}${seconds.padStart(6)} s`)
    }
    try {
      const result = await check()
      this.#passed++
      line('ok')
      return result
    } catch (error) {
      this.#failed++
      line('FAIL')
      console.log(indent(error instanceof Error ? error.message : String(error)))
      return undefined
    }
  }

  end(): void {
    const all = this.#passed + this.#failed
    console.log(this.#failed === 0 ? `all ${all} checks are clean` : `${this.#failed} of ${all} checks failed`)
    process.exitCode = this.#failed === 0 ? 0 : 1
  }
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, '      ')
}
