// What is known of the other sides of a deadlock, whatever they have done by the time its victim's error is told.

import { Duplex } from 'node:stream'
import { describe, expect, it } from '@jest/globals'
import { DeadlockError } from '@moorings/core'
import { Deadlocks, type Side } from './deadlocks.js'

const here = { host: 'here', port: 5432 }

class FakeSide implements Side {
  readonly backendKey: { pid: number; secret: number }
  readonly endpoint: typeof here
  lately: string | undefined = undefined

  constructor(pid: number, endpoint: typeof here = here) {
    this.backendKey = { pid, secret: 1 }
    this.endpoint = endpoint
  }
}

function watching(...sides: readonly Side[]): Deadlocks {
  const deadlocks = new Deadlocks()
  for (const side of sides) deadlocks.watch(side, new Duplex())
  return deadlocks
}

/** Of process 7 as the victim, and process 9. */
function deadlock(): DeadlockError {
  const detail = [
    'Process 7 waits for ShareLock on transaction 812; blocked by process 9.',
    'Process 9 waits for ShareLock on transaction 811; blocked by process 7.',
  ].join('\n')
  return new DeadlockError('deadlock detected', { code: '40P01', cause: { detail } })
}

describe('the other side of a deadlock', () => {
  it('E6: was asked what it was asked when the server told the victim, not what it went on to', () => {
    const [victim, survivor] = [new FakeSide(7), new FakeSide(9)]
    const deadlocks = watching(victim, survivor)
    const told = () => {
      const error = deadlock()
      deadlocks.noted(error, victim, 'update savings set balance = 2')
      return error.deadlock?.sides.map(({ statement }) => statement)
    }
    survivor.lately = 'update accounts set balance = 1'
    deadlocks.met(victim)
    survivor.lately = 'commit'
    expect(told()).toEqual(['update savings set balance = ?', 'update accounts set balance = ?'])
    survivor.lately = 'delete from accounts'
    deadlocks.met(victim)
    expect(told()).toEqual(['update savings set balance = ?', 'delete from accounts'])
  })

  it('E6: is not one of the same number on another server, nor one that is gone, nor one that was asked nothing', () => {
    const victim = new FakeSide(7)
    const elsewhere = new FakeSide(9, { host: 'elsewhere', port: 5432 })
    const gone = new FakeSide(9)
    for (const side of [elsewhere, gone]) side.lately = 'select 1'
    const socket = new Duplex()
    const deadlocks = watching(victim, elsewhere, new FakeSide(9))
    deadlocks.watch(gone, socket)
    socket.emit('close')
    deadlocks.met(victim)
    const error = deadlock()
    deadlocks.noted(error, victim, 'update savings')
    expect(error.deadlock?.sides).toMatchObject([{ statement: 'update savings' }, { pid: 9, statement: undefined }])
  })
})
