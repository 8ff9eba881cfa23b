// A database per test file, so that files run side by side on one server without seeing each other.

import { randomBytes } from 'node:crypto'
import { type Admin, connectAdmin } from './admin.js'

/** Where the run's server is told to the test files; set by the global set-up. */
export const serverUrlVariable = 'MOORINGS_TEST_URL'

export interface Database {
  readonly name: string
  readonly url: string
  /** Connected to this database. */
  readonly admin: Admin
  /** Disconnects everybody and removes the database. */
  drop(): Promise<void>
}

export function serverUrl(): string {
  const url = process.env[serverUrlVariable]
  if (url) return url
  throw new Error(`${serverUrlVariable} is not set: run the tests through jest's configuration, which starts a server`)
}

/** An empty UTF-8 database with the locale C. Without a name it gets one of its own. */
export async function createDatabase(name = inventName('test'), server = serverUrl()): Promise<Database> {
  const identifier = `"${name.replaceAll('"', '""')}"`
  await once(
    server,
    // template0, as nobody can be connected to it, which would make CREATE DATABASE fail.
    `create database ${identifier} template template0 encoding 'UTF8' locale_provider libc locale 'C'`,
  )
  const url = withDatabase(server, name)
  const admin = connectAdmin(url)
  return {
    name,
    url,
    admin,
    async drop() {
      await admin.end()
      await once(server, `drop database if exists ${identifier} with (force)`)
    },
  }
}

/** A name that no other run on the same server uses, with a readable beginning. */
export function inventName(beginning: string): string {
  const readable = beginning.toLowerCase().replaceAll(/[^a-z0-9]+/g, '_')
  return `moorings_${readable.slice(0, 40)}_${randomBytes(4).toString('hex')}`
}

export function withDatabase(server: string, name: string): string {
  const url = new URL(server)
  url.pathname = `/${encodeURIComponent(name)}`
  return url.href
}

async function once(server: string, sql: string): Promise<void> {
  const admin = connectAdmin(server)
  try {
    await admin.query(sql)
  } finally {
    await admin.end()
  }
}
