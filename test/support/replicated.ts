// A primary with streaming standbys, each behind a proxy of its own, and what operators and accidents do to such a set:
// promotion, orderly and not, demotion, lag, and servers that come back. What befalls one server alone (crash, freeze,
// restart, slow start) is its cluster's own.

import { type Admin, connectAdmin } from './admin.js'
import { type Cluster, type Settings, startCluster } from './cluster.js'
import { withDatabase } from './database.js'
import { type FaultProxy, startProxy } from './proxy.js'
import { standbySettings } from './standby.js'
import { until } from './until.js'

export interface ReplicatedOptions {
  /** Default 1. */
  standbys?: number
  /** Whether a COMMIT waits until one of the standbys has it too. Default false. */
  synchronous?: boolean
  /** Of the primary, and thereby of all. */
  settings?: Settings
}

export interface Replicated {
  /** In the order in which they were started; they keep their places whatever their roles. */
  readonly nodes: readonly Node[]
  readonly primary: Node
  readonly standbys: readonly Node[]
  /** Of the proxies, in the nodes' order, as clients are given several hosts. */
  readonly hosts: string[]
  readonly ports: number[]
  /**
   * Makes that standby the primary, whatever the primary is doing, and lets the other standbys that run follow it. A
   * primary that is alive stays one, so that there are two.
   */
  failOver(to: Node): Promise<void>
  /** The primary is shut down and everything it has acknowledged handed over; then it comes back as a standby. */
  switchOver(to: Node): Promise<void>
  /** A node whose data went a way of their own, or that is no longer there, begins again as a standby. */
  rejoin(node: Node): Promise<void>
  /** Resolves when the standbys that run have replayed all that the primary has. */
  caughtUp(): Promise<void>
  stop(): Promise<void>
}

export interface Node {
  readonly server: Cluster
  /** In front of the server; the replication does not go through it. */
  readonly proxy: FaultProxy
  /** Past the proxy. */
  readonly admin: Admin
  /** Through the proxy. */
  url(database?: string): string
  /** Refuses writes as a demoted primary does that is no standby (yet), or takes them again. */
  makeReadOnly(readOnly?: boolean): Promise<void>
  /** The standby goes on receiving, but shows nothing new. */
  pauseReplay(): Promise<void>
  resumeReplay(): Promise<void>
  /** The standby shows each commit that much later; 0 for at once. */
  delayReplay(ms: number): Promise<void>
}

export async function startReplicated(options: ReplicatedOptions = {}): Promise<Replicated> {
  const { standbys = 1, synchronous = false, settings = {} } = options
  const nodes: ServerNode[] = []
  const set = new ReplicatedServers(nodes, synchronous)
  try {
    const primary = await ServerNode.start(await startCluster({ settings }))
    nodes.push(primary)
    // One after the other: they all copy from the same disk.
    for (let count = 0; count < standbys; count += 1) {
      nodes.push(await ServerNode.start(await startCluster({ standbyOf: primary.server })))
    }
    await set.lead(primary)
    return set
  } catch (error) {
    await set.stop()
    throw error
  }
}

class ReplicatedServers implements Replicated {
  readonly nodes: readonly ServerNode[]
  readonly #synchronous: boolean
  #primary: ServerNode | undefined

  constructor(nodes: readonly ServerNode[], synchronous: boolean) {
    this.nodes = nodes
    this.#synchronous = synchronous
  }

  get primary(): ServerNode {
    if (!this.#primary) throw new Error('no server leads yet')
    return this.#primary
  }

  get standbys(): ServerNode[] {
    return this.nodes.filter((node) => node !== this.#primary)
  }

  get hosts(): string[] {
    return this.nodes.map(({ proxy }) => proxy.host)
  }

  get ports(): number[] {
    return this.nodes.map(({ proxy }) => proxy.port)
  }

  async failOver(to: Node): Promise<void> {
    const node = this.#own(to)
    const followers = this.#running.filter((standby) => standby !== node)
    await node.promote()
    for (const { server } of followers) await server.configure(standbySettings(node.server))
    await this.lead(node, followers)
  }

  async switchOver(to: Node): Promise<void> {
    const old = this.primary
    const node = this.#own(to)
    // Fast: its standbys get all it has before it ends.
    await old.server.kill('SIGINT')
    await this.failOver(node)
    await old.server.restartAsStandby(node.server)
    await this.lead(node)
  }

  async rejoin(node: Node): Promise<void> {
    const own = this.#own(node)
    if (own === this.primary) throw new Error('the primary leads: fail over to another server first')
    await own.replace(() => startCluster({ standbyOf: this.primary.server }))
    await this.lead(this.primary)
  }

  async caughtUp(): Promise<void> {
    const [row] = await this.primary.admin.query<{ lsn: string }>('select pg_current_wal_lsn()::text as lsn')
    for (const { admin, server } of this.#running) {
      // One that is no standby, after a fail-over from a primary that lives, has nothing to catch up with.
      const caughtUp = () =>
        admin.query('select not pg_is_in_recovery() or pg_last_wal_replay_lsn() >= $1::pg_lsn as done', [row?.lsn])
      await until(async () => (await caughtUp())[0]?.done, { what: `the standby on port ${server.port} to catch up` })
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()))
  }

  /** Resolves when they all stream from it. */
  async lead(primary: ServerNode, followers?: readonly ServerNode[]): Promise<void> {
    this.#primary = primary
    const count = (followers ?? this.#running).length
    const { admin, server } = primary
    const streaming = () => admin.query(`select from pg_stat_replication where state = 'streaming'`)
    await until(async () => (await streaming()).length >= count, { what: `${count} standbys to stream` })
    if (this.#synchronous && count > 0) await server.configure({ synchronous_standby_names: 'ANY 1 (*)' })
  }

  get #running(): ServerNode[] {
    return this.standbys.filter(({ server }) => server.pid !== undefined)
  }

  #own(node: Node): ServerNode {
    const found = this.nodes.find((one) => one === node)
    if (!found) throw new Error('that node belongs to another set')
    return found
  }
}

class ServerNode implements Node {
  readonly proxy: FaultProxy
  #server: Cluster
  #admin: Admin

  static async start(server: Cluster): Promise<ServerNode> {
    try {
      return new ServerNode(server, await startProxy({ target: server }))
    } catch (error) {
      await server.stop()
      throw error
    }
  }

  private constructor(server: Cluster, proxy: FaultProxy) {
    this.#server = server
    this.#admin = connectAdmin(server.url)
    this.proxy = proxy
  }

  get server(): Cluster {
    return this.#server
  }

  get admin(): Admin {
    return this.#admin
  }

  url(database = 'postgres'): string {
    return this.proxy.through(withDatabase(this.server.url, database))
  }

  makeReadOnly(readOnly = true): Promise<void> {
    return this.server.configure({ default_transaction_read_only: readOnly })
  }

  async pauseReplay(): Promise<void> {
    await this.admin.query('select pg_wal_replay_pause()')
    const state = () => this.admin.query<{ state: string }>('select pg_get_wal_replay_pause_state() as state')
    await until(async () => (await state())[0]?.state === 'paused', { what: 'the replay to pause' })
  }

  async resumeReplay(): Promise<void> {
    await this.admin.query('select pg_wal_replay_resume()')
  }

  delayReplay(ms: number): Promise<void> {
    return this.server.configure({ recovery_min_apply_delay: `${ms}ms` })
  }

  async promote(): Promise<void> {
    const [row] = await this.admin.query<{ promoted: boolean }>('select pg_promote(true, 60) as promoted')
    if (row?.promoted !== true) throw new Error(`the standby was not promoted:\n${await this.server.logTail()}`)
  }

  /** Another server behind the same proxy. */
  async replace(start: () => Promise<Cluster>): Promise<void> {
    await this.#admin.end()
    await this.#server.stop()
    this.#server = await start()
    this.#admin = connectAdmin(this.#server.url)
    this.proxy.leadTo(this.#server)
  }

  async stop(): Promise<void> {
    await this.server.thaw()
    await this.#admin.end()
    await this.proxy.close()
    await this.server.stop()
  }
}
