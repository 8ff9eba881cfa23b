// Verdicts on the texts of statements, which come again and again.

/** A text longer than this seldom comes again, and would take much room. */
export const LONG = 4_096
const most = 500

/** The same verdicts, the latest of them kept. */
export function remembered(judge: (text: string) => boolean): (text: string) => boolean {
  const known = new Map<string, boolean>()
  return (text) => {
    if (text.length > LONG) return judge(text)
    let answer = known.get(text)
    if (answer !== undefined) return answer
    answer = judge(text)
    if (known.size >= most) known.clear()
    known.set(text, answer)
    return answer
  }
}
