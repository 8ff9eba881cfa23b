// Where a cell takes place: servers, the way that leads to them, a user and a database. What a cell has done to the servers
// is undone before the next; servers that cannot be brought back are replaced.

import { randomBytes } from 'node:crypto'
import type { Holdings, Opening } from '../faults/history.js'
import { openLedger, readLedger } from '../faults/ledger.js'
import { type Admin, connectAdmin, killBackends } from '../support/admin.js'
import { createDatabase, inventName, withDatabase } from '../support/database.js'
import { startOnOnePort } from '../support/names.js'
import type { FaultProxy } from '../support/proxy.js'
import { type Replicated, startReplicated } from '../support/replicated.js'
import { until } from '../support/until.js'
import type { Place } from './system.js'

/** How clients find the servers: one host, all of them, or one name that is changed. */
export type Way = 'one host' | 'several hosts' | 'changing name'

export const hostName = 'database.test'

export interface Ground {
  readonly set: Replicated
  readonly place: Pick<Place, 'hosts' | 'ports' | 'user' | 'password' | 'database'>
  /** In front of the servers for this client, the primary's first. */
  readonly proxies: readonly FaultProxy[]
  /** The addresses that the name can mean, in the same order; empty without a name. */
  readonly addresses: readonly string[]
  /** Of the database, on the server that is the primary now, past all faults; whoever asks for it ends it. */
  admin(): Admin
  /** What is there in the end, when nobody can write any more. */
  holdings(): Promise<{ holdings: Holdings; log: readonly string[] }>
  clear(): Promise<void>
}

/** How long an insert takes at the least, in the server. */
const insertSeconds = 0.01

const tables = `
  create table log (id text not null);
  create function take_time() returns trigger language plpgsql
    as 'begin perform pg_sleep(${insertSeconds}); return new; end';
  create trigger take_time before insert on log for each row execute function take_time();
  create trigger take_time before insert on journal for each row execute function take_time();`

export class Grounds {
  readonly #sets = new Map<boolean, Replicated>()

  async prepare(way: Way, opening: Opening): Promise<Ground> {
    const alone = way === 'one host'
    const set = await this.#servers(alone)
    const name = inventName('faults')
    const user = `${name}_user`
    const password = randomBytes(8).toString('hex')
    const database = await createDatabase(name, set.primary.server.url)
    const { admin } = database
    await openLedger(admin, opening)
    await admin.query(tables)
    await admin.query(`create role ${user} login password '${password}'`)
    await admin.query(`grant all on all tables in schema public to ${user}`)
    await admin.end()
    const nodes = [set.primary, ...set.standbys]
    const named = way === 'changing name' ? await startOnOnePort(nodes.map(({ server }) => server)) : undefined
    const proxies = named?.proxies ?? nodes.map(({ proxy }) => proxy)
    const hosts = named ? [hostName] : proxies.map(({ host }) => host)
    const ports = named ? [named.port] : proxies.map(({ port }) => port)
    return new PreparedGround({
      set,
      place: { hosts, ports, user, password, database: name },
      proxies,
      addresses: named ? proxies.map(({ host }) => host) : [],
    })
  }

  /** Servers of which nobody knows what state they are in. */
  async discard(set: Replicated): Promise<void> {
    for (const [key, known] of this.#sets) if (known === set) this.#sets.delete(key)
    await set.stop()
  }

  async close(): Promise<void> {
    for (const set of this.#sets.values()) await set.stop()
    this.#sets.clear()
  }

  /** With a standby, what is acknowledged is on both: whatever is lost was lost by the client. */
  async #servers(alone: boolean): Promise<Replicated> {
    const known = this.#sets.get(alone)
    if (known) {
      await mend(known)
      return known
    }
    const set = await startReplicated({ standbys: alone ? 0 : 1, synchronous: !alone })
    this.#sets.set(alone, set)
    return set
  }
}

async function mend(set: Replicated): Promise<void> {
  for (const { proxy } of set.nodes) {
    proxy.resetAll()
    await proxy.restore()
  }
  for (const standby of set.standbys) await set.rejoin(standby)
}

class PreparedGround implements Ground {
  readonly set: Replicated
  readonly place: Ground['place']
  readonly proxies: readonly FaultProxy[]
  readonly addresses: readonly string[]

  constructor({ set, place, proxies, addresses }: Pick<Ground, 'set' | 'place' | 'proxies' | 'addresses'>) {
    this.set = set
    this.place = place
    this.proxies = proxies
    this.addresses = addresses
  }

  admin(): Admin {
    return connectAdmin(withDatabase(this.set.primary.server.url, this.place.database))
  }

  async holdings(): Promise<{ holdings: Holdings; log: readonly string[] }> {
    for (const proxy of this.proxies) {
      proxy.refuse()
      proxy.resetAll()
    }
    const admin = this.admin()
    try {
      const ended = async () => (await killBackends(admin, 'usename = $1', [this.place.user])).length === 0
      await until(ended, { what: 'the last writers to be gone', timeoutMs: 30_000 })
      const rows = await admin.query<{ id: string }>('select id from log')
      return { holdings: await readLedger(admin), log: rows.map(({ id }) => id) }
    } finally {
      await admin.end()
    }
  }

  async clear(): Promise<void> {
    if (this.addresses.length > 0) await Promise.all(this.proxies.map((proxy) => proxy.close()))
    const admin = connectAdmin(this.set.primary.server.url)
    try {
      await admin.query(`drop database if exists ${this.place.database} with (force)`)
      await admin.query(`drop role if exists ${this.place.user}`)
    } finally {
      await admin.end()
    }
  }
}
