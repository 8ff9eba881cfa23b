// What became of statements outside of transactions whose connections were lost, in plain counters.

/** Since the pool was made. */
export interface StatementStats {
  /** Statements outside of a transaction that were sent again on another connection, as often as they were. */
  readonly resent: number
  /** Those that were not, because too much was being run again already. */
  readonly overBudget: number
}

export class StatementAccounts {
  resent = 0
  overBudget = 0

  snapshot(): StatementStats {
    const { resent, overBudget } = this
    return { resent, overBudget }
  }
}
