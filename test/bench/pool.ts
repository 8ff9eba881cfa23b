// What it costs to borrow a connection and to give it back, when nobody listens and nothing is wrong: by one caller, who
// finds one at rest, and by a crowd, in which nearly every connection goes straight to the next in line.

import type { Bench, Contest } from './harness.js'
import { type Peer, peers } from './pool-peers.js'

const size = 10
const crowd = 100
const operations = 200_000

export const pool: Bench = {
  name: 'pool',
  contests: [
    contest(`1 caller, ${size} connections at rest`, (peer, operations) => peer.call(operations, false)),
    contest(`${crowd} callers on ${size} connections`, callByMany),
  ],
}

function contest(name: string, run: (peer: Peer, operations: number) => Promise<number>): Contest {
  const subjects = Object.entries(peers).map(([name, make]) => ({
    name,
    async start() {
      const peer = make(size)
      await callByMany(peer, 10 * crowd)
      if (peer.idle() !== size) throw new Error(`${peer.idle()} of ${size} at rest, although all were given back`)
      return { run: (operations: number) => run(peer, operations), end: () => peer.end() }
    },
  }))
  return { name, operations, subjects }
}

async function callByMany(peer: Peer, operations: number): Promise<number> {
  const each = Math.ceil(operations / crowd)
  const sums = await Promise.all(Array.from({ length: crowd }, () => peer.call(each, true)))
  return sums.reduce((sum, one) => sum + one, 0)
}
