import { describe, expect, it } from '@jest/globals'
import { idempotent, saidIdempotent } from './idempotent.js'

/** As an ORM's query is: carried out when it is waited for. */
function lazy<T>(run: () => T): PromiseLike<T> {
  return {
    // biome-ignore lint/suspicious/noThenProperty: that is what they are
    then: (resolved, rejected) => Promise.resolve().then(run).then(resolved, rejected),
  }
}

describe('idempotent', () => {
  it('holds in the body and in what it awaits, not beside it nor behind it', async () => {
    const seen: boolean[] = [saidIdempotent()]
    const beside = Promise.resolve().then(() => saidIdempotent())
    const result = await idempotent(async () => {
      seen.push(saidIdempotent())
      await new Promise((resolve) => setTimeout(resolve, 1))
      seen.push(saidIdempotent())
      return 'done'
    })
    expect(result).toBe('done')
    expect([...seen, await beside, saidIdempotent()]).toEqual([false, true, true, false, false])
  })

  it('holds for a query that begins only when it is waited for', async () => {
    expect(await idempotent(() => lazy(saidIdempotent))).toBe(true)
    expect(await lazy(saidIdempotent)).toBe(false)
  })

  it('gives what the body returns or throws', async () => {
    await expect(idempotent(() => 7)).resolves.toBe(7)
    await expect(idempotent(() => null)).resolves.toBe(null)
    const thrown = new Error('the body’s own')
    const fails = () => {
      throw thrown
    }
    await expect(idempotent(fails)).rejects.toBe(thrown)
    await expect(idempotent(async () => fails())).rejects.toBe(thrown)
    await expect(idempotent(() => lazy(fails))).rejects.toBe(thrown)
  })
})
