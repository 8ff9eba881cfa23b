import { expect, test } from '@jest/globals'
import { until } from './until.js'

test('resolves with the first truthy answer', async () => {
  const answers = [0, undefined, 'yes', 'too late']
  expect(await until(() => answers.shift(), { what: 'an answer' })).toBe('yes')
})

test('takes an error for "not yet"', async () => {
  let calls = 0
  const condition = async () => {
    calls += 1
    if (calls < 3) throw new Error('connection refused')
    return calls
  }
  expect(await until(condition, { what: 'the server' })).toBe(3)
})

test('says what it waited for, with the last error as the cause', async () => {
  const refused = new Error('connection refused')
  const condition = () => Promise.reject(refused)
  await expect(until(condition, { what: 'the server to answer', timeoutMs: 20 })).rejects.toMatchObject({
    message: 'waited 20 ms for the server to answer (last error: Error: connection refused)',
    cause: refused,
  })
})

test('ends even when the condition never settles', async () => {
  const condition = () => new Promise<boolean>(() => {})
  await expect(until(condition, { what: 'Godot', timeoutMs: 20 })).rejects.toThrow('waited 20 ms for Godot')
})
