// What is given to a pool's methods, held against what they take: a limit that is no number would never end, and a
// misspelt selector would mean every connection there is.

import { InvalidOptionsError } from '../errors.js'
import { describeGiven } from '../option-problems.js'
import type { ConnectionSelector } from './setup.js'

const longestTimer = 2 ** 31 - 1

/** @throws InvalidOptionsError */
export function checkLimit(path: string, value: number | undefined): void {
  if (value === undefined || (Number.isFinite(value) && value >= 0 && value <= longestTimer)) return
  const allowed = `a number >= 0 and <= ${longestTimer} (milliseconds)`
  throw new InvalidOptionsError([{ path, given: describeGiven(value), allowed }])
}

/** @throws InvalidOptionsError */
export function checkSignal(signal: AbortSignal | undefined): void {
  const given: unknown = signal
  if (given === undefined || (typeof given === 'object' && given !== null && 'addEventListener' in given)) return
  throw new InvalidOptionsError([{ path: 'signal', given: describeGiven(given), allowed: 'an AbortSignal' }])
}

/** @throws InvalidOptionsError */
export function checkSelector(selector: ConnectionSelector | undefined): void {
  const given: unknown = selector
  if (given === undefined || isSelector(given)) return
  const allowed = 'nothing (all), { id: number } or { endpoint: { host: string, port: number } }'
  throw new InvalidOptionsError([{ path: 'selector', given: describeGiven(given), allowed }])
}

function isSelector(given: unknown): boolean {
  if (typeof given !== 'object' || given === null) return false
  const [[name, value] = [], ...others] = Object.entries(given).filter(([, known]) => known !== undefined)
  if (others.length > 0) return false
  if (name === 'id') return typeof value === 'number'
  if (name !== 'endpoint' || typeof value !== 'object' || value === null) return false
  return typeof Reflect.get(value, 'host') === 'string' && typeof Reflect.get(value, 'port') === 'number'
}
