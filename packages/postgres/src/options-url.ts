// Checks a connection URL before the library reads it, and says what is wrong without showing any of it: where a
// password ends cannot be told in a URL that is broken. What a well-formed one means is left to the library.

import type { Checked, OptionProblem } from '@moorings/core'
import { describeGiven } from '@moorings/core'
import { ownedByPool, parseSsl, sslAllowed, targetSessionAttrs } from './options-schema.js'

export interface CheckedUrl {
  readonly url: string
  /** The hosts and ports as written, `h1:1,h2:2`; percent signs and all. */
  readonly hosts: string
  readonly query: ReadonlyMap<string, string>
}

const wanted = 'a URL that starts with postgres:// or postgresql://'
const hidden = 'a URL (hidden)'
const escaping = "a user name or password must have its '@', '/', '?', '#', ':' and '%' percent-encoded"

export function checkUrl(value: unknown, path: string): Checked<CheckedUrl> {
  const wrong = (given: string, allowed: string): Checked<CheckedUrl> => ({
    ok: false,
    problems: [{ path, given, allowed }],
  })
  if (typeof value !== 'string') return wrong(describeGiven(value, value !== undefined), wanted)
  if (value.trim() === '') return wrong('an empty string', wanted)

  const scheme = /^\s*([a-z][a-z0-9+.-]{0,20}):\/\//i.exec(value)
  if (scheme?.[1] === undefined) return wrong('a string that is no URL (hidden)', wanted)
  const name = scheme[1].toLowerCase()
  if (name !== 'postgres' && name !== 'postgresql') return wrong(`a ${name}:// URL (hidden)`, wanted)

  const afterScheme = value.trim().slice(scheme[0].trimStart().length)
  const authority = /^[^/?#]*/.exec(afterScheme)?.[0] ?? ''
  const hosts = authority.slice(authority.lastIndexOf('@') + 1)
  if (!decodes(authority)) return wrong(hidden, `every % followed by two hexadecimal digits: ${escaping}`)
  const several = hosts.includes(',') || authority.slice(authority.indexOf('@') + 1).includes(',')
  if (several && authority.indexOf('@') !== authority.lastIndexOf('@')) {
    // The library would take what follows the first '@' for a host, and look up half a password in the DNS.
    return wrong(hidden, `several hosts after one '@': ${escaping}`)
  }

  // The URL class knows one host only. An IPv6 address is checked where it is taken apart.
  const userinfo = authority.slice(0, authority.length - hosts.length)
  const [firstHost = ''] = hosts.split(',', 1)
  const parsed = parseWhole(`${name}://${userinfo}${firstHost}${afterScheme.slice(authority.length)}`)
  if (parsed === undefined) {
    return wrong(hidden, `postgres://user:password@host:port/database; ${escaping}, a port is at most 65535`)
  }
  const [beforeQuery = ''] = afterScheme.split(/[?#]/, 1)
  if (parsed.hash !== '' || beforeQuery.slice(authority.length).includes('@')) {
    return wrong(hidden, `no '#', and no '@' after the host: ${escaping}`)
  }
  if ([...parsed.searchParams.keys()].some((key) => /[@/]/.test(key))) {
    return wrong(hidden, `no '@' or '/' in the names of parameters: ${escaping}`)
  }

  const query = new Map(parsed.searchParams)
  const problems = checkQuery(query, path)
  return problems.length > 0 ? { ok: false, problems } : { ok: true, value: { url: value, hosts, query } }
}

/** The query keys the library takes for options; all others are startup parameters, the server's to judge. */
function checkQuery(query: ReadonlyMap<string, string>, path: string): OptionProblem[] {
  const problems: OptionProblem[] = []
  const add = (key: string, allowed: string) => {
    problems.push({ path: `${path}?${key}`, given: describeGiven(query.get(key)), allowed })
  }
  for (const [key, value] of query) {
    const ours = ownedByPool.get(key)
    if (ours !== undefined && key !== 'timeout' && key !== 'onclose') add(key, ours)
    if ((key === 'ssl' || key === 'sslmode') && parseSsl(value) === undefined) {
      add(key, sslAllowed.replace(/, or an object.*/, ", 'disable'"))
    }
    if (key === 'sslnegotiation' && !['', 'postgres', 'direct'].includes(value)) add(key, 'postgres or direct')
    if (key === 'target_session_attrs' && !['', ...targetSessionAttrs].includes(value)) {
      add(key, `one of ${targetSessionAttrs.join(', ')}`)
    }
    if (key === 'keep_alive' && !/^(\d{1,7}|false|disable|)$/.test(value)) add(key, 'seconds >= 0, or false for none')
    if ((key === 'prepare' || key === 'fetch_types') && !/^(true|false|disable|1|on|yes|)$/.test(value)) {
      // To the library every other word is true, `0` and `off` included.
      add(key, 'true or false')
    }
  }
  return problems
}

/** A query key as a flag: `false` and `disable` turn it off, as with the library. */
export function queryFlag(query: ReadonlyMap<string, string> | undefined, key: string): boolean | undefined {
  const value = query?.get(key)
  return value === undefined || value === '' ? undefined : value !== 'false' && value !== 'disable'
}

/** The error of the URL class holds the whole URL: it must not get out, not even as a cause. */
function parseWhole(url: string): URL | undefined {
  try {
    const parsed = new URL(url)
    return decodes(parsed.username) && decodes(parsed.password) ? parsed : undefined
  } catch {
    return undefined
  }
}

function decodes(text: string): boolean {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}
