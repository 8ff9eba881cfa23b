import { describe, expect, test } from '@jest/globals'
import { type Direction, Framer, headLimit, type Message, type Piece } from './framing.js'

function typed(type: string, body: string | Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(4 + Buffer.byteLength(body))
  return Buffer.concat([Buffer.from(type), length, Buffer.from(body)])
}

function untyped(code: number, rest = ''): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt32BE(8 + rest.length)
  head.writeUInt32BE(code, 4)
  return Buffer.concat([head, Buffer.from(rest)])
}

const startup = untyped(196608, 'user\0postgres\0\0')
const sslRequest = untyped(80877103)
const cancelRequest = untyped(80877102, '\0\0\0\u0007\0\0\0\u0009')

function push(framer: Framer, chunks: readonly Buffer[]): Piece[] {
  return chunks.flatMap((chunk) => [...framer.push(chunk)])
}

function names(pieces: readonly Piece[]): (string | undefined)[] {
  return pieces.filter(({ first }) => first).map(({ message }) => message?.name)
}

function joined(pieces: readonly Piece[]): Buffer {
  return Buffer.concat(pieces.map(({ data }) => data))
}

/** The same numbers each run, so that a failure can be looked at again. */
function randomNumbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    return state / 0x7fffffff
  }
}

function split(bytes: Buffer, random: () => number): Buffer[] {
  const chunks: Buffer[] = []
  for (let start = 0; start < bytes.length; ) {
    const size = 1 + Math.floor(random() ** 4 * 3 * headLimit)
    chunks.push(bytes.subarray(start, start + size))
    start += size
  }
  return chunks
}

describe('the framer of the stream to the server', () => {
  test('tells the packets without type byte from each other, and typed messages after the start-up', () => {
    const pieces = push(new Framer('to-server'), [
      Buffer.concat([sslRequest, startup, typed('Q', 'select 1\0'), typed('X', '')]),
    ])
    expect(names(pieces)).toEqual(['SSLRequest', 'StartupMessage', 'Query', 'Terminate'])
    expect(pieces[2]?.message?.head.toString()).toBe('select 1\0')
  })

  test('knows a CancelRequest', () => {
    const [piece] = push(new Framer('to-server'), [cancelRequest])
    expect(piece?.message).toMatchObject({ name: 'CancelRequest', length: 16 })
  })

  test('takes a TLS handshake without SSLRequest for opaque bytes', () => {
    const hello = Buffer.from([0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5])
    const [piece] = push(new Framer('to-server'), [hello])
    expect(piece).toEqual({ data: hello, message: undefined, first: true, last: true })
  })

  test('passes bytes on that are no protocol at all', () => {
    const nonsense = Buffer.concat([startup, Buffer.from('Q\0\0\0\0and so on')])
    const pieces = push(new Framer('to-server'), [nonsense])
    expect(names(pieces)).toEqual(['StartupMessage', undefined])
    expect(joined(pieces).equals(nonsense)).toBe(true)
  })
})

describe('the framer of the stream to the client', () => {
  test('takes the answer to an SSLRequest for one byte, and goes on with messages', () => {
    const framer = new Framer('to-client')
    framer.expectEncryptionAnswer()
    const pieces = push(framer, [Buffer.from('N'), typed('R', '\0\0\0\0'), typed('Z', 'I')])
    expect(names(pieces)).toEqual(['EncryptionAnswer', 'Authentication', 'ReadyForQuery'])
  })

  test('takes an error in answer to an SSLRequest for the message it is', () => {
    const framer = new Framer('to-client')
    framer.expectEncryptionAnswer()
    expect(names(push(framer, [typed('E', 'SFATAL\0\0')]))).toEqual(['ErrorResponse'])
  })

  test('lets everything pass unread once it is told that TLS began', () => {
    const framer = new Framer('to-client')
    framer.expectEncryptionAnswer()
    const seen: (Message | undefined)[] = []
    for (const { message } of framer.push(Buffer.from('S\0\0secret'))) {
      seen.push(message)
      framer.becomeOpaque()
    }
    expect(seen.map((message) => message?.name)).toEqual(['EncryptionAnswer', undefined])
  })
})

describe('a message longer than the limit', () => {
  const long = typed('d', Buffer.alloc(headLimit + 1000, 7))

  test('is told with its beginning, and streams on without being held', () => {
    const framer = new Framer('to-client')
    const begin = push(framer, [long.subarray(0, headLimit + 5)])
    expect(begin).toMatchObject([{ first: true, last: false, message: { name: 'CopyData', length: long.length } }])
    expect(begin[0]?.message?.head).toHaveLength(headLimit)
    const middle = push(framer, [long.subarray(headLimit + 5, headLimit + 6)])
    expect(middle).toMatchObject([{ first: false, last: false, data: { length: 1 } }])
    const end = push(framer, [Buffer.concat([long.subarray(headLimit + 6), typed('Z', 'I')])])
    expect(end).toMatchObject([
      { first: false, last: true, message: { name: 'CopyData' } },
      { first: true, last: true, message: { name: 'ReadyForQuery' } },
    ])
  })
})

describe('however TCP splits the stream', () => {
  const random = randomNumbers(42)
  const body = () => Buffer.alloc(Math.floor(random() ** 6 * 3 * headLimit), 0x51)
  const streams: Record<Direction, Buffer> = {
    'to-server': Buffer.concat([startup, ...Array.from({ length: 60 }, () => typed('Q', body()))]),
    'to-client': Buffer.concat(Array.from({ length: 60 }, () => typed('D', body()))),
  }

  test.each(['to-server', 'to-client'] as const)('%s: the messages are the same and no byte is lost', (direction) => {
    const stream = streams[direction]
    const told = (pieces: readonly Piece[]) =>
      pieces.flatMap(({ first, last, message }) => [
        ...(first ? [`${message?.name} ${message?.length} ${message?.head.toString('base64')}`] : []),
        ...(last ? ['complete'] : []),
      ])
    const whole = told(push(new Framer(direction), [stream])).join('\n')
    for (let round = 0; round < 50; round += 1) {
      const pieces = push(new Framer(direction), split(stream, random))
      expect(joined(pieces).equals(stream)).toBe(true)
      // Compared as one text: jest's own comparison goes through buffers byte by byte.
      expect(told(pieces).join('\n') === whole).toBe(true)
    }
  })

  test('byte by byte: a message is let go only when it is complete', () => {
    const bytes = Buffer.concat([startup, typed('Q', 'COMMIT\0')])
    const framer = new Framer('to-server')
    const arrivals: number[] = []
    for (let index = 0; index < bytes.length; index += 1) {
      if (push(framer, [bytes.subarray(index, index + 1)]).length > 0) arrivals.push(index + 1)
    }
    expect(arrivals).toEqual([startup.length, bytes.length])
  })
})
