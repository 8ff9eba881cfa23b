// The table of promises in the README names tests that exist.

import { readFileSync } from 'node:fs'
import { describe, expect, it } from '@jest/globals'

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8')

interface Row {
  readonly line: string
  readonly unit: string
  readonly integration: string
}

const rows: Row[] = [...read('../README.md').matchAll(/^\| (P\d+) \|[^|]*\|([^|]*)\|([^|]*)\|$/gm)].map(
  ([, line = '', unit = '', integration = '']) => ({ line, unit, integration }),
)

describe('the table of promises', () => {
  it('has the thirty lines', () => {
    expect(rows.map(({ line }) => line)).toEqual(Array.from({ length: 30 }, (_, i) => `P${i + 1}`))
  })

  it.each(rows)('names unit tests that exist for $line', ({ unit }) => {
    for (const part of unit.split(';')) {
      const [, file, names] = /^\s*`([\w-]+)`(?::\s*(.*))?$/.exec(part) ?? []
      if (file === undefined) continue
      const text = read(`pool/${file}.test.ts`)
      // A name may hold a comma: what cannot be found in parts must be there as a whole.
      const whole = names?.trim() ?? ''
      const parts = text.includes(whole) ? [whole] : whole.split(', ').map((name) => name.trim())
      for (const name of parts) expect(text).toContain(name)
    }
  })

  it.each(rows)('names tests on a real server for $line', ({ line, integration }) => {
    const files = [...integration.matchAll(/`([\w-]+)`/g)].map(([, file = '']) => file)
    expect(files).not.toHaveLength(0)
    const texts = files.map((file) => read(`../../../test/integration/${file}.test.ts`))
    expect(texts.filter((text) => new RegExp(`\\b${line}\\b`).test(text))).not.toHaveLength(0)
  })
})
