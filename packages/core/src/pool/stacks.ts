// Where in the application something happened.

/** What keeps a stack: its text is only made when somebody reads it. */
export interface Taking {
  readonly stack?: string
}

/** A class, as V8 makes what comes of a literal old from its birth once many of them have outlived a collection. */
class Taken implements Taking {
  declare readonly stack?: string
}

/** As deep as stacks are where nobody has said how deep they should be. */
const USUAL_DEPTH = 10

/**
 * The stack of now, without what is above `below`. It is as deep as `Error.stackTraceLimit` allows.
 *
 * @param depth of how many frames somebody will want to know who has not asked for deeper stacks than usual: each costs
 * about as much as all the rest
 */
export function stackOfNow(below: (...args: never) => unknown, depth: number = USUAL_DEPTH): Taking {
  const taking = new Taken()
  const { stackTraceLimit } = Error
  const limited = stackTraceLimit > depth && stackTraceLimit <= USUAL_DEPTH
  // Not assigned: where Error is frozen that throws.
  if (limited) Reflect.set(Error, 'stackTraceLimit', depth)
  Error.captureStackTrace(taking, below)
  if (limited) Reflect.set(Error, 'stackTraceLimit', stackTraceLimit)
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
