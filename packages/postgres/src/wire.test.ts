import { describe, expect, it } from '@jest/globals'
import { BackendReader, cancelRequest, sslRequest, tagged } from './wire.js'

function message(type: string, body: Buffer | string = ''): Buffer {
  const bytes = Buffer.from(body)
  const head = Buffer.alloc(5)
  head.write(type, 'latin1')
  head.writeInt32BE(bytes.length + 4, 1)
  return Buffer.concat([head, bytes])
}

const ready = (status: 'I' | 'T' | 'E') => message('Z', status)
const done = (tag: string) => message('C', `${tag}\0`)
const row = (text: string) => message('D', text)
const failure = (fields: Record<string, string>) =>
  message(
    'E',
    `${Object.entries(fields)
      .map(([type, text]) => `${type}${text}\0`)
      .join('')}\0`,
  )

function keyData(pid: number, secret: number): Buffer {
  const body = Buffer.alloc(8)
  body.writeUInt32BE(pid, 0)
  body.writeUInt32BE(secret, 4)
  return message('K', body)
}

const killed = failure({ S: 'FATALE', V: 'FATAL', C: '57P01', M: 'Verbindung wird abgebrochen: größer', R: 'x' })

/** A generator of numbers in [0, 1) that gives the same ones every time, so that a failure can be looked into. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1664525 + 1013904223) % 4294967296
    return state / 4294967296
  }
}

function cut(bytes: Buffer, random: () => number, longest: number): Buffer[] {
  const chunks: Buffer[] = []
  for (let offset = 0; offset < bytes.length; ) {
    const length = Math.floor(random() * (longest + 1))
    chunks.push(bytes.subarray(offset, offset + length))
    offset += length
  }
  return chunks
}

function read(...chunks: Buffer[]): BackendReader {
  const reader = new BackendReader()
  for (const chunk of chunks) reader.push(chunk)
  return reader
}

describe('BackendReader', () => {
  it('starts idle, with nothing seen', () => {
    const reader = new BackendReader()
    expect(reader.transactionStatus).toBe('idle')
    expect(reader.readyCount).toBe(0)
    expect(reader.backendKey).toBeUndefined()
    expect(reader.fatal).toBeUndefined()
  })

  it('tells the transaction status of the last ReadyForQuery and counts them', () => {
    const reader = new BackendReader()
    reader.push(ready('T'))
    expect([reader.transactionStatus, reader.readyCount]).toEqual(['open', 1])
    reader.push(ready('E'))
    expect([reader.transactionStatus, reader.readyCount]).toEqual(['failed', 2])
    reader.push(Buffer.concat([ready('T'), ready('I')]))
    expect([reader.transactionStatus, reader.readyCount]).toEqual(['idle', 4])
  })

  it('reads the backend key, also with the high bits set', () => {
    expect(read(keyData(4_294_967_295, 2_147_483_648)).backendKey).toEqual({
      pid: 4_294_967_295,
      secret: 2_147_483_648,
    })
  })

  it('keeps a FATAL by its non-localised severity', () => {
    expect(read(killed).fatal).toEqual({
      severity: 'FATAL',
      code: '57P01',
      message: 'Verbindung wird abgebrochen: größer',
    })
  })

  it('takes the localised severity from servers that send no other', () => {
    expect(read(failure({ S: 'PANIC', C: '58000', M: 'gone' })).fatal?.severity).toBe('PANIC')
  })

  it('does not take an ERROR, or a row that looks like one, for a FATAL', () => {
    const error = failure({ S: 'FATAL', V: 'ERROR', C: '23505', M: 'duplicate' })
    expect(read(error, row(killed.toString('latin1')), message('N', killed.subarray(5))).fatal).toBeUndefined()
  })

  it('keeps the FATAL when an ERROR follows', () => {
    expect(read(killed, failure({ S: 'ERROR', V: 'ERROR', C: '25P02', M: 'aborted' })).fatal?.code).toBe('57P01')
  })

  it('counts deadlocks as they are told, before the server is ready again', () => {
    const error = failure({ S: 'FEHLER', V: 'ERROR', C: '40P01', M: 'Verklemmung', D: 'Prozess 7 …' })
    const reader = read(error.subarray(0, 9))
    expect(reader.deadlocks).toBe(0)
    reader.push(error.subarray(9))
    expect([reader.deadlocks, reader.readyCount, reader.fatal]).toEqual([1, 0, undefined])
    for (const code of ['40001', '40P02']) reader.push(failure({ S: 'ERROR', V: 'ERROR', C: code, M: '40P01' }))
    reader.push(ready('E'))
    expect(reader.deadlocks).toBe(1)
    reader.push(error)
    expect(reader.deadlocks).toBe(2)
  })

  it('does not mistake bytes inside a row for messages', () => {
    const reader = read(row(ready('E').toString('latin1')), ready('T'))
    expect([reader.transactionStatus, reader.readyCount]).toEqual(['open', 1])
  })

  it('follows empty messages', () => {
    expect(read(message('1'), message('2'), message('I'), ready('I')).readyCount).toBe(1)
  })

  it.each(Array.from({ length: 60 }, (_, seed) => seed))(
    'sees the same however the stream is cut (seed %d)',
    (seed) => {
      const random = seeded(seed)
      const parts = [keyData(77, 88), ready('I')]
      for (let i = 0; i < 40; i++) {
        parts.push(
          row('x'.repeat(Math.floor(random() * 300))),
          done(['SELECT 1', 'SET', 'LISTEN', 'DEALLOCATE ALL'][i % 4] ?? ''),
          ready(i % 2 === 0 ? 'T' : 'E'),
        )
      }
      parts.push(killed, ready('T'))
      const reader = read(...cut(Buffer.concat(parts), random, [1, 3, 7, 64, 5000][seed % 5] ?? 1))
      expect(reader.readyCount).toBe(42)
      expect(reader.transactionStatus).toBe('open')
      expect(reader.backendKey).toEqual({ pid: 77, secret: 88 })
      expect(reader.fatal?.message).toBe('Verbindung wird abgebrochen: größer')
      expect([reader.tags, reader.sets]).toEqual([tagged.set | tagged.listen | tagged.prepare, 10])
    },
  )

  it.each([
    ['SET', tagged.set],
    ['RESET', tagged.reset],
    ['LISTEN', tagged.listen],
    ['DECLARE CURSOR', tagged.declare],
    ['PREPARE', tagged.prepare],
    ['DEALLOCATE', tagged.prepare],
    ['DEALLOCATE ALL', tagged.prepare],
    ['DISCARD ALL', tagged.prepare],
    ['LOAD', tagged.load],
    ['DO', tagged.block],
  ])('notes the tag of a command that may leave something on the session: %s', (tag, bit) => {
    const reader = read(done('SELECT 1'), done(tag), done('UPDATE 7'))
    expect(reader.tags).toBe(bit)
  })

  it.each([
    'SELECT 3',
    'INSERT 0 1',
    'UPDATE 1',
    'DELETE 1',
    'MERGE 1',
    'BEGIN',
    'START TRANSACTION',
    'COMMIT',
    'ROLLBACK',
    'SAVEPOINT',
    'RELEASE',
    'SET CONSTRAINTS',
    'PREPARE TRANSACTION',
    'UNLISTEN',
    'NOTIFY',
    'LOCK TABLE',
    'DISCARD TEMP',
    'CREATE TABLE',
    'DROP TABLE',
    'COPY 5',
    'SHOW',
    'CALL',
    '',
  ])('makes nothing of the others: %s', (tag) => {
    expect(read(done(tag)).tags).toBe(0)
  })

  it('counts how often SET was answered, until it is told to forget', () => {
    const reader = read(done('SET'), done('RESET'), done('SET'))
    expect([reader.tags, reader.sets]).toEqual([tagged.set | tagged.reset, 2])
    reader.forgetTags()
    expect([reader.tags, reader.sets]).toEqual([0, 0])
  })

  it('does not take a row or a message that looks like one for a tag', () => {
    const set = done('SET').toString('latin1')
    expect(read(row(set), message('N', set), message('d', set)).tags).toBe(0)
  })

  it('keeps no chunk: a buffer used again by its owner changes nothing', () => {
    const reader = new BackendReader()
    const first = Buffer.from(killed.subarray(0, 20))
    reader.push(first)
    first.fill(0)
    reader.push(killed.subarray(20))
    expect(reader.fatal?.code).toBe('57P01')
  })

  it('reads the front of an ErrorResponse too long to keep, and goes on after it', () => {
    const long = failure({ S: 'FATAL', V: 'FATAL', C: '57P01', M: 'bye', D: 'd'.repeat(300_000) })
    const reader = read(long.subarray(0, 100_000), long.subarray(100_000), ready('E'))
    expect(reader.fatal?.message).toBe('bye')
    expect(reader.transactionStatus).toBe('failed')
  })

  it('allocates nothing for a message that announces a gigabyte', () => {
    const head = Buffer.alloc(5)
    head.write('E')
    head.writeInt32BE(1_000_000_000, 1)
    const before = process.memoryUsage().arrayBuffers
    read(head)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10_000_000)
  })

  it.each([
    ['whole', 5],
    ['cut', 3],
  ])('gives up on a length no message can have, keeping what it saw (%s header)', (_how, at) => {
    const broken = Buffer.from([68, 0, 0, 0, 3])
    const reader = read(ready('T'), broken.subarray(0, at), broken.subarray(at), ready('E'), ready('E'))
    expect([reader.transactionStatus, reader.readyCount]).toEqual(['open', 1])
  })

  it('takes a ReadyForQuery or a key too short to be one for none', () => {
    const reader = read(message('Z'), message('K', 'abc'), message('E'), message('C'), message('C', 'S'), ready('T'))
    expect([reader.readyCount, reader.backendKey, reader.fatal]).toEqual([1, undefined, undefined])
  })
})

describe('messages of ours', () => {
  it('writes a CancelRequest', () => {
    expect(cancelRequest(1, 4_294_967_295).toString('hex')).toBe('0000001004d2162e00000001ffffffff')
  })

  it('writes an SSLRequest', () => {
    expect(sslRequest().toString('hex')).toBe('0000000804d2162f')
  })
})
