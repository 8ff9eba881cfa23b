// People, through Drizzle.

import { type Issue, toIssues, withTransaction } from '@moorings/drizzle'
import { eq } from 'drizzle-orm'
import { Hono } from 'hono'
import { bodyOf, idOf, newUser, newUsers, notFound } from './input.js'
import { InvalidInput } from './problems.js'
import type { Shop } from './shop.js'
import { users } from './tables.js'

export function userRoutes({ accounts }: Shop): Hono {
  const app = new Hono()

  // Nothing is asked beforehand ("is this address free?"): between the answer and the insert it could be taken.
  app.post('/', async (c) => {
    const user = await bodyOf(c, newUser)
    const [created] = await accounts.insert(users).values(user).returning()
    return c.json(created, 201)
  })

  /** All or none of a list, and what is wrong with each row, its first violation: each is a savepoint. */
  app.post('/import', async (c) => {
    const list = await bodyOf(c, newUsers)
    const imported = await withTransaction(accounts, async (tx) => {
      // In here, as after a deadlock the whole body is run again.
      const issues: Issue[] = []
      for (const [row, user] of list.entries()) {
        try {
          await withTransaction(tx, (savepoint) => savepoint.insert(users).values(user))
        } catch (error) {
          const found = toIssues(error)
          if (found === undefined) throw error
          issues.push(...found.map(({ message, path = [] }) => ({ message, path: [row, ...path] })))
        }
      }
      if (issues.length > 0) throw new InvalidInput(issues)
      return list.length
    })
    return c.json({ imported }, 201)
  })

  app.get('/:id', async (c) => {
    const [user] = await accounts
      .select()
      .from(users)
      .where(eq(users.id, idOf(c)))
    if (user === undefined) throw notFound()
    return c.json(user)
  })

  app.delete('/:id', async (c) => {
    const gone = await accounts
      .delete(users)
      .where(eq(users.id, idOf(c)))
      .returning({ id: users.id })
    if (gone.length === 0) throw notFound()
    return c.body(null, 204)
  })

  return app
}
