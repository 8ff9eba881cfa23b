// What sessions tell the outside.

import { describe, expect, it } from '@jest/globals'
import { SessionEndedError, SessionExpiredError } from '../errors.js'
import { namesIn, play, type Scenes, type SessionEvent } from '../testing/event-scenes.js'
import { settled } from '../testing/fake-clock.js'
import { watch } from '../testing/watch.js'

const never = () => new Promise<never>(() => {})

const scenes: Scenes<SessionEvent> = {
  'moorings:session:expired': {
    async run({ pool, clock }) {
      const unused = watch(pool.session(never, { maxDurationMs: 50 }))
      await clock.advance(50)
      const open = watch(pool.session(() => pool.transaction(never), { maxDurationMs: 100, name: 'import' }))
      await clock.advance(100)
      const abort = new AbortController()
      const given = watch(pool.session((session) => session.acquire().then(never), { signal: abort.signal }))
      await clock.advance(7)
      abort.abort()
      await settled()
      expect([unused.error, open.error]).toEqual([expect.any(SessionExpiredError), expect.any(SessionExpiredError)])
      expect(given.error).toBeInstanceOf(SessionEndedError)
      expect(given.error).not.toBeInstanceOf(SessionExpiredError)
      return [
        { session: undefined, id: undefined, ageMs: 50, inTransaction: false },
        { session: 'import', id: 1, ageMs: 100, inTransaction: true },
        { session: undefined, id: 2, ageMs: 7, inTransaction: false },
      ]
    },
  },
  'moorings:session:long': {
    async run({ pool, clock }) {
      const options = { warnAfterMs: 1_000, name: 'import' }
      const done = pool.session(async (session) => {
        const short = await session.acquire({ brief: true })
        await clock.advance(999)
        short.release()
        const statement = await session.acquire({ brief: true })
        await clock.advance(5_000)
        statement.release()
        await clock.advance(5_000)
        await pool.transaction(() => clock.advance(1_000))
      }, options)
      await done
      return [
        { session: 'import', id: 1, forMs: 1_000, inTransaction: false },
        { session: 'import', id: 1, forMs: 1_000, inTransaction: true },
      ]
    },
  },
}

describe('a session tells', () => {
  it.each(namesIn(scenes))('%s when it happens, once, with what belongs to it', (name) => play(scenes, name))
})
