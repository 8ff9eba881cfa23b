// The root database used inside `db.transaction(async (tx) => …)`: the statement runs on another connection, sees nothing
// of the transaction, stays when it is rolled back, and can wait for it for ever. Nearly always it is a mistake.

import { RootUseError } from '../errors.js'

const said =
  'A statement on the root database was run inside db.transaction(): it is not part of that transaction. Use its `tx`; ' +
  'or withTransaction(), which the root database joins; or outsideTransaction(), where it is meant'

export function rootUsed(): RootUseError {
  return new RootUseError(said)
}

/** Returns true. */
export function warnOfRootUse(pool: string): true {
  process.emitWarning(`${said}. Set resilience.transaction.rootUse to 'allow', 'join' or 'error' to decide it.`, {
    type: 'MooringsWarning',
    code: 'MOORINGS_ROOT_USE',
    detail: `pool: ${pool}`,
  })
  return true
}
