// What is nobody's error in particular gives nothing away either.

import { expect, test } from '@jest/globals'
import { PoolClosedError, toProblem } from '@moorings/core'
import { Hono } from 'hono'
import { problemOf } from './problems.js'

test.each([new Error('secret', { cause: new Error('secret') }), 'secret', undefined])(
  'whatever was thrown is told as a problem that quotes nothing of it: %p',
  (thrown) => {
    const problem = problemOf(thrown, '/users')
    expect(problem).toMatchObject({ status: 500, instance: '/users', code: 'internal-error' })
    expect(JSON.stringify(problem)).not.toContain('secret')
  },
)

test("Hono takes a problem's status without a cast; Retry-After is a header, and what has a fault in it is reported", async () => {
  const reported: unknown[] = []
  const fault = new Error('a fault')
  const app = new Hono()
  app.onError((error, c) => {
    const problem = toProblem(error, { instance: c.req.path })
    if (problem === undefined || problem.status === 500) reported.push(error)
    if (problem === undefined) return c.text('Internal Server Error', 500)
    const { retryAfterS, ...details } = problem
    if (retryAfterS !== undefined) c.header('Retry-After', String(retryAfterS))
    return c.json(details, details.status, { 'Content-Type': 'application/problem+json' })
  })
  app.get('/crowded', () => {
    throw new PoolClosedError('The pool is closed')
  })
  app.get('/broken', () => {
    throw fault
  })

  const crowded = await app.request('/crowded')
  expect(crowded.status).toBe(503)
  expect(crowded.headers.get('Retry-After')).toMatch(/^\d+$/)
  expect(await crowded.json()).not.toHaveProperty('retryAfterS')
  expect(reported).toEqual([])
  expect((await app.request('/broken')).status).toBe(500)
  expect(reported).toEqual([fault])
})
