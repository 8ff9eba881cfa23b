// For test files: the API on a real server and a real port, and a client that looks at every refusal.

import { serve } from '@hono/node-server'
import { afterAll, beforeAll, beforeEach, expect } from '@jest/globals'
import type { ResilienceOptions } from '@moorings/core'
import { useDatabase } from '@moorings/test/support/use-database.js'
import { createApp } from '../app.js'
import { createTables, openShop, type Shop } from '../shop.js'

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: unknown
}

export interface Api {
  readonly shop: Shop
  /** What was reported for the log since the test began. */
  readonly reported: readonly unknown[]
  /** A string is sent as it is, anything else as JSON. */
  ask(method: string, path: string, body?: unknown): Promise<Answer>
}

/** What no answer may show: SQL, names of the database's own, the server's words, where it is. */
const internals =
  /\b(insert into|update|delete from|select|returning|values|relation|violates|constraint)\b|\$\d|_key|_fkey|_check|full_name|user_id|\b235\d\d\b|localhost|127\.0\.0\.1|\bat \S+:\d+/i

export function useApi(limits?: ResilienceOptions['pool']): Api {
  const database = useDatabase()
  const reported: unknown[] = []
  let shop: Shop
  let server: ReturnType<typeof serve>
  let url: string

  beforeAll(async () => {
    shop = openShop(database.url, limits)
    await createTables(shop)
    const app = createApp(shop, (error) => reported.push(error))
    url = await new Promise((resolve) => {
      server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) =>
        resolve(`http://127.0.0.1:${port}`),
      )
    })
  })
  beforeEach(async () => {
    reported.length = 0
    await database.admin.query('truncate users, products, orders restart identity')
  })
  afterAll(async () => {
    await new Promise((resolve) => server.close(resolve))
    await shop.pool.close()
  })

  return {
    reported,
    get shop() {
      return shop
    },
    async ask(method, path, body) {
      const sent = typeof body === 'string' ? body : JSON.stringify(body)
      const headers = { 'Content-Type': 'application/json' }
      const response = await fetch(url + path, sent === undefined ? { method } : { method, headers, body: sent })
      const text = await response.text()
      const answer = { status: response.status, headers: response.headers, body: text === '' ? '' : JSON.parse(text) }
      if (!response.ok) expectDiscreet(answer, text, path, body)
      return answer
    },
  }
}

/** A problem document, made of nothing but the application's own words. */
function expectDiscreet({ status, headers, body }: Answer, text: string, path: string, sent: unknown): void {
  expect(headers.get('content-type')).toBe('application/problem+json')
  expect(body).toMatchObject({ status, instance: path, title: expect.any(String), detail: expect.any(String) })
  expect(text).not.toMatch(internals)
  for (const value of textsIn(sent)) expect(text).not.toContain(value)
}

function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return value === '' ? [] : [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : []
}
