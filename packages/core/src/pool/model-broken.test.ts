// Pools that are broken on purpose, one way each: a model that let them pass would be worth nothing. And that what it
// tells of them is short, and can be had again.

import { afterEach, describe, expect, it, jest } from '@jest/globals'
import type { Connection } from '../driver.js'
import { AcquireAbortedError } from '../errors.js'
import { fault } from '../testing/model-property.js'
import { Checks } from './checks.js'
import { Farewells } from './farewells.js'
import { Lending } from './lending.js'
import { Lifecycle } from './lifecycle.js'
import { Members } from './members.js'
import { Pool } from './pool.js'
import { Returns } from './returns.js'
import { Roster } from './roster.js'
import { Supply } from './supply.js'
import { Waiters } from './waiters.js'

afterEach(() => {
  jest.restoreAllMocks()
})

const { spyOn } = jest
/** As many as a pool that is not broken passes every day. */
const trial = { runs: 300, seed: 1 }

interface Mutation {
  readonly name: string
  /** What the model must tell of it, whatever else it finds. */
  readonly told: RegExp
  readonly make: () => void
}

const mutations: Mutation[] = [
  {
    name: 'lends a connection that comes back to the next caller, and has it rest as well',
    told: /is held by caller|what is leased is what somebody holds/,
    make() {
      const { giveBack } = Lending.prototype
      spyOn(Lending.prototype, 'giveBack').mockImplementation(function (this: Lending<Connection>, lease, entry) {
        giveBack.call(this, lease, entry)
        if (entry.lease !== undefined) this.roster.rest(entry)
      })
    },
  },
  {
    name: 'leaves a caller in line whose signal has fired',
    told: /caller \d+ should be/,
    make() {
      const { reject } = Waiters.prototype
      spyOn(Waiters.prototype, 'reject').mockImplementation(function (this: Waiters<unknown>, waiter, error) {
        if (error instanceof AcquireAbortedError) waiter.reject(error)
        else reject.call(this, waiter, error)
      })
    },
  },
  {
    name: 'serves who came last',
    told: /caller \d+ (should be|is given)/,
    make() {
      spyOn(Waiters.prototype, 'first').mockImplementation(function (this: Waiters<unknown>) {
        return [...this.all()].at(-1)
      })
    },
  },
  {
    name: 'lets callers wait a millisecond less than they want',
    told: /ms too early/,
    make() {
      const { join } = Waiters.prototype
      spyOn(Waiters.prototype, 'join').mockImplementation(function (this: Waiters<unknown>, wait) {
        return join.call(this, { ...wait, limitMs: wait.limitMs - 1 })
      })
    },
  },
  {
    name: 'lends while it is suspended',
    told: /is lent connection \d+ by a pool that is suspended/,
    make() {
      spyOn(Lifecycle.prototype, 'running', 'get').mockImplementation(function (this: Lifecycle) {
        return this.state === 'running' || this.state === 'suspended'
      })
    },
  },
  {
    name: 'lets the time of its callers run on while it is suspended',
    told: /while its time stands still/,
    make: () => void spyOn(Waiters.prototype, 'pause').mockImplementation(() => {}),
  },
  {
    name: 'lends what was invalidated',
    told: /although it is stale|not to be lent/,
    make() {
      const { spent } = Checks.prototype
      spyOn(Checks.prototype, 'spent').mockImplementation(function (this: Checks<Connection>, entry, now) {
        const why = spent.call(this, entry, now)
        return why === 'epoch' ? undefined : why
      })
    },
  },
  {
    name: 'lends first what has rested for longest',
    told: /although another was used later/,
    make() {
      const { rest } = Roster.prototype
      spyOn(Roster.prototype, 'rest').mockImplementation(function (this: Roster<Connection>, entry) {
        const { idleSince } = entry
        entry.idleSince = 0
        rest.call(this, entry)
        entry.idleSince = idleSince
      })
    },
  },
  {
    name: 'closes nothing when it is made smaller',
    told: /nothing rests while more than max live/,
    make() {
      const { resize } = Pool.prototype
      spyOn(Pool.prototype, 'resize').mockImplementation(function (this: Pool, size) {
        const retire = spyOn(Members.prototype, 'retire').mockImplementation(() => {})
        try {
          resize.call(this, size)
        } finally {
          retire.mockRestore()
        }
      })
    },
  },
  {
    name: 'lends a session as its last borrower has left it',
    told: /although it is (dirty|spoilt|running)|in a transaction|afterRelease/,
    make: () => void spyOn(Returns.prototype, 'clean').mockImplementation(() => true),
  },
  {
    name: 'makes nobody a connection in place of one that was lost',
    told: /something is done for whoever waits|as many are kept as are wanted/,
    make() {
      const { forget } = Members.prototype
      spyOn(Members.prototype, 'forget').mockImplementation(function (this: Members<Connection>, entry, reason, error) {
        const fill = spyOn(Supply.prototype, 'fill').mockImplementation(() => {})
        const left = forget.call(this, entry, reason, error)
        fill.mockRestore()
        return left
      })
    },
  },
  {
    name: 'forgets to say goodbye',
    told: /no connection is (open after close|forgotten)/,
    make: () => void spyOn(Farewells.prototype, 'say').mockImplementation(() => {}),
  },
]

describe('the model finds out a pool that', () => {
  it.each(mutations)('$name', async ({ make, told }) => {
    make()
    const found = await fault({ ...trial, shrink: false, telling: told })
    expect(found?.report).toMatch(told)
  })
})

describe('what it tells', () => {
  it('is a short sequence, which can be had again', async () => {
    mutations.find(({ name }) => name === 'lends while it is suspended')?.make()
    const found = await fault(trial)
    expect(found?.steps).toBeLessThan(5)
    expect(found?.report).toContain(`MOORINGS_SEED=1 MOORINGS_PATH=${found?.again.path}`)
    const again = await fault({ ...found?.again, runs: 1, shrink: false })
    expect(again?.report.split('\n').slice(1)).toEqual(found?.report.split('\n').slice(1))
  })

  it('is nothing about a pool that is not broken', async () => {
    expect(await fault({ ...trial, runs: 20 })).toBeUndefined()
  })
})
