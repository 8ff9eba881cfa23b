// A connection in somebody's hands for as long as a scenario needs it there.

import { backendOf, type Db } from './orms.js'
import { gate } from './scene.js'

export interface Held {
  /** Of the backend. */
  readonly pid: number
  /** Commits; resolves when the connection is back. */
  giveBack(): Promise<void>
}

/** A transaction that has begun and goes on until it is told to end. */
export async function hold(db: Db): Promise<Held> {
  const end = gate()
  let done: Promise<void> | undefined
  const pid = await new Promise<number>((resolve, reject) => {
    done = db.transaction(async (tx) => {
      resolve(await backendOf(tx))
      await end.opened
    })
    done.catch(reject)
  })
  return {
    pid,
    async giveBack() {
      end.open()
      await done
    },
  }
}

export async function holdSeveral(db: Db, count: number): Promise<Held[]> {
  return Promise.all(Array.from({ length: count }, () => hold(db)))
}

export async function giveBackAll(held: readonly Held[]): Promise<void> {
  await Promise.all(held.map((one) => one.giveBack()))
}
