import { afterAll, beforeAll, expect, test } from '@jest/globals'
import pg from 'pg'
import { type Admin, connectAdmin } from './admin.js'
import { type Cluster, startCluster } from './cluster.js'
import { gatherCrowd } from './crowd.js'
import { until } from './until.js'

let cluster: Cluster
let admin: Admin

beforeAll(async () => {
  cluster = await startCluster({ settings: { max_connections: 8 } })
  admin = connectAdmin(cluster.url)
})

afterAll(async () => {
  await admin.end()
  await cluster.stop()
})

async function connected(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: cluster.url })
  client.on('error', () => {})
  await client.connect()
  return client
}

test('a crowd leaves no place, takes those that come free as well, and gives all of them back', async () => {
  await admin.query('select 1')
  const mine = await connected()
  const crowd = await gatherCrowd(cluster.url)
  expect(crowd.size).toBe(6)
  await expect(connected()).rejects.toMatchObject({ code: '53300' })
  await mine.end()
  const mineIsTaken = () => admin.query(`select from pg_stat_activity where application_name = 'moorings-crowd'`)
  await until(async () => (await mineIsTaken()).length === 7, { what: 'the crowd to take the place' })
  await expect(connected()).rejects.toMatchObject({ code: '53300' })
  await crowd.disperse()
  await (await connected()).end()
})

test('a crowd that dispersed leaves room for another', async () => {
  const crowd = await gatherCrowd(cluster.url)
  await crowd.disperse()
  const again = await gatherCrowd(cluster.url)
  await again.disperse()
  expect(again.size).toBe(0)
})
