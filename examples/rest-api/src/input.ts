// What a request may be made of. Only its form is looked at: whether a value is missing, free, allowed or refers to anything
// is for the database to say, which is the one that knows.

import type { Context } from 'hono'
import { z } from 'zod'
import { InvalidInput, Refusal } from './problems.js'

// What does not fit a column at all is no violation, and the server would not say which column it was.
const text = z
  .string('This has to be a text')
  .max(200, 'This is too long')
  .refine((value) => !value.includes('\0'), 'This cannot be stored')
const integer = z.int32('This has to be a whole number')

export const newUser = z.object({ email: text, name: text })
export const newUsers = z.array(newUser, 'This has to be a list').max(1_000, 'These are too many')
export const newOrder = z.object({
  userId: integer.nullable().default(null),
  sku: text.nullable().default(null),
  quantity: integer.nullable().default(null),
})

/** @throws Refusal, InvalidInput */
export async function bodyOf<Input>(c: Context, input: z.ZodType<Input>): Promise<Input> {
  let body: unknown
  try {
    body = await c.req.json()
  } catch (error) {
    if (error instanceof SyntaxError) throw new Refusal(400, 'MALFORMED', 'The body is not JSON')
    throw error
  }
  const { success, data, error } = input.safeParse(body)
  if (!success) throw new InvalidInput(error.issues)
  return data
}

const identity = z.coerce.number().pipe(z.int32().positive())

/** The `:id` of a path. An id that cannot be is one that is not there. */
export function idOf(c: Context): number {
  const { success, data } = identity.safeParse(c.req.param('id'))
  if (!success) throw notFound()
  return data
}

export function notFound(): Refusal {
  return new Refusal(404, 'NOT_FOUND', 'There is no such thing')
}
