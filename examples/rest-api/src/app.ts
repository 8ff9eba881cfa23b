// The API: its routes, and one place that turns whatever they throw into an answer.

import { Hono } from 'hono'
import { notFound } from './input.js'
import { orderRoutes } from './orders.js'
import { problemOf, respond } from './problems.js'
import type { Shop } from './shop.js'
import { userRoutes } from './users.js'

/** @param report is told of what is not the request's fault, for the log */
export function createApp(shop: Shop, report: (error: unknown) => void): Hono {
  const app = new Hono()
  app.route('/users', userRoutes(shop))
  app.route('/orders', orderRoutes(shop))
  app.notFound(() => {
    throw notFound()
  })
  app.onError((error, c) => {
    const problem = problemOf(error, c.req.path)
    if (problem.status >= 500) report(error)
    return respond(problem)
  })
  return app
}
