// F4: what only a process of its own can show of a breaker: listeners that throw, and that it ends.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, it } from '@jest/globals'

/** Built by `tsc -b`, as it runs on the packages' own exports. */
const built = new URL('../dist/integration/children/breaker.js', import.meta.url)

it('F4: a listener that throws changes no result, and an open breaker keeps no process alive', async () => {
  const child = fork(fileURLToPath(built), { execArgv: ['--unhandled-rejections=strict'], timeout: 30_000 })
  const ended = once(child, 'close')
  const [report] = await Promise.race([once(child, 'message'), ended])
  expect(report).toEqual({
    results: ['down', 'down', 'up'],
    thrown: ['opened', 'half-opened', 'closed', 'opened', 'closed', 'opened'],
    open: ['y'],
  })
  // By itself, an hour before the breaker would have been due.
  expect(await ended).toEqual([0, null])
})
