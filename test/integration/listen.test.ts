// listen / notify: a connection of its own, which is made again with every channel when it is lost.

import { expect, it } from '@jest/globals'
import { createClient, createPool } from '@moorings/postgres'
import { killBackends } from '../support/admin.js'
import { until } from '../support/until.js'
import { errorOf, useScene } from './scene.js'

const scene = useScene()

function open() {
  return createClient(scene.closing(createPool(scene.url, { resilience: { pool: { closeTimeoutMs: 500 } } })))
}

async function killListener(): Promise<void> {
  const killed = await killBackends(scene.admin, `query ilike 'listen %'`)
  expect(killed).toHaveLength(1)
}

/** Whether what is sent to the channel arrives; asked again and again, as a listener that is back has missed the first. */
async function arrives(channel: string, heard: readonly string[]): Promise<void> {
  let count = 0
  await until(
    async () => {
      const payload = `${channel} ${count++}`
      await scene.admin.query('select pg_notify($1, $2)', [channel, payload])
      return heard.some((one) => one.startsWith(`${channel} `))
    },
    { what: `a notification on ${channel}`, timeoutMs: 5_000, intervalMs: 50 },
  )
}

it('listen hears what notify says, also through the pool itself', async () => {
  const sql = open()
  const heard: string[] = []
  await sql.listen('news', (payload) => heard.push(payload))
  await sql.notify('news', 'one')
  await scene.admin.query(`select pg_notify('news', 'two')`)
  await until(() => heard.length === 2, { what: 'both notifications' })
  expect(heard).toEqual(['one', 'two'])
})

it('listen survives the killing of its backend, and says so', async () => {
  const sql = open()
  const heard: string[] = []
  let listening = 0
  const { state } = await sql.listen(
    'a',
    (payload) => heard.push(payload),
    () => {
      listening++
    },
  )
  expect(state.pid).toBeGreaterThan(0)
  await killListener()
  await until(() => listening === 2, { what: 'onlisten to be called again' })
  await sql.notify('a', 'after')
  await until(() => heard.length === 1, { what: 'the notification' })
  expect(heard).toEqual(['after'])
})

it('listen survives a server that is away for a while', async () => {
  const sql = open()
  let listening = 0
  const count = () => {
    listening++
  }
  const heard: string[] = []
  await sql.listen('a', (payload) => heard.push(payload), count)
  await sql.listen('b', (payload) => heard.push(payload), count)
  scene.proxy.refuse()
  scene.proxy.resetAll()
  await until(() => scene.proxy.open === 0, { what: 'the connections to be gone' })
  await scene.proxy.restore()
  await until(() => listening === 4, { what: 'both channels to be listened to again' })
  await sql.notify('b', 'after')
  await until(() => heard.includes('after'), { what: 'the notification' })
})

it('a channel asked for while the listener is away takes no other channel down', async () => {
  const sql = open()
  const heard: string[] = []
  await sql.listen('old', (payload) => heard.push(payload))
  await killListener()
  await sql.listen('new', (payload) => heard.push(payload))
  await arrives('new', heard)
  await arrives('old', heard)
})

it('the second to listen on a channel is told only when the server listens', async () => {
  const sql = open()
  await sql.listen('other', () => {})
  scene.proxy.delay(100)
  const heard: string[] = []
  const first = sql.listen('both', () => {})
  await sql.listen('both', (payload) => heard.push(payload))
  await scene.admin.query(`select pg_notify('both', 'early')`)
  await first
  await until(() => heard.length === 1, { what: 'what was sent after listen() had resolved', timeoutMs: 3_000 })
})

it('unlisten closes the connection with the last channel', async () => {
  const sql = open()
  const heard: string[] = []
  const a = await sql.listen('a', (payload) => heard.push(payload))
  const b = await sql.listen('b', (payload) => heard.push(payload))
  await a.unlisten()
  await scene.admin.query(`select pg_notify('a', 'unheard'), pg_notify('b', 'heard')`)
  await until(() => heard.length === 1, { what: 'the notification' })
  expect(heard).toEqual(['heard'])
  await b.unlisten()
  await until(() => scene.proxy.open === 0, { what: 'the connection to be closed' })
  await sql.listen('a', (payload) => heard.push(payload))
  await arrives('a', heard)
})

it('end() closes the listener, and listen() rejects from then on', async () => {
  const sql = open()
  await sql.listen('a', () => {})
  await sql.end()
  await until(() => scene.proxy.open === 0, { what: 'the connection to be closed' })
  expect(await errorOf(sql.listen('a', () => {}))).toMatchObject({ name: 'PoolClosedError' })
})
