// The same program on drizzle-orm/postgres-js and on @moorings/drizzle/postgres-js: whatever an application can see of
// its queries must be alike.

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { isMooringsError } from '@moorings/core'
import { differences } from './differences.js'
import { expectedOfOurs } from './expectation.js'
import { normalise, serverErrorOf } from './normalise.js'
import type { Operation } from './operation.js'
import { type Outcome, Participant } from './participant.js'
import { program } from './program.js'
import { sides } from './side.js'

let stock: Participant
let ours: Participant

beforeAll(async () => {
  stock = await Participant.start(sides.stock)
  ours = await Participant.start(sides.ours)
})

afterAll(async () => {
  await stock?.stop()
  await ours?.stop()
})

for (const [chapter, operations] of Object.entries(program)) {
  describe(chapter, () => {
    for (const operation of operations) {
      test(operation.name, async () => {
        const expected = await stock.run(operation)
        expectMeaning(operation, expected)
        const seen = await ours.run(operation)
        expectOurErrors(seen)
        expect(seen.plain).toStrictEqual(expectedOfOurs(operation.name, expected.plain))
      })
    }
  })
}

describe('the program', () => {
  const names = Object.values(program).flatMap((operations) => operations.map(({ name }) => name))

  test('names each of its many operations differently', () => {
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([])
    expect(names.length).toBeGreaterThan(90)
  })

  test('allows differences only to operations that it has', () => {
    const different = differences.map(({ operation }) => operation)
    expect(different.filter((name) => !names.includes(name))).toEqual([])
  })
})

/** An operation that fails where it should not, or shows nothing, would be alike on both sides and prove nothing. */
function expectMeaning({ throws }: Operation, { plain }: Outcome): void {
  if (throws === undefined) {
    expect(plain).toStrictEqual({ returned: expect.anything() })
    expect(plain).not.toStrictEqual({ returned: [] })
    expect(plain).not.toStrictEqual({ returned: normalise(undefined) })
  } else {
    expect(plain).toStrictEqual({ threw: { $error: expect.objectContaining({ [codeOrMessage(plain)]: throws }) } })
  }
}

/** The driver's own error is the cause of ours, which answers for the code itself. */
function expectOurErrors({ errors }: Outcome): void {
  for (const error of errors) {
    const server = serverErrorOf(error)
    if (server === undefined) continue
    expect(error).not.toBe(server)
    expect(isMooringsError(error)).toBe(true)
    expect(isMooringsError(error) && error.code).toBe(server.code)
  }
}

function codeOrMessage(plain: Outcome['plain']): 'code' | 'message' {
  const { threw = null } = plain
  const error = threw !== null && typeof threw === 'object' && '$error' in threw ? threw.$error : null
  return error !== null && typeof error === 'object' && 'code' in error && typeof error.code === 'string'
    ? 'code'
    : 'message'
}
