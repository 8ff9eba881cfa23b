// How an error that could be anything is read: getters and proxies may throw, and an error about an error helps nobody.

/** In every language the server speaks; what it says outside of quotes is its own. */
export const anyQuote = '"«»‹›“”„‟「」『』'
export const quotes: RegExp = new RegExp(`[${anyQuote}]`)

export function textOf(error: unknown, key: string): string | undefined {
  const value = read(error, key)
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** A property of anything. */
export function read(error: unknown, key: string): unknown {
  if ((typeof error !== 'object' && typeof error !== 'function') || error === null) return undefined
  try {
    return Reflect.get(error, key)
  } catch {
    return undefined
  }
}
