import { describe, expect, it } from '@jest/globals'
import type { Result } from '@moorings/core'
import { serverOf } from './server.js'

const said = {
  system: '7',
  timeline: '00000001',
  started: '20260101000000000000',
  recovered: null,
  counted: null,
  pid: '42',
  checkpoint: 't',
  modern: 't',
  older: 't',
}

function answer(change: Partial<Record<keyof typeof said, string | null>>): Result<Record<string, unknown>> {
  return { rows: [{ ...said, ...change }], command: 'SELECT', count: 1 }
}

describe('what a server says of itself', () => {
  it('T7: its session is its own where the process is the one that began it, and not one of a pooler', () => {
    expect(serverOf(answer({}), 42)).toMatchObject({ direct: true })
    expect(serverOf(answer({}), 43)).toMatchObject({ direct: false })
    expect(serverOf(answer({}), undefined)).toMatchObject({ direct: false })
  })

  it.each([{ checkpoint: 'f' }, { modern: 'f', older: 'f' }, { system: null }, { started: null }])(
    'T7: it cannot be asked about transactions where it does not say enough: %j',
    (change) => {
      expect(serverOf(answer(change), 42)).toBeUndefined()
    },
  )

  it('T7: where its recovery ended is told only of one that needed it', () => {
    expect(serverOf(answer({}), 42)).toMatchObject({ recoveredTo: undefined, countsSince: undefined })
    const recovered = { recovered: '0/174C938', counted: '20260101000000000001' }
    const known = { recoveredTo: '0/174C938', countsSince: '20260101000000000001' }
    expect(serverOf(answer(recovered), 42)).toMatchObject(known)
  })
})
