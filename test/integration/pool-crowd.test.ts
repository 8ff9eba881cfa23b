// P29: very many callers, few connections. In a process of its own, as it is weighed.

import { expect, it } from '@jest/globals'
import { runChild } from './children/run.js'
import { orms } from './orms.js'
import { useScene } from './scene.js'

const scene = useScene()
const mebibyte = 1024 * 1024

it.each(orms)(
  'P29: 10,000 concurrent callers on 10 connections are all served, nothing is leaked, memory returns ($name)',
  async ({ name }) => {
    // Past the proxy, which would be the busiest of all.
    const options = { nodeArguments: ['--expose-gc'], url: scene.directUrl, limitMs: 50_000 }
    const ended = await runChild(scene, 'crowd', name, options)
    expect(ended).toMatchObject({ output: '', code: 0, report: { errors: [], left: [] } })
    const notes = ended.report?.notes
    expect(notes).toMatchObject({
      'at once': 10_000,
      served: 10_000,
      counts: { idle: 10, leased: 0, connecting: 0, waiting: 0 },
      backends: 10,
      totals: { created: 10, closed: 0, lost: 0 },
    })
    // A caller's own closure, promise and statement, kept, would be several times this.
    expect(notes?.grownBytes).toBeLessThan(4 * mebibyte)
    expect((await scene.backends()).length).toBe(0)
  },
)
