// Where a tagged query was written, noted once per place in the code: what a packet brings in knows nothing of it.

const origins = new WeakMap<readonly string[], { readonly stack?: string | undefined }>()

/** @param below the function whose caller is the application */
export function noteOrigin(strings: readonly string[], below: (...args: never[]) => unknown): void {
  if (origins.has(strings)) return
  const origin: { stack?: string } = {}
  Error.captureStackTrace(origin, below)
  origins.set(strings, origin)
}

export function originOf(strings: readonly string[]): { readonly stack?: string | undefined } | undefined {
  return origins.get(strings)
}
