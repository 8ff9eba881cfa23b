// One subject under one load, in a process of its own: what one leaves behind is not the next one's burden.

import { type Figures, measure, type Plan } from './load.js'
import type { Settings } from './subject.js'
import { subjects } from './subjects.js'

export interface Task {
  /** Its place in `subjects`. */
  readonly subject: number
  readonly settings: Settings
  readonly plan: Plan
}

export type Answer = { readonly figures: Figures } | { readonly failed: string }

async function carryOut({ subject, settings, plan }: Task): Promise<Answer> {
  try {
    const service = subjects[subject]?.open(settings)
    if (service === undefined) throw new Error(`there is no subject ${subject}`)
    return { figures: await measure(service, plan) }
  } catch (error) {
    return { failed: error instanceof Error ? (error.stack ?? error.message) : String(error) }
  }
}

// Not closed: a driver without a limit would first work off what nobody waits for any more.
process.once('message', (task: Task) => {
  void carryOut(task).then((answer) => process.send?.(answer, () => process.exit(0)))
})
