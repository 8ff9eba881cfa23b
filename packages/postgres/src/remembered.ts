// What the texts of statements tell, or are made into: they come again and again.

/** A text longer than this seldom comes again, and would take much room. */
export const LONG = 4_096
const most = 500

/** The same answers, the latest of them kept. */
export function remembered<T extends boolean | object>(judge: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>()
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
