// What a pool may spend on retries while its server is in trouble.

/** A token in parts, so that fractions add up exactly. */
const PARTS = 1_000

/**
 * A bucket of tokens: each transaction, or single statement, that is begun puts in a part of one, up to a limit, and each
 * retry after a failure of the infrastructure takes a whole one. While all is well it is full, and what fails now and then is retried. While everything
 * fails, retries add no more than that part to the load, instead of multiplying it by their number.
 *
 * After Finagle's `RetryBudget` (https://finagle.github.io/blog/2016/02/08/retry-budgets) and gRPC's retry throttling
 * (https://github.com/grpc/proposal/blob/master/A6-client-retries.md#throttling-retry-attempts-and-hedged-rpcs). As in gRPC
 * it starts full and knows no time: no timer, and a pool at rest neither gains nor loses.
 */
export class RetryBudget {
  readonly #deposit: number
  readonly #most: number
  #parts: number

  /**
   * @param ratio what a transaction puts in: retries per transaction begun, while everything fails
   * @param burst the most it holds: retries at once, after all was well
   */
  constructor(ratio = 0.2, burst = 20) {
    this.#deposit = Math.round(ratio * PARTS)
    this.#most = Math.floor(burst * PARTS)
    this.#parts = this.#most
  }

  get tokens(): number {
    return this.#parts / PARTS
  }

  /** A transaction began: once for all of its attempts. */
  begun(): void {
    this.#parts = Math.min(this.#most, this.#parts + this.#deposit)
  }

  /** Pays for one retry. False, and nothing taken, when there is not enough for it. */
  take(): boolean {
    if (this.#parts < PARTS) return false
    this.#parts -= PARTS
    return true
  }
}
