// Host names that mean what a test says, and something else a moment later; or whose look-up hangs or fails. Nothing under
// test needs an option for it: net.connect asks `dns.lookup`, which is replaced for this process.

import dns, { type LookupAddress, type LookupOptions } from 'node:dns'
import { syncBuiltinESMExports } from 'node:module'
import { isIPv6 } from 'node:net'
import { freePort } from './free-port.js'
import { type FaultProxy, startProxy, type Target } from './proxy.js'

export interface Names {
  /** What the name means from now on; look-ups of it that hang are answered with it too. */
  set(name: string, ...addresses: string[]): void
  /** Look-ups of the name get no answer until it means something again, or is restored. */
  hang(name: string): void
  /** @param code default `ENOTFOUND`; `EAI_AGAIN` is what a resolver says that cannot reach its server */
  fail(name: string, code?: string): void
  /** How often the name was looked up. */
  lookups(name: string): number
  /** Names mean again what they did before. */
  restore(): void
}

/** One at a time in a process. Other names than those that are set are looked up as ever. */
export function replaceNames(): Names {
  if (dns.lookup !== lookup) throw new Error('names are replaced already: restore them first')
  const names = new ReplacedNames()
  install(names.lookup)
  return names
}

/**
 * A proxy in front of each, all on the same port of different addresses: what one name can lead to by turns. From
 * 127.0.0.2 on, as Linux has them; elsewhere they must have been configured.
 */
export async function startOnOnePort(targets: readonly Target[]): Promise<{ port: number; proxies: FaultProxy[] }> {
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort()
    const proxies: FaultProxy[] = []
    try {
      for (const [place, target] of targets.entries()) {
        proxies.push(await startProxy({ target, host: `127.0.0.${2 + place}`, port }))
      }
      return { port, proxies }
    } catch (error) {
      for (const proxy of proxies) await proxy.close()
      if (attempt === 5 || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    }
  }
}

type Callback = (error: Error | null, address?: string | LookupAddress[], family?: number) => void
type Lookup = (name: string, options: LookupOptions, callback: Callback) => void
type Meaning = { readonly addresses: readonly string[] } | { readonly code: string } | 'hangs'

const { lookup } = dns
const { lookup: lookupPromised } = dns.promises

class ReplacedNames implements Names {
  readonly #meanings = new Map<string, Meaning>()
  readonly #counts = new Map<string, number>()
  readonly #hanging = new Set<() => void>()

  set(name: string, ...addresses: string[]): void {
    this.#mean(name, { addresses })
  }

  hang(name: string): void {
    this.#mean(name, 'hangs')
  }

  fail(name: string, code = 'ENOTFOUND'): void {
    this.#mean(name, { code })
  }

  lookups(name: string): number {
    return this.#counts.get(name) ?? 0
  }

  restore(): void {
    install(undefined)
    this.#meanings.clear()
    this.#askAgain()
  }

  readonly lookup: Lookup = (name, options, callback) => {
    const meaning = this.#meanings.get(name)
    if (meaning === undefined) return lookup(name, options, callback)
    this.#counts.set(name, this.lookups(name) + 1)
    this.#answer(name, options, callback)
  }

  #answer(name: string, options: LookupOptions, callback: Callback): void {
    const meaning = this.#meanings.get(name) ?? { code: 'ENOTFOUND' }
    if (meaning === 'hangs') {
      this.#hanging.add(() => this.#answer(name, options, callback))
      return
    }
    // Never before the caller goes on, as the real one.
    setImmediate(() => {
      if ('code' in meaning) callback(failure(name, meaning.code))
      else succeed(meaning.addresses, options, callback)
    })
  }

  #mean(name: string, meaning: Meaning): void {
    this.#meanings.set(name, meaning)
    this.#askAgain()
  }

  #askAgain(): void {
    const hanging = [...this.#hanging]
    this.#hanging.clear()
    for (const ask of hanging) ask()
  }
}

function succeed(addresses: readonly string[], { all, family }: LookupOptions, callback: Callback): void {
  const found = addresses
    .map((address) => ({ address, family: isIPv6(address) ? 6 : 4 }))
    .filter((one) => ![4, 6].includes(Number(family)) || one.family === family)
  const [first] = found
  if (all) callback(null, found)
  else callback(null, first?.address, first?.family)
}

function failure(name: string, code: string): Error {
  return Object.assign(new Error(`getaddrinfo ${code} ${name}`), { code, syscall: 'getaddrinfo', hostname: name })
}

function install(replacement: Lookup | undefined): void {
  if (replacement === undefined) {
    dns.lookup = lookup
    dns.promises.lookup = lookupPromised
  } else {
    const asked = (name: string, options: unknown, callback?: Callback) => {
      if (typeof options === 'function') replacement(name, {}, options as Callback)
      else if (callback)
        replacement(name, typeof options === 'number' ? { family: options } : (options ?? {}), callback)
    }
    dns.lookup = asked as typeof lookup
    const promised = (name: string, options?: LookupOptions) =>
      new Promise((resolve, reject) => {
        replacement(name, { ...options }, (error, address, family) => {
          if (error) reject(error)
          else resolve(options?.all ? address : { address, family })
        })
      })
    dns.promises.lookup = promised as typeof lookupPromised
  }
  // Also for those who imported it by its name.
  syncBuiltinESMExports()
}
