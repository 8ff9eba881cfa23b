// Ports for listeners that go away and come back under their clients' eyes.

import { createServer } from 'node:net'

// Below the ranges that systems take outgoing ports from (32768 on Linux, 49152 elsewhere). A listener's port inside that
// range can be taken, while the listener is down, by any outgoing connection; and a client that dials a closed port of
// that range on its own machine now and then connects to itself.
const lowest = 15_000
const highest = 32_000

export async function freePort(host = '127.0.0.1'): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const port = lowest + Math.floor(Math.random() * (highest - lowest))
    if (await isFree(port, host)) return port
  }
  throw new Error(`found no free port between ${lowest} and ${highest} on ${host} in 100 attempts`)
}

function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, host, () => probe.close(() => resolve(true)))
  })
}
