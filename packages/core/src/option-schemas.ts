// The kinds of value that options have, each saying what it allows in the words of an option's problem.

import { z } from 'zod'

const longestTimer = 2 ** 31 - 1

export function wholeNumber(least: number, allowed = `an integer >= ${least}`): z.ZodInt {
  return z.int({ error: allowed }).min(least, { error: allowed })
}

export function milliseconds(least: number): z.ZodInt {
  const allowed = `an integer >= ${least} and <= ${longestTimer} (milliseconds)`
  return z.int({ error: allowed }).min(least, { error: allowed }).max(longestTimer, { error: allowed })
}

export function fraction(): z.ZodNumber {
  const allowed = 'a number from 0 to 1'
  return z.number({ error: allowed }).min(0, { error: allowed }).max(1, { error: allowed })
}

export function flag(): z.ZodBoolean {
  return z.boolean({ error: 'true or false' })
}

/** One of these words. */
export function word<const Words extends readonly [string, ...string[]]>(
  words: Words,
): z.ZodEnum<{ [Word in Words[number]]: Word }> {
  const quoted = words.map((one) => `'${one}'`)
  return z.enum(words, { error: [quoted.slice(0, -1).join(', '), ...quoted.slice(-1)].filter(Boolean).join(' or ') })
}

/** A function of the application's, handed on as it is. */
export function callback<Callback>(): z.ZodCustom<Callback, Callback> {
  // By itself it would keep rules between the other options from being looked at.
  return z.custom<Callback>((value) => typeof value === 'function', { error: 'a function', abort: false })
}

/** For rules between two options, which are to be told also when something else is wrong: all problems at once. */
export function numberIn(value: unknown, name: string): number | undefined {
  const found: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
  return typeof found === 'number' ? found : undefined
}
