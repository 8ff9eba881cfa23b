import { describe, expect, it } from '@jest/globals'
import { endOf } from './log-position.js'

const block = 8_192n
const segment = 16_777_216n

const end = (written: bigint, inserted: bigint) => endOf({ written, inserted, block, segment })

describe("the end of a primary's log", () => {
  it('is where the last record was inserted, whether or not it is written', () => {
    expect(end(100_000n, 100_000n)).toBe(100_000n)
    expect(end(100_000n, 100_040n)).toBe(100_040n)
    expect(end(100_000n, 100_024n)).toBe(100_024n)
  })

  it('is not behind the header of a block in which nothing is yet', () => {
    expect(end(13n * block, 13n * block + 24n)).toBe(13n * block)
    expect(end(3n * segment, 3n * segment + 40n)).toBe(3n * segment)
  })

  it('is where a record goes on in the next block', () => {
    expect(end(13n * block, 13n * block + 40n)).toBe(13n * block + 40n)
    expect(end(13n * block, 13n * block + 32n)).toBe(13n * block + 32n)
    expect(end(3n * segment, 3n * segment + 48n)).toBe(3n * segment + 48n)
  })
})
