// Has a breaker open while a listener throws at each of its events, leaves it open, and ends.

import { subscribe } from 'node:diagnostics_channel'
import { breakerHealth, guard } from '@moorings/core'

const thrown: string[] = []
process.on('uncaughtException', (error) => thrown.push(error.message))
for (const what of ['opened', 'half-opened', 'closed']) {
  subscribe(`moorings:breaker:${what}`, () => {
    throw new Error(what)
  })
}

const down = new Error('down')
let answer = (): Promise<string> => Promise.reject(down)
const call = guard(() => answer(), { name: 'x', kind: 'database', volumeThreshold: 2, resetTimeoutMs: 1 })
const results: unknown[] = []
const told = (error: unknown) => (error === down ? 'down' : String(error))

/** Once the breaker is due: it says itself when. */
async function halfOpen(): Promise<void> {
  while (call.breaker.state !== 'half-open') await new Promise((resolve) => setTimeout(resolve, 1))
}

for (let n = 0; n < 2; n++) results.push(await call().catch(told))
await halfOpen()
answer = async () => 'up'
results.push(await call())
call.breaker.forceOpen()
call.breaker.reset()

const hangs = guard(() => Promise.reject(down), {
  name: 'y',
  kind: 'database',
  volumeThreshold: 1,
  resetTimeoutMs: 3_600_000,
})
await hangs().catch(told)
setImmediate(() => {
  process.send?.({ results, thrown, open: breakerHealth().open.map(({ name }) => name) }, () => process.disconnect())
})
