// What a handle of Kysely's stands for that is a part of a transaction which was begun elsewhere: that as it is, or a
// savepoint in it that the handle itself ends.

import type { Ambient, Inside, TransactionScope } from '@moorings/core'
import type { PostgresConnection } from '@moorings/postgres'

/** A transaction of somebody else's. */
export interface Part {
  readonly ambient: Ambient<TransactionScope<PostgresConnection>>
  /** Ends the savepoint that is this handle's own: keeps it, or undoes it for a reason. */
  readonly end: ((undo: RolledBack | undefined) => Promise<void>) | undefined
}

export class RolledBack extends Error {}

/** A savepoint that somebody else begins and ends. */
export function nestIn(around: Inside<PostgresConnection>): Promise<Part> {
  return new Promise((begun, failed) => {
    const done = around.scope.savepoint(
      (scope) =>
        new Promise<void>((keep, undo) => {
          let open = true
          const end = async (why: RolledBack | undefined) => {
            open = false
            if (why === undefined) keep()
            else undo(why)
            await done
          }
          const ambient = { scope, context: around.context, joined: true, open: () => open }
          begun({ ambient, end })
        }),
    )
    done.catch(failed)
  })
}
