// Calls the application's hooks: each within its time, its failure told and turned into an error of ours.

import type { Deadlines } from '../deadlines.js'
import type { Connection, Credentials, Driver } from '../driver.js'
import { ConnectError, HookError } from '../errors.js'
import { type CloseReason, type HookName, type PoolIdentity, publish } from '../events.js'
import type { AcquireVerdict } from '../hooks.js'
import type { Resilience } from '../options.js'
import { redact } from '../redact.js'

export class HookCalls {
  readonly #pool: PoolIdentity
  readonly #driver: Driver
  readonly #deadlines: Deadlines
  readonly #hooks: Resilience['hooks']
  readonly #onConnect: string | undefined

  constructor(pool: PoolIdentity, driver: Driver, deadlines: Deadlines, { hooks, pool: options }: Resilience) {
    this.#pool = pool
    this.#driver = driver
    this.#deadlines = deadlines
    this.#hooks = hooks
    this.#onConnect = options.onConnect
  }

  /** Whether there is anything to set up. */
  get setsUp(): boolean {
    return this.#onConnect !== undefined || this.has('afterConnect')
  }

  has(hook: HookName): boolean {
    return this.#hooks[hook] !== undefined
  }

  /** @param givenUp fires when the connect is given up */
  async credentials(givenUp: AbortSignal): Promise<Credentials | undefined> {
    const { beforeConnect } = this.#hooks
    if (beforeConnect === undefined) return undefined
    const run = (signal: AbortSignal) => beforeConnect({ signal })
    const credentials = await this.#call('beforeConnect', undefined, givenUp, run).catch((error: unknown) => {
      throw connectError(error)
    })
    return credentials ?? undefined
  }

  /** Makes a session what its borrowers may expect: a new one, and one that was put back to how it began. */
  async setUp(connection: Connection, givenUp: AbortSignal): Promise<void> {
    const { afterConnect } = this.#hooks
    if (!this.setsUp) return
    if (this.#onConnect !== undefined) await this.#runOnConnect(connection, this.#onConnect)
    if (afterConnect !== undefined) {
      const run = (signal: AbortSignal) => afterConnect({ connection, signal })
      await this.#call('afterConnect', connection.id, givenUp, run).catch((error: unknown) => {
        throw connectError(error)
      })
    }
    if (busy(connection)) {
      throw new ConnectError('onConnect or the afterConnect hook left a transaction open, or a statement running', {
        retry: 'never',
      })
    }
    connection.keepState('set-up')
  }

  async #runOnConnect(connection: Connection, text: string): Promise<void> {
    const { timeoutMs } = this.#hooks
    const late = () => new ConnectError(`onConnect took longer than ${timeoutMs} ms (hooks.timeoutMs)`)
    try {
      await this.#deadlines.limit(timeoutMs, late, (signal) => connection.execute({ text }, { signal }))
    } catch (cause) {
      if (cause instanceof ConnectError) throw cause
      const { code, message, retry } = this.#driver.classify(cause, 'statement')
      throw new ConnectError(`onConnect failed: ${message}`, { code, cause, retry })
    }
  }

  async beforeAcquire(connection: Connection, givenUp: AbortSignal): Promise<AcquireVerdict> {
    const { beforeAcquire } = this.#hooks
    if (beforeAcquire === undefined) return 'use'
    const run = (signal: AbortSignal) => beforeAcquire({ connection, signal })
    const verdict = await this.#call('beforeAcquire', connection.id, givenUp, run)
    if (!busy(connection)) return verdict
    throw new HookError('beforeAcquire', 'left a transaction open, or a statement running')
  }

  async afterRelease(
    connection: Connection,
    heldMs: number,
    givenUp: AbortSignal,
  ): Promise<'keep' | 'destroy' | undefined> {
    const { afterRelease } = this.#hooks
    if (afterRelease === undefined) return 'keep'
    const run = (signal: AbortSignal) => afterRelease({ connection, signal, heldMs })
    return (await this.#call('afterRelease', connection.id, givenUp, run)) ?? undefined
  }

  /** Never rejects: the connection is closed whatever comes of it. */
  async beforeClose(connection: Connection, reason: CloseReason, givenUp: AbortSignal): Promise<void> {
    const { beforeClose } = this.#hooks
    if (beforeClose === undefined) return
    const run = (signal: AbortSignal) => beforeClose({ connection, signal, reason })
    await this.#call('beforeClose', connection.id, givenUp, run).catch(() => {})
  }

  async #call<T>(
    hook: HookName,
    id: number | undefined,
    givenUp: AbortSignal,
    run: (signal: AbortSignal) => T | Promise<T>,
  ): Promise<T> {
    const { timeoutMs } = this.#hooks
    const late = () => new HookError(hook, `took longer than ${timeoutMs} ms (hooks.timeoutMs)`)
    try {
      return await this.#deadlines.limit(timeoutMs, late, async (limit) => run(AbortSignal.any([limit, givenUp])))
    } catch (cause) {
      const error = cause instanceof HookError ? cause : new HookError(hook, `failed: ${messageOf(cause)}`, { cause })
      publish('moorings:hook:failed', this.#pool, () => ({ hook, id, error }))
      throw error
    }
  }
}

function busy({ transactionStatus, activity }: Connection): boolean {
  return transactionStatus !== 'idle' || activity !== 'idle'
}

/** Whatever keeps a connection from being made is told as that; another attempt may do better. */
function connectError(cause: unknown): ConnectError {
  return new ConnectError(messageOf(cause), { cause, retry: 'reconnect' })
}

export function messageOf(error: unknown): string {
  // It may quote the URL that a token was asked from.
  return redact(
    typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : String(error),
  )
}
