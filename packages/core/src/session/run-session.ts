// A session from its beginning to its end, within its limits.

import { assertFunction, begun } from '../begun.js'
import type { Connection } from '../driver.js'
import { PropagationError, SessionEndedError, SessionExpiredError } from '../errors.js'
import type { Pool } from '../pool/pool.js'
import { stackOfNow } from '../pool/stacks.js'
import { Limits } from '../transaction/limits.js'
import { Session, type SessionContext } from './session.js'
import { checkSessionOptions, completeSession, writtenLimits } from './session-options.js'
import type { Source } from './source.js'

export type SessionBody<C extends Connection, T> = (session: Session<C>, context: SessionContext) => Promise<T> | T

/**
 * @param source where it is asked for: inside of a session it is a part of that
 * @param from whose caller is noted as the one who begins it
 */
export async function runSession<C extends Connection, T>(
  pool: Pool<C>,
  source: Source<C>,
  body: SessionBody<C, T>,
  given: unknown,
  from: (...args: never) => unknown,
): Promise<T> {
  assertFunction(body, 'body')
  const checked = checkSessionOptions(given)
  if (source.joinable !== undefined) {
    throw new PropagationError(
      'A session, or an advisory lock, which needs one, was asked for inside a transaction, which is on a connection of its own until it ends. Begin it around the transaction, or in outsideTransaction(); for a lock inside there is pg_advisory_xact_lock()',
    )
  }
  const options = completeSession(checked, pool.resilience.session)
  if (source instanceof Session) {
    const written = writtenLimits(checked)
    if (written.length > 0) {
      throw new PropagationError(
        `The session's limits (${written.join(', ')}) belong to the outermost one: inside it they cannot be changed`,
      )
    }
    const limits = new Limits(pool.deadlines, { timeoutMs: 0, signal: options.signal }, ends())
    try {
      return await limits.hold(() => pool.scopes.runIn(source, () => begun(() => body(source, source.context))))
    } finally {
      limits.end()
    }
  }
  const session = new Session(pool, options, stackOfNow(from))
  pool.sessions.add(session)
  const { maxDurationMs: timeoutMs, signal, name } = options
  const limits = new Limits(pool.deadlines, { timeoutMs, signal }, ends(name))
  try {
    return await limits.hold(() => pool.scopes.runIn(session, () => begun(() => body(session, session.context))))
  } finally {
    if (limits.over !== undefined) session.expire(limits.over)
    limits.end()
    session.end()
    pool.sessions.delete(session)
  }
}

function ends(name?: string) {
  const which = name === undefined ? 'The session' : `The session '${name}'`
  return {
    late: (limitMs: number) => new SessionExpiredError(`${which} took longer than its limit of ${limitMs} ms`),
    cancelled: (cause: unknown) => new SessionEndedError(`${which} was ended by its signal`, { cause }),
  }
}
