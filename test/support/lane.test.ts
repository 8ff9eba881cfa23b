import { PassThrough, Writable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { Lane, type LaneConditions } from './lane.js'
import { until } from './until.js'

let conditions: LaneConditions
let source: PassThrough
let arrived: string[]
/** Whether the far end takes what it is given. */
let taking: boolean
let lane: Lane

beforeEach(() => {
  conditions = { delayMs: 0, bytesPerSecond: undefined }
  source = new PassThrough()
  source.resume()
  arrived = []
  taking = true
  const target = new Writable({
    write(chunk: Buffer, _encoding, taken) {
      arrived.push(chunk.toString())
      if (taking) taken()
    },
  })
  lane = new Lane(source, target, conditions)
})

afterEach(() => lane.discard())

function emptied(): Promise<void> {
  return new Promise((resolve) => lane.whenEmpty(resolve))
}

describe('a lane', () => {
  test('delivers at once when nothing slows it down', () => {
    lane.push(Buffer.from('now'))
    expect(arrived).toEqual(['now'])
  })

  test('keeps the order when the delay is taken away with bytes on their way', async () => {
    conditions.delayMs = 20
    lane.push(Buffer.from('first'))
    conditions.delayMs = 0
    lane.push(Buffer.from('second'))
    await emptied()
    expect(arrived).toEqual(['first', 'second'])
  })

  test('lets a throttled chunk trickle in portions', async () => {
    conditions.bytesPerSecond = 1000
    lane.push(Buffer.alloc(100, 'x'))
    await emptied()
    expect(arrived.length).toBeGreaterThan(1)
    expect(arrived.join('')).toBe('x'.repeat(100))
  })

  test('delivers nothing after it was told to discard, and is empty', async () => {
    conditions.delayMs = 20
    lane.push(Buffer.from('lost'))
    lane.discard()
    await emptied()
    expect(arrived).toEqual([])
  })
})

describe('the source is held back', () => {
  test('while too much waits for a throttled link', async () => {
    conditions.bytesPerSecond = 1000
    lane.push(Buffer.alloc(2 ** 20))
    expect(source.isPaused()).toBe(false)
    lane.push(Buffer.alloc(1))
    expect(source.isPaused()).toBe(true)
    lane.discard()
    expect(source.isPaused()).toBe(false)
  })

  test('while the far end does not take what it is given', async () => {
    taking = false
    for (let megabytes = 0; megabytes < 2; megabytes += 1) lane.push(Buffer.alloc(2 ** 20))
    expect(source.isPaused()).toBe(true)
  })

  test('and let go when the backlog is gone', async () => {
    conditions.delayMs = 1
    for (let megabytes = 0; megabytes < 2; megabytes += 1) lane.push(Buffer.alloc(2 ** 20))
    expect(source.isPaused()).toBe(true)
    await until(() => !source.isPaused(), { what: 'the source to be let go' })
    await emptied()
    expect(arrived.join('')).toHaveLength(2 ** 21)
  })
})
