// A pool with replicas, each on a fake driver of its own, all on one clock. Their logs are at 100 and keep up, until a test
// says otherwise.

import { Deadlines } from '../deadlines.js'
import { type PoolOptions, resolveResilience } from '../options.js'
import { Pool } from '../pool/pool.js'
import { Replicas } from '../replicas/replicas.js'
import type { ResolvedReplicasOptions } from '../replicas/replicas-options.js'
import { FakeClock } from './fake-clock.js'
import type { FakeConnection } from './fake-connection.js'
import { FakeDriver } from './fake-driver.js'
import type { FakePool } from './fixture.js'

export interface FakeServer {
  readonly pool: FakePool
  readonly driver: FakeDriver
}

export interface ReplicatedScene {
  readonly clock: FakeClock
  readonly primary: FakeServer
  readonly servers: readonly FakeServer[]
  readonly replicas: Replicas<FakeConnection>
}

export interface SceneOptions {
  /** Default 2. */
  readonly count?: number
  readonly pool?: PoolOptions
  readonly options?: Partial<ResolvedReplicasOptions>
}

/** Nothing is checked yet. */
export function replicatedScene({ count = 2, pool = {}, options = {} }: SceneOptions = {}): ReplicatedScene {
  const clock = new FakeClock()
  const primary = server(clock, 'primary', pool)
  const servers = Array.from({ length: count }, (_, at) => server(clock, `replica ${at + 1}`, pool))
  const pools = servers.map((one) => one.pool)
  const replicas = new Replicas(primary.pool, pools, { maxLagMs: 5_000, checkEveryMs: 1_000, ...options })
  return { clock, primary, servers, replicas }
}

/** After the first check. */
export async function checkedScene(options?: SceneOptions): Promise<ReplicatedScene> {
  const scene = replicatedScene(options)
  void scene.replicas.start()
  await scene.clock.advance(1)
  return scene
}

function server(clock: FakeClock, name: string, options: PoolOptions): FakeServer {
  const driver = new FakeDriver(() => clock.now())
  driver.log = 100n
  driver.endpoints = [{ host: name, port: 5432 }]
  const resilience = resolveResilience({
    health: { everyMs: 0 },
    breaker: false,
    statement: { livenessAfterMs: 0 },
    pool: { min: 0, max: 2, overflow: 0, keepaliveMs: 0, leakAfterMs: 0, scaling: false, ...options },
  })
  const deadlines = new Deadlines(clock)
  return { driver, pool: new Pool({ driver, resilience, name, deadlines, random: () => 0 }) }
}
