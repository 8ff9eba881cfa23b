// One line that says how it goes: rewritten on a terminal, a new one every few seconds elsewhere.

const terminal = process.stdout.isTTY === true
const everyMs = terminal ? 200 : 5_000

export interface Progress {
  /** A line of its own, that stays. */
  tell(text: string): void
  stop(): void
}

export function showProgress(line: () => string): Progress {
  const show = () => process.stdout.write(terminal ? `\r\u001b[K${line()}` : `${line()}\n`)
  const timer = setInterval(show, everyMs)
  return {
    tell: (text) => process.stdout.write(terminal ? `\r\u001b[K${text}\n` : `${text}\n`),
    stop() {
      clearInterval(timer)
      show()
      if (terminal) process.stdout.write('\n')
    },
  }
}
