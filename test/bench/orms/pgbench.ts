// PostgreSQL's own program for such loads, written in C, where it is installed: as fast as the server lets anybody be.

import { execFile } from 'node:child_process'
import { rmSync } from 'node:fs'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Competitor, Told, Turn } from './competitor.js'
import type { Load } from './loads.js'
import type { Settings } from './subject.js'
import { accountsInAll, memo, rowsAtOnce } from './tables.js'

const execute = promisify(execFile)

const id = `\\set id random(1, ${accountsInAll})`
const columns = 'id, owner, balance, active, opened'
const insert = `insert into entries (account, amount, memo) values (:id, 1, '${memo}');`

const scripts = {
  select: [id, `select ${columns} from accounts where id = :id;`],
  insert: [id, insert],
  transaction: [
    id,
    'begin;',
    `select ${columns} from accounts where id = :id;`,
    'update accounts set balance = balance + 1 where id = :id;',
    insert,
    'commit;',
  ],
  rows: [
    `\\set first random(1, ${accountsInAll - rowsAtOnce})`,
    `select ${columns} from accounts where id between :first and :first + ${rowsAtOnce - 1};`,
  ],
} as const

type Script = keyof typeof scripts

/** By the names of the loads: what is run, and how often beside the others. */
const plays: Readonly<Record<string, Partial<Record<Script, number>>>> = {
  select: { select: 1 },
  insert: { insert: 1 },
  transaction: { transaction: 1 },
  rows: { rows: 1 },
  mixed: { select: 8, insert: 1, transaction: 1 },
}

/** By each of its clients, before it is known how many it does in a given time. */
const atFirst = 20

/** Its version, if it is on the PATH; the server's npm packages do not have it. */
export async function findPgbench(): Promise<string | undefined> {
  const { stdout } = await execute('pgbench', ['--version']).catch(() => ({ stdout: undefined }))
  return stdout?.trim()
}

export class Pgbench implements Competitor {
  readonly name = 'pgbench'
  readonly kind = 'server'
  readonly #play: Partial<Record<Script, number>>
  readonly #abort = new AbortController()
  #folder: string | undefined
  #settings: Settings | undefined
  /** Of one of its clients in a second; undefined before the first turn. */
  #pace: number | undefined

  constructor(load: Load) {
    const play = plays[load.name]
    if (play === undefined) throw new Error(`pgbench has no script for "${load.name}"`)
    this.#play = play
  }

  async open(settings: Settings): Promise<void> {
    this.#settings = settings
    this.#pace = undefined
    if (this.#folder !== undefined) return
    this.#folder = await mkdtemp(join(tmpdir(), 'moorings-pgbench-'))
    for (const [name, lines] of Object.entries(scripts)) await writeFile(join(this.#folder, name), lines.join('\n'))
  }

  /** One of its clients is one connection: there are no more of them than others may have. */
  async turn(milliseconds: number): Promise<Turn> {
    const { url, callers, connections } = this.#settings ?? fail('it is not open')
    const folder = this.#folder ?? fail('it is not open')
    const clients = Math.min(callers, connections)
    const each = this.#pace === undefined ? atFirst : Math.max(atFirst, Math.round((this.#pace * milliseconds) / 1e3))
    const { hostname, port, username, password, pathname } = new URL(url)
    const files = Object.entries(this.#play).flatMap(([script, weight]) => ['-f', `${join(folder, script)}@${weight}`])
    const args = ['-n', '-M', 'prepared', '-c', String(clients), '-t', String(each), ...files]
    args.push('-h', hostname, '-p', port || '5432', '-U', decodeURIComponent(username), pathname.slice(1))
    const env = { ...process.env, PGPASSWORD: decodeURIComponent(password) }
    const { stdout } = await execute('pgbench', args, { env, signal: this.#abort.signal })
    const perSecond = Number(/^tps = ([\d.]+)/m.exec(stdout)?.[1] ?? fail(stdout))
    this.#pace = perSecond / clients
    const operations = clients * each
    return { operations, seconds: operations / perSecond, cpuSeconds: undefined }
  }

  async tell(): Promise<Told> {
    return { p50Ms: undefined, p99Ms: undefined, rss: undefined, heap: undefined }
  }

  async close(): Promise<void> {
    this.#settings = undefined
  }

  async end(): Promise<void> {
    this.kill()
  }

  kill(): void {
    this.#abort.abort()
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true })
  }
}

function fail(message: string): never {
  throw new Error(`pgbench: ${message}`)
}
