// A result of any length is read in the memory of one chunk. In a process of its own, as it is weighed.

import { expect, it } from '@jest/globals'
import { runChild } from './children/run.js'
import { useScene } from './scene.js'

const scene = useScene()
const mebibyte = 1024 * 1024

it.each(['cursor', 'kysely'])('a long result taken in chunks leaves none of them in memory (%s)', async (how) => {
  const options = { nodeArguments: ['--expose-gc'], url: scene.directUrl, limitMs: 50_000 }
  const ended = await runChild(scene, 'long-stream', how, options)
  expect(ended).toMatchObject({ output: '', code: 0, report: { errors: [], left: [], notes: { taken: 200_000 } } })
  // All of it would be some twenty.
  expect(ended.report?.notes.grownBytes).toBeLessThan(4 * mebibyte)
})
