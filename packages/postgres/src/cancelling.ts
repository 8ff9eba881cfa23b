// Has the server stop what it does for a connection, by other means than that connection.

import { ConnectionLostError, type MooringsError } from '@moorings/core'
import type { Job } from './job.js'
import type { QueueOwner, QueueParts } from './queue-parts.js'

export class Cancelling {
  readonly #owner: QueueOwner
  readonly #parts: Pick<QueueParts, 'deadlines' | 'cancelTimeoutMs'>

  constructor(owner: QueueOwner, parts: Pick<QueueParts, 'deadlines' | 'cancelTimeoutMs'>) {
    this.#owner = owner
    this.#parts = parts
  }

  /**
   * Of one that runs, and whose caller has been told. The connection is destroyed if the server does not confirm in time.
   *
   * @param sent called when the server has taken the request: nothing that is sent now can be hit by it
   */
  begin(job: Job, sent: () => void): void {
    const { deadlines, cancelTimeoutMs } = this.#parts
    job.interrupted = true
    job.cancelling = true
    const deadline = deadlines.add(cancelTimeoutMs, () => {
      this.#owner.destroy(new ConnectionLostError(`The server did not confirm a cancel within ${cancelTimeoutMs} ms`))
    })
    if (job.deadline !== undefined) deadlines.delete(job.deadline)
    job.deadline = deadline
    const cancel = () =>
      this.#cancel().finally(() => {
        job.cancelling = false
        sent()
      })
    const { lead } = job
    // It must not hit BEGIN: what is behind it would run outside of any transaction.
    if (lead === undefined || lead.answered) cancel()
    else lead.whenAnswered = cancel
  }

  /** The connection cannot be used any more, and the server is told to stop what it does for it. */
  giveUp(reason: MooringsError): void {
    this.#owner.destroy(reason)
    void this.#cancel()
  }

  /** It may outlive the connection, for which the server is to hear of it; but not its limit, nor the pool. */
  #cancel(): Promise<void> {
    const { deadlines, cancelTimeoutMs } = this.#parts
    const abort = new AbortController()
    const deadline = deadlines.awaited(cancelTimeoutMs, () => abort.abort())
    return this.#owner.cancel(abort.signal).finally(() => deadlines.delete(deadline))
  }
}
