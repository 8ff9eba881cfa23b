// F6: what a pooler in front of a server says of it may be old, and how newer poolers end what they did not keep.

import { connect, createServer, type Server } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { ReadOnlyEndpointError } from '@moorings/core'
import { createClient, createPool } from '@moorings/postgres'
import { type Admin, connectAdmin } from '../support/admin.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { until } from '../support/until.js'
import { describeBehindPgbouncer } from '../support/use-pgbouncer.js'
import { eventsOf } from './events.js'
import { createMarks, orms } from './orms.js'
import { errorOf, useScene } from './scene.js'

const scene = useScene()

describe('on a server of its own', () => {
  let cluster: Cluster
  let admin: Admin
  beforeAll(async () => {
    cluster = await startCluster()
    admin = connectAdmin(cluster.url)
    await admin.query(createMarks)
  }, 60_000)
  afterAll(async () => {
    await admin?.end()
    await cluster?.stop()
  }, 60_000)

  async function demote(): Promise<void> {
    await admin.query('alter system set default_transaction_read_only = on')
    await admin.query('select pg_reload_conf()')
    const readOnly = async () => (await admin.query('show default_transaction_read_only'))[0]
    await until(async () => (await readOnly())?.default_transaction_read_only === 'on', { what: 'it to be read only' })
  }
  afterEach(async () => {
    await admin.query('alter system reset default_transaction_read_only')
    await admin.query('select pg_reload_conf()')
  })

  describeBehindPgbouncer(
    'behind PgBouncer',
    (pooler) => {
      it.each(orms.flatMap((orm) => ['any', 'primary'].map((target) => ({ orm, name: orm.name, target }))))(
        'F6: $name: a server that was demoted is not the primary that the pooler knew (target $target)',
        async ({ orm, target }) => {
          const url = new URL(pooler().through(cluster.url))
          if (target !== 'any') url.searchParams.set('target_session_attrs', target)
          const db = scene.open(orm, { pool: { min: 0, max: 2, overflow: 0 } }, url.href)
          await db.insert('before')
          await demote()
          const error = await errorOf(db.insert('after'))
          expect(error).toBeInstanceOf(ReadOnlyEndpointError)
          expect(error).toMatchObject({ code: '25006', retry: 'transaction' })
          // The next connection may lead to the server that is the primary now.
          expect(db.pool.stats().closedBy).toMatchObject({ epoch: 1 })
        },
      )

      it.each(orms)('F6: $name: nor is it after a transaction of the ORM’s own', async (orm) => {
        const db = scene.open(orm, { pool: { min: 0, max: 2, overflow: 0 } }, pooler().through(cluster.url))
        await db.insert('before')
        await demote()
        const error = await errorOf(db.transaction((tx) => tx.insert('after')))
        expect(error).toBeInstanceOf(ReadOnlyEndpointError)
        expect(db.pool.stats().closedBy).toMatchObject({ epoch: 1 })
      })

      it.each(orms)('F6: $name: the role that is asked for is the server’s', async (orm) => {
        await demote()
        const url = new URL(pooler().through(cluster.url))
        url.searchParams.set('target_session_attrs', 'read-only')
        const db = scene.open(orm, { pool: { min: 0, max: 2, overflow: 0, acquireTimeoutMs: 5_000 } }, url.href)
        expect(await db.query('select 1 as n')).toEqual([{ n: 1 }])
      })
    },
    { url: () => cluster.url },
  )
})

describeBehindPgbouncer(
  'behind a pooler that ends connections for prepared statements',
  (pooler) => {
    let server: Server
    let bound = 0
    beforeAll(async () => {
      server = createServer((client) => {
        const there = connect(pooler().port, pooler().host)
        for (const socket of [client, there])
          socket.on('error', () => {}).on('close', () => [client, there].map((one) => one.destroy()))
        there.pipe(client)
        client.on('data', (chunk) => {
          // Bind of a statement with a name, by itself: as PgBouncer 1.21 and later answer one that they do not know.
          if (chunk[0] === 0x42 && chunk[6] !== 0) {
            bound++
            client.end(fatal('08P01', 'prepared statement did not exist'))
          } else there.write(chunk)
        })
      })
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    })
    afterAll(() => new Promise((resolve) => server.close(resolve)))

    it('F6: the statement is run again on another connection, a write once, and nothing is prepared any more', async () => {
      const url = new URL(pooler().through(scene.directUrl))
      const address = server.address()
      url.port = String(typeof address === 'object' && address !== null ? address.port : 0)
      const pool = scene.closing(createPool(url, { resilience: { pool: { min: 0, max: 1, overflow: 0 } } }))
      const sql = createClient(pool)
      const disabled = eventsOf(scene, pool, 'moorings:prepare:disabled')
      const insert = (mark: string) => sql`insert into marks values (${mark})`
      for (const mark of ['one', 'three', 'two']) await insert(mark)
      expect(bound).toBe(1)
      expect(disabled).toMatchObject([{ endpoint: url.host, error: { code: '08P01' } }])
      expect(await scene.marks()).toEqual(['one', 'three', 'two'])
    })
  },
  { poolSize: 1 },
)

function fatal(code: string, message: string): Buffer {
  const body = Buffer.from(`SFATAL\0VFATAL\0C${code}\0M${message}\0\0`)
  const head = Buffer.alloc(5)
  head.write('E', 'latin1')
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}
