// Every scalar type Drizzle maps, at its edges, and NULL.

import type { Operation } from '../operation.js'
import { documents, numbers, places, words } from '../schema/index.js'
import { readsBack, roundTrip } from './round-trip.js'

export const scalars: readonly Operation[] = [
  roundTrip('NULL in every number type', numbers, [{}]),
  roundTrip('smallint', numbers, [{ small: -32768 }, { small: 0 }, { small: 32767 }]),
  roundTrip('integer', numbers, [{ whole: -2147483648 }, { whole: 0 }, { whole: 2147483647 }]),
  roundTrip('bigint as number', numbers, [
    { bigNumber: Number.MIN_SAFE_INTEGER },
    { bigNumber: 0 },
    { bigNumber: Number.MAX_SAFE_INTEGER },
  ]),
  roundTrip('bigint as bigint', numbers, [{ big: -9223372036854775808n }, { big: 0n }, { big: 9223372036854775807n }]),
  readsBack('bigint as number beyond what a number holds', numbers, 'big_number', [
    '(9223372036854775807)',
    '(9007199254740993)',
  ]),
  roundTrip('numeric as string keeps its digits', numbers, [
    { exact: '0' },
    { exact: '-0.000000000000000000000000000001' },
    { exact: '123456789012345678901234567890.12345678901234567890' },
    { exact: '1.10' },
    { exact: 'NaN' },
    { exact: 'Infinity' },
  ]),
  roundTrip('numeric as number', numbers, [{ exactNumber: 0.1 }, { exactNumber: -1e20 }, { exactNumber: 42 }]),
  roundTrip('numeric as bigint', numbers, [{ exactBigint: 123456789012345678901234567890n }, { exactBigint: -1n }]),
  roundTrip('numeric with a scale is rounded and padded', numbers, [
    { scaled: '1.23456' },
    { scaled: '99999999.9999' },
    { scaled: '-5' },
  ]),
  roundTrip('real', numbers, [{ single: 1.1 }, { single: 3.4028235e38 }, { single: 1e-45 }, { single: -0 }]),
  roundTrip('double precision', numbers, [
    { double: Number.MAX_VALUE },
    { double: Number.MIN_VALUE },
    { double: 0.1 + 0.2 },
    { double: -0 },
  ]),
  readsBack('real and double precision without a finite value', numbers, 'single, double', [
    `('NaN', 'NaN')`,
    `('Infinity', '-Infinity')`,
  ]),
  roundTrip('serials count on their own, and take a value', numbers, [
    {},
    { autoSmall: 32000, autoBig: 9000000000000000000n },
    {},
  ]),

  roundTrip('NULL in every text type', words, [{}]),
  roundTrip('text', words, [
    { plain: '' },
    { plain: ' ' },
    { plain: 'null' },
    { plain: `'; drop table users; --` },
    { plain: 'back\\slash "double" `tick` $1 %s {}' },
    { plain: 'line\nbreak\r\ntab\t' },
    { plain: '🚢 emoji, é combining e\u0301, 漢字, \u200d' },
    { plain: 'x'.repeat(70_000) },
  ]),
  roundTrip('varchar and char', words, [
    { short: '', padded: '' },
    { short: 'exactly twenty chars', padded: 'ab' },
    { short: '🚢', padded: '🚢' },
  ]),
  roundTrip('boolean', words, [{ flag: true }, { flag: false }, { flag: null }]),
  roundTrip('uuid', words, [
    { key: '00000000-0000-0000-0000-000000000000' },
    { key: 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11' },
  ]),
  roundTrip('bytea through a custom type', words, [
    { bytes: Buffer.alloc(0) },
    { bytes: Buffer.from([0, 1, 0x5c, 0x27, 0xff]) },
    { bytes: Buffer.alloc(5000, 7) },
  ]),
  roundTrip('an enum, and text limited to choices', words, [
    { mood: 'sad', choice: 'red' },
    { mood: 'happy', choice: 'green' },
  ]),

  roundTrip('NULL in json and jsonb, by SQL and by JSON', documents, [{}, { loose: null, strict: null }]),
  roundTrip('json and jsonb objects', documents, [
    { loose: {}, strict: {} },
    { loose: { b: 1, a: { nested: [{ deep: null }] } }, strict: { b: 1, a: { nested: [{ deep: null }] } } },
    {
      loose: { 'quote"': 'back\\slash', emoji: '🚢' },
      strict: { 'quote"': 'back\\slash', emoji: '🚢', 'a.b': "it's" },
    },
    { loose: { undefined: undefined, date: new Date(0) }, strict: { undefined: undefined, date: new Date(0) } },
  ]),
  roundTrip('json and jsonb arrays', documents, [
    { loose: [], strict: [] },
    { loose: [1, 'two', null, [3]], strict: [1, 'two', null, [3]] },
    { loose: ['{', '}'], strict: [{ a: 1 }, { a: 2 }] },
  ]),
  roundTrip('json and jsonb strings', documents, [
    { loose: '', strict: '' },
    { loose: 'plain', strict: 'plain' },
    { loose: '{"looks":"like json"}', strict: '{"looks":"like json"}' },
    { loose: '12', strict: 'true' },
  ]),
  roundTrip('json and jsonb numbers and booleans', documents, [
    { loose: 0, strict: 0 },
    { loose: -1.5e-7, strict: 12345678901234 },
    { loose: true, strict: false },
  ]),
  readsBack('JSON null is not SQL NULL, and large numbers lose digits', documents, 'loose, strict', [
    `('null', 'null')`,
    '(null, null)',
    `('12345678901234567890', '12345678901234567890')`,
    `('{ "a" : 1, "a" : 2 }', '{ "a" : 1, "a" : 2 }')`,
  ]),

  roundTrip('NULL in every other type', places, [{}]),
  roundTrip('inet and cidr', places, [
    { address: '192.168.0.1', network: '10.0.0.0/8' },
    { address: '192.168.0.1/24', network: '2001:db8::/32' },
    { address: '::1', network: '::/0' },
  ]),
  roundTrip('macaddr and macaddr8', places, [{ card: '08:00:2b:01:02:03', card8: '08:00:2b:01:02:03:04:05' }]),
  roundTrip('point as a tuple and as x and y', places, [
    { spot: [1.5, -2], spotXy: { x: 0, y: 1e10 } },
    { spot: [0, 0], spotXy: { x: -0.1, y: 0.1 } },
  ]),
  roundTrip('line as a tuple and as a, b and c', places, [{ edge: [1, 2, 3], edgeAbc: { a: -1, b: 0.5, c: 0 } }]),
  roundTrip('ranges through custom types', places, [
    { span: { from: 1, to: 10 }, period: '["2024-01-01 00:00:00+00","2024-02-01 00:00:00+00")' },
    { span: { from: -5, to: 5 }, period: '(,)' },
    { period: 'empty' },
  ]),
]
