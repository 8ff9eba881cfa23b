// Where in the application something happened.

/** What keeps a stack: its text is only made when somebody reads it. */
export interface Taking {
  readonly stack?: string
}

/** The stack of now, without what is above `below`. It is as deep as `Error.stackTraceLimit` allows. */
export function stackOfNow(below: (...args: never) => unknown): Taking {
  const taking: Taking = {}
  Error.captureStackTrace(taking, below)
  return taking
}

/** Where this package's siblings lie, beside it: in `node_modules`, or in a checkout. Unknown when it was bundled. */
const own = /^(.*\/)core\/(?:dist|src)\/pool\/stacks\.[jt]s$/.exec(import.meta.url)?.[1]

/**
 * The first frame that is neither ours, nor a library's, nor Node's: `file:line:column`, or undefined when there is none.
 */
export function applicationFrame(stack: string | undefined): string | undefined {
  for (const line of stack?.split('\n') ?? []) {
    const place = /^ {4}at (?:async )?(?:.*? \()?(.+?:\d+:\d+)\)?$/.exec(line)?.[1]
    if (place === undefined || place.startsWith('node:') || /[\\/]node_modules[\\/]/.test(place)) continue
    if (own !== undefined && isOwn(place, own)) continue
    return place.replace(/^file:\/\//, '')
  }
  return undefined
}

function isOwn(place: string, directory: string): boolean {
  const path = directory.replace(/^file:\/\//, '')
  return [directory, path].some((start) =>
    ['core', 'postgres', 'drizzle', 'kysely'].some(
      (name) => place.startsWith(`${start}${name}/dist/`) || place.startsWith(`${start}${name}/src/`),
    ),
  )
}
