// What the library gets to see while queries of our own travel beside its statements, however the stream is cut.

import { Duplex } from 'node:stream'
import { describe, expect, it } from '@jest/globals'
import { type AsideAnswer, Asides } from './aside.js'
import { LibrarySocket } from './library-socket.js'
import { BackendReader, simpleQuery } from './wire.js'

function message(type: string, body: string | Buffer = ''): Buffer {
  const bytes = Buffer.from(body)
  const head = Buffer.alloc(5)
  head.write(type, 'latin1')
  head.writeInt32BE(bytes.length + 4, 1)
  return Buffer.concat([head, bytes])
}

function row(value: string | null): Buffer {
  const head = Buffer.alloc(6)
  head.writeInt16BE(1, 0)
  head.writeInt32BE(value === null ? -1 : Buffer.byteLength(value), 2)
  return message('D', Buffer.concat([head, Buffer.from(value ?? '')]))
}

const ready = (status: string) => message('Z', status)
const done = (tag: string) => message('C', `${tag}\0`)
const notice = message('N', 'SNOTICE\0Mhello\0\0')
const notification = message('A', '\0\0\0\x01channel\0payload\0')
const parameter = message('S', 'TimeZone\0UTC\0')
const failure = message('E', 'SERROR\0VERROR\0C42704\0Mno such role\0\0')
const statement = [message('T', 'columns'), row('one'), row('two'), done('SELECT 2')]

function begin() {
  const chunks: Buffer[] = []
  const written = { chunks, soon: () => new Promise((resolve) => setImmediate(() => setImmediate(resolve))) }
  const socket = new Duplex({
    read() {},
    write(chunk: Buffer, _, next) {
      chunks.push(chunk)
      next()
    },
  })
  const reader = new BackendReader()
  const librarySocket = new LibrarySocket(socket)
  const asides = new Asides(librarySocket, reader)
  const answers: AsideAnswer[] = []
  const push = (chunk: Buffer): readonly Buffer[] => {
    reader.push(chunk)
    return asides.idle ? [chunk] : asides.sift(chunk)
  }
  return {
    socket,
    librarySocket,
    written,
    reader,
    asides,
    answers,
    note: (answer: AsideAnswer) => answers.push(answer),
    push,
  }
}

/** In two chunks cut at each byte, and byte by byte. */
function* cuts(stream: Buffer): Generator<Buffer[]> {
  for (let at = 1; at <= stream.length; at++) yield [stream.subarray(0, at), stream.subarray(at)]
  yield [...stream].map((byte) => Buffer.from([byte]))
}

const led = { error: undefined, value: undefined, status: 'open' }

it.each<[string, Buffer[], Buffer[], object[]]>([
  [
    'ahead of a statement',
    [done('BEGIN'), ready('T')],
    [...statement, ready('T'), notice, ...statement, ready('I')],
    [led],
  ],
  [
    'of several statements',
    [done('BEGIN'), done('SET'), message('T', 'columns'), row('x'), done('SELECT 1'), ready('T')],
    [...statement, ready('T')],
    [{ ...led, value: 'x' }],
  ],
  [
    'refused',
    [done('BEGIN'), failure, ready('E')],
    [failure, ready('E')],
    [
      {
        ...led,
        error: { severity_local: 'ERROR', severity: 'ERROR', code: '42704', message: 'no such role' },
        status: 'failed',
      },
    ],
  ],
])('an answer to what went %s is not shown', (_, hidden, shown, expected) => {
  for (const chunks of cuts(Buffer.concat([...hidden, ...shown]))) {
    const { asides, push, note, answers, reader } = begin()
    asides.ahead('begin', note)
    const seen = Buffer.concat(chunks.flatMap((chunk) => [...push(chunk)]))
    expect(seen.equals(Buffer.concat(shown))).toBe(true)
    expect(answers).toEqual(expected)
    expect(asides.idle).toBe(true)
    expect(reader.sets).toBe(0)
  }
})

it.each([
  ['an id', [row('42'), done('SELECT 1'), ready('T')], { ...led, value: '42' }],
  ['none', [row(null), done('SELECT 1'), ready('T')], { ...led, value: null }],
  ['an error', [failure, ready('E')], { status: 'failed', value: undefined, error: { code: '42704' } }],
])('an answer to what went behind a statement is not shown: %s', (_, answer, expected) => {
  const front = [...statement, ready('T')]
  const next = [...statement, ready('T')]
  for (const chunks of cuts(Buffer.concat([...front, message('T', 'x'), ...answer, ...next]))) {
    const { asides, push, note, answers } = begin()
    asides.behind('look', note)
    const seen = Buffer.concat(chunks.flatMap((chunk) => [...push(chunk)]))
    expect(seen.equals(Buffer.concat([...front, ...next]))).toBe(true)
    expect(answers).toMatchObject([expected])
  }
})

it('ahead and behind at once, and what comes at any time is shown', () => {
  const stream = [
    [notice, false],
    [done('BEGIN'), true],
    [notification, false],
    [ready('T'), true],
    [parameter, false],
    [done('INSERT 0 1'), false],
    [ready('T'), false],
    [message('T', 'x'), true],
    [parameter, false],
    [row('7'), true],
    [ready('T'), true],
    [notification, false],
  ] as const
  const shown = Buffer.concat(stream.filter(([, hidden]) => !hidden).map(([bytes]) => bytes))
  for (const chunks of cuts(Buffer.concat(stream.map(([bytes]) => bytes)))) {
    const { asides, push, note, answers } = begin()
    asides.ahead('begin', note)
    asides.behind('look', note)
    expect(Buffer.concat(chunks.flatMap((chunk) => [...push(chunk)])).equals(shown)).toBe(true)
    expect(answers).toEqual([led, { ...led, value: '7' }])
  }
})

it('sent while a message is only half here, it does not take the rest for its answer', () => {
  const answer = Buffer.concat([done('BEGIN'), ready('T')])
  for (let at = 1; at < notification.length; at++) {
    const { asides, push, note, answers } = begin()
    const before = push(notification.subarray(0, at))
    asides.ahead('begin', note)
    const after = push(Buffer.concat([notification.subarray(at), answer, notice]))
    expect(Buffer.concat([...before, ...after]).equals(Buffer.concat([notification, notice]))).toBe(true)
    expect(answers).toEqual([led])
  }
})

describe('on the wire', () => {
  it('what goes ahead, the statement, and what goes behind leave in this order and as one', async () => {
    const { asides, librarySocket, written, note } = begin()
    asides.ahead('begin', note)
    // As the library does with what is short.
    setImmediate(() => librarySocket.write(Buffer.from('statement')))
    asides.behind('look', note)
    asides.depart()
    await written.soon()
    expect(written.chunks).toEqual([
      Buffer.concat([simpleQuery('begin'), Buffer.from('statement'), simpleQuery('look')]),
    ])
    expect(librarySocket.written).toBe('statement'.length)
  })

  it('where the library writes at once, what goes behind follows', async () => {
    const { asides, librarySocket, written, note } = begin()
    asides.ahead('begin', note)
    librarySocket.write(Buffer.from('a long statement'))
    asides.behind('look', note)
    asides.depart()
    await written.soon()
    expect(written.chunks).toEqual([
      Buffer.concat([simpleQuery('begin'), Buffer.from('a long statement')]),
      simpleQuery('look'),
    ])
  })

  it('where the library writes nothing, what goes ahead leaves all the same, and once', async () => {
    const { asides, librarySocket, written, note } = begin()
    asides.ahead('begin', note)
    asides.depart()
    await written.soon()
    librarySocket.write(Buffer.from('later'))
    expect(written.chunks).toEqual([simpleQuery('begin'), Buffer.from('later')])
  })

  it('nothing goes behind on a socket that has ended meanwhile', async () => {
    const { asides, socket, written, note } = begin()
    asides.behind('look', note)
    asides.depart()
    socket.end()
    await written.soon()
    expect(written.chunks).toEqual([])
  })
})
