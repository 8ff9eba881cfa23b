// The fake keeps the contract: what the tests built on it say about the pool is worth no more than this.

import { describe, expect, it } from '@jest/globals'
import { ConnectionLostError, StatementError } from '../errors.js'
import { settled } from './fake-clock.js'
import { FakeConnection, usual } from './fake-connection.js'
import { FakeDriver, refusal } from './fake-driver.js'
import { watch } from './watch.js'

const { signal } = new AbortController()
const connected = () => new FakeConnection({ id: 1, epoch: 0 })

describe('a fake connection', () => {
  it('is known to be lost before anything in flight rejects, and says so once, at that moment', async () => {
    const connection = connected()
    const seen: string[] = []
    connection.onLost((reason) => seen.push(reason.message))
    connection.next('statement', 'held')
    const running = connection.statement().catch(() => seen.push(`rejected, lost: ${connection.lost !== undefined}`))
    connection.lose(new ConnectionLostError('gone'))
    expect(seen).toEqual(['gone'])
    await running
    connection.destroy(new ConnectionLostError('again'))
    expect(seen).toEqual(['gone', 'rejected, lost: true'])
    expect(connection).toMatchObject({ ended: 'lost', open: false })
  })

  it('tells a listener that comes late', () => {
    const connection = connected()
    connection.lose()
    let told = 0
    connection.onLost(() => told++)
    expect(told).toBe(1)
  })

  it('rejects and sends nothing once it is gone', async () => {
    const connection = connected()
    connection.lose()
    await expect(connection.begin()).rejects.toBe(connection.lost)
    await expect(connection.ping(signal)).rejects.toBe(connection.lost)
    await connection.close(signal)
    expect(connection.sent).toEqual([])
  })

  it('is lost for its owner as soon as it says goodbye; its socket goes with the answer, or by force', async () => {
    for (const end of ['closed', 'destroyed'] as const) {
      const connection = connected()
      connection.next('close', 'held')
      const closed = watch(connection.close(signal))
      expect(connection.lost).toBeInstanceOf(ConnectionLostError)
      expect(connection.open).toBe(true)
      if (end === 'closed') connection.held('close').ok()
      else connection.destroy(new ConnectionLostError('too slow'))
      await settled()
      expect(closed.state).toBe('resolved')
      expect(connection.ended).toBe(end)
    }
  })

  it('has the transaction status a server would report', async () => {
    const connection = connected()
    const refused = new StatementError('no')
    connection.next('statement', refused)
    await expect(connection.statement()).rejects.toBe(refused)
    expect(connection.transactionStatus).toBe('idle')
    await connection.begin()
    await connection.savepoint('a')
    expect(connection.transactionStatus).toBe('open')
    connection.next('statement', refused)
    await expect(connection.statement()).rejects.toBe(refused)
    expect(connection.transactionStatus).toBe('failed')
    for (const refusedNow of [connection.statement(), connection.savepoint('b'), connection.release('a')]) {
      await expect(refusedNow).rejects.toMatchObject({ code: '25P02' })
    }
    await connection.rollbackTo('a')
    expect(connection.transactionStatus).toBe('open')
    await expect(connection.rollbackTo('b')).rejects.toMatchObject({ code: '3B001' })
    await expect(connection.commit()).resolves.toBe('rolled-back')
    await connection.begin()
    await expect(connection.commit()).resolves.toBe('committed')
    expect(connection.transactionStatus).toBe('idle')
  })

  it('is running while an answer is awaited', async () => {
    const connection = connected()
    connection.next('statement', 'held')
    const running = watch(connection.statement())
    expect(connection.activity).toBe('running')
    connection.held('statement').ok()
    await settled()
    expect(running.state).toBe('resolved')
    expect(connection.activity).toBe('idle')
  })
})

describe('a fake driver', () => {
  it('hears its signal when obedient, and not when deaf', async () => {
    const driver = new FakeDriver()
    for (const [connects, state] of [
      ['obedient', 'rejected'],
      ['deaf', 'pending'],
    ] as const) {
      const abort = new AbortController()
      driver.connects = connects
      const asked = watch(driver.connect({ signal: abort.signal, epoch: 0, endpoint: usual }))
      abort.abort()
      await settled()
      expect(asked.state).toBe(state)
    }
    driver.connects = refusal()
    await expect(driver.connect({ signal, epoch: 0, endpoint: usual })).rejects.toBe(driver.connects)
    driver.connects = 'ok'
    expect((await driver.connect({ signal, epoch: 3, endpoint: usual })).epoch).toBe(3)
  })
})
