/**
 * A drop-in is measured by what an application sees: each operation runs on the stock dialect and on ours, each on its
 * own freshly migrated database, and what it resolves or rejects with must be the same.
 *
 * @jest-environment ./compat/kysely/local-time-environment.js
 */

import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { useDatabase } from '../../support/use-database.js'
import { allowedDifferences } from './allowed-differences.js'
import { operations } from './operations/index.js'
import { renderOutcome } from './rendition.js'
import { Side } from './side.js'
import { stock } from './stock.js'
import { subject } from './subject.js'
import { kyselyVersion, unknownTo028 } from './versions.js'

const database = useDatabase()
const stockSide = new Side(stock, database)
const ourSide = new Side(subject, useDatabase())

const isUnknown = (name: string) => kyselyVersion === '0.28' && unknownTo028.some((words) => name.startsWith(words))

beforeAll(async () => {
  // Kysely prints what fails after an abort; that it does is no news.
  jest.spyOn(console, 'error').mockImplementation(() => {})
  await Promise.all([stockSide.migrate(), ourSide.migrate()])
})

afterAll(() => Promise.all([stockSide.destroy(), ourSide.destroy()]))

describe(`kysely ${kyselyVersion}`, () => {
  for (const operation of operations.filter(({ name }) => !isUnknown(name))) {
    test(operation.name, async () => {
      if (operation.since !== undefined && (await serverVersion()) < operation.since) {
        console.warn(`SKIPPED: ${operation.name}: this server cannot do it`)
        return
      }
      const stockOutcome = await stockSide.run(operation)
      const expected = renderOutcome(stockOutcome)
      if ('thrown' in stockOutcome !== (operation.throws === true)) {
        throw new Error(`The operation does not do what it says: on the stock dialect it ${expected}`)
      }
      const actual = renderOutcome(await ourSide.run(operation))
      expect(actual).toBe(allowing(operation.name, expected))
    })
  }
})

async function serverVersion(): Promise<number> {
  const [row] = await database.admin.query(`select current_setting('server_version_num') as version`)
  return Number(row?.version)
}

describe('the list of', () => {
  const names = operations.map(({ name }) => name)

  test('operations has no name twice', () => {
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([])
  })

  test('allowed differences is about operations there are', () => {
    expect(Object.keys(allowedDifferences).filter((name) => !names.includes(name))).toEqual([])
  })

  test('what kysely 0.28 does not know is about operations there are', () => {
    expect(unknownTo028.filter((words) => !names.some((name) => name.startsWith(words)))).toEqual([])
  })
})

function allowing(name: string, outcome: string): string {
  if (subject === stock) return outcome
  const differences = allowedDifferences[name] ?? []
  return differences
    .filter(({ kysely = kyselyVersion }) => kysely === kyselyVersion)
    .reduce((expected, difference) => {
      if (expected.includes(difference.stock)) return expected.replaceAll(difference.stock, difference.ours)
      throw new Error(`The stock dialect no longer says ${difference.stock}\nbut: ${expected}`)
    }, outcome)
}
