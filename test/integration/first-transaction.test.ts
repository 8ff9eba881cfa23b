// What is in a transaction is told by its call chain, and by nothing else: not by what happens to run beside the first
// transaction of a process, from which on call chains are followed.

import { expect, it } from '@jest/globals'
import { runChild } from './children/run.js'
import { useScene } from './scene.js'

const scene = useScene()

it.each(['drizzle', 'kysely'])(
  'T12: what runs beside the first transaction of a process is not in it (%s)',
  async (orm) => {
    const ended = await runChild(scene, 'first-transaction', orm)
    expect(ended).toMatchObject({ output: '', code: 0, signal: null })
  },
)
