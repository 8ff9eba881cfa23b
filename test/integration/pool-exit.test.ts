// allowExitOnIdle: a program that does not close its pool ends by itself, and without the option it does not.

import { describe, expect, it } from '@jest/globals'
import { type Ended, runChild } from './children/run.js'
import { useScene } from './scene.js'

const scene = useScene()

function endedWell(ended: Ended, notes: Record<string, unknown>): void {
  expect(ended).toMatchObject({ output: '', code: 0, signal: null, report: { left: [], errors: [], notes } })
  // Far below any limit of the pool that could have ended it.
  expect(ended.lingeredMs).toBeLessThan(5_000)
}

describe('allowExitOnIdle: a program that does not close its pool', () => {
  it.each([
    ['used', { answers: [[{ n: 1 }], [{ n: 1 }]] }],
    ['filled to min, with all its upkeep on', { idle: [3, 3] }],
    ['started', { idle: [2, 2] }],
    ['after its connections were lost', { answers: [[{ n: 2 }], [{ n: 2 }]] }],
    ['with a session that had to be put back', { answers: [[{ n: 3 }], [{ n: 3 }]] }],
    ['with a server that went away', { idle: [0, 0] }],
    ['suspended and resumed', { answers: [[{ n: 4 }], [{ n: 4 }]] }],
  ])('ends by itself: %s', async (program, notes) => {
    endedWell(await runChild(scene, 'exits', program), notes)
  })

  it.each([
    ['while a statement is under way', { answers: [[{ n: 5 }], [{ n: 5 }]] }],
    ['while a statement is under way on a connection that had rested', { answers: [[{ n: 5 }], [{ n: 5 }]] }],
    ['while a caller waits for another', { answers: [[{ n: 6 }], [{ n: 6 }]] }],
    ['while a transaction is under way', { answers: [[{ n: 7 }], [{ n: 7 }]] }],
    ['while a server is slow to answer a connect', { answers: [[{ n: 8 }], [{ n: 8 }]] }],
    ['while a server that is down is waited for', { answers: [[{ n: 9 }], [{ n: 9 }]] }],
  ])('does not end %s', async (program, notes) => {
    endedWell(await runChild(scene, 'exits', program), notes)
  })

  it('can still be closed', async () => {
    endedWell(await runChild(scene, 'exits', 'closed all the same'), {})
  })
})

it.each(['used', 'started'])('without it, a program that does not close its pool goes on: %s', async (program) => {
  const ended = await runChild(scene, 'exits', program, { nodeArguments: ['--title=stays'], limitMs: 3_000 })
  expect(ended).toMatchObject({ output: '', code: null, signal: 'SIGKILL', report: { errors: [] } })
  expect(ended.report?.left).toContain('TCPSocketWrap')
  expect(ended.lingeredMs).toBeGreaterThan(1_000)
})
