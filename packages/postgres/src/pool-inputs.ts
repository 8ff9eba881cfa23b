// What a pool among several may be given as: a connection, or its options with the connection in them.

import { isParsedOptions } from './options-library.js'
import { connectionOptions, isRecord } from './options-schema.js'
import type { ConnectionInput } from './pool.js'

/** They tell a pool's options from a connection's. */
export const poolOptionNames: readonly string[] = ['resilience', 'shared', 'replicas']

/**
 * Whether it is a pool's options rather than a connection. postgres.js has an option `connection`, too, for what a session
 * starts with: beside others of its own that one is meant.
 */
export function isPoolOptions<Options extends { readonly connection: ConnectionInput }>(
  value: ConnectionInput | Options,
): value is Options {
  if (!isRecord(value) || isParsedOptions(value)) return false
  if (poolOptionNames.some((name) => name in value)) return true
  if (!('connection' in value)) return false
  const beside = Object.keys(value).filter((name) => name !== 'connection')
  return !isRecord(value.connection) || !beside.some((name) => name in connectionOptions.shape)
}

/** What is written above goes before what is written below, option by option. */
export function overlaid<T>(below: T, above: T): T {
  if (above === undefined) return below
  if (!isPlain(below) || !isPlain(above)) return above
  const all = { ...below, ...above }
  for (const name of Object.keys(below)) {
    // A logger is one thing, whatever it is made of.
    if (name !== 'logger') Object.assign(all, { [name]: overlaid(below[name], above[name]) })
    else if (above[name] === undefined) Object.assign(all, { [name]: below[name] })
  }
  return all
}

function isPlain(value: unknown): value is Record<string, unknown> {
  if (!isRecord(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}
