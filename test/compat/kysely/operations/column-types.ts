// What each type of column comes back as: on its own, in an array of its type, as NULL, with and without parameters in
// the statement (pg speaks another protocol for each) and streamed.

import { sql } from 'kysely'
import { about, collect, type Operation } from '../operation.js'

function reading(type: string, literals: readonly string[]): Operation {
  const cast = sql.raw(type)
  const values = literals.map((literal) => sql`${sql.lit(literal)}::${cast}`)
  const named = [
    ...values.map((value, index) => sql`${value} as ${sql.ref(`v${index}`)}`),
    sql`null::${cast} as nothing`,
    sql`array[${sql.join([...values, sql`null`])}]::${cast}[] as several`,
    sql`array[]::${cast}[] as none`,
  ]
  const columns = sql.join(named)
  return {
    name: type,
    run: async ({ db }) => [
      (await sql`select ${columns}`.execute(db)).rows,
      (await sql`select ${columns} where ${1}::int = 1`.execute(db)).rows,
      await collect(db.selectFrom(sql<object>`(select ${columns})`.as('t')).selectAll().stream(1)),
    ],
  }
}

const scalars = [
  reading('smallint', ['0', '-32768', '32767']),
  reading('integer', ['0', '-2147483648', '2147483647']),
  reading('bigint', ['0', '-1', '9007199254740993', '-9223372036854775808', '9223372036854775807']),
  reading('numeric', ['0', '1.10', '-0.000001', 'NaN', 'Infinity', '-Infinity', '12345678901234567890.123456789']),
  reading('numeric(6, 2)', ['1', '-9999.99']),
  reading('real', ['0', '-0', '0.1', '1.5', '3.4e38', 'NaN', 'Infinity']),
  reading('double precision', ['0', '-0', '0.1', '1e308', '5e-324', '123456789.123456789', 'NaN', '-Infinity']),
  reading('money', ['0', '1234567.89', '-1']),
  reading('oid', ['0', '4294967295']),
  reading('text', [
    '',
    ' ',
    "O'Neill",
    'say "hi"',
    'C:\\x\\0',
    'a,b',
    '{}',
    'NULL',
    'a\nb\tc\r',
    '🐘👩‍👩‍👧é',
    '$1 ? :x',
  ]),
  reading('varchar', ['', 'x', 'ünïcödé']),
  reading('varchar(3)', ['abc']),
  reading('char(5)', ['', 'ab', 'abcde']),
  reading('"char"', ['', 'x']),
  reading('name', ['pg_class']),
  reading('boolean', ['true', 'false']),
  reading('date', ['2024-02-29', '0001-01-01', '0044-03-15 BC', '9999-12-31', '12024-01-01', 'infinity', '-infinity']),
  reading('time', ['00:00', '23:59:59.999999', '24:00', '12:34:56.7']),
  reading('time(0)', ['12:34:56.7']),
  reading('timetz', ['12:34:56.789-03:30', '00:00+14', '23:59:59.999999Z']),
  reading('timestamp', [
    '2024-01-31 12:34:56.789',
    '2024-01-01 00:00:00.123456',
    '2024-03-10 02:30:00',
    '0033-04-03 15:00:00',
    '0044-03-15 12:00:00 BC',
    '12024-01-01 00:00:00',
    'infinity',
    '-infinity',
  ]),
  reading('timestamptz', [
    '2024-01-31 12:34:56.789+00',
    '2024-06-30 23:59:59.123456-03:30',
    '1850-01-01 00:00:00+00',
    '0044-03-15 12:00:00+00 BC',
    'epoch',
    'infinity',
    '-infinity',
  ]),
  reading('interval', [
    '1 year 2 mons 3 days 04:05:06.789',
    '0',
    '-1 day',
    '-00:00:01.5',
    '00:00:00.000001',
    '1 mon -1 day +100:00:00',
  ]),
  reading('json', [
    '{"a": [1, null, {"b": "c"}]}',
    '[]',
    '[1, "2"]',
    '"text"',
    '1.5',
    'true',
    'null',
    '12345678901234567890',
  ]),
  reading('jsonb', ['{"b": 1, "a": {"é": "🐘"}}', '{}', '[1, [2]]', '"text"', '-0', 'false', 'null', '"\\u0041\\""']),
  reading('uuid', ['00000000-0000-0000-0000-000000000000', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11']),
  reading('bytea', ['', '\\x00ff5c', 'a\\\\b']),
  reading('inet', ['192.168.0.1', '192.168.0.0/24', '::1', '2001:db8::/32']),
  reading('cidr', ['10.0.0.0/8', '2001:db8::/32']),
  reading('macaddr', ['08:00:2b:01:02:03']),
  reading('macaddr8', ['08:00:2b:01:02:03:04:05']),
  reading('point', ['(0,0)', '(-1.5,1e10)', '(NaN,Infinity)']),
  reading('circle', ['<(1,2),3.5>', '<(-1,0),0>']),
  reading('line', ['{1,2,3}']),
  reading('lseg', ['[(1,2),(3,4)]']),
  reading('box', ['(3,4),(1,2)']),
  reading('path', ['((1,2),(3,4))', '[(1,2),(3,4)]']),
  reading('polygon', ['((1,2),(3,4),(5,6))']),
  reading('mood', ['sad', 'happy']),
  reading('int4range', ['[1,10)', 'empty', '(,5]', '[1,]']),
  reading('numrange', ['[1.5,2.5]']),
  reading('daterange', ['[2024-01-01,2024-02-01)']),
  reading('tsrange', ['[2024-01-01,2024-01-02)']),
  reading('tstzrange', ['[2024-01-01 00:00Z,2024-01-02 00:00Z)', '(-infinity,infinity)']),
  reading('int4multirange', ['{[1,3),[5,7)}', '{}']),
  reading('bit(3)', ['101']),
  reading('varbit', ['', '10110']),
  reading('tsvector', ["a fat 'cat'"]),
  reading('tsquery', ['fat & (rat | cat)']),
  reading('regclass', ['person', 'archive.person']),
  reading('pg_lsn', ['16/B374D848']),
  reading('xid8', ['18446744073709551615']),
  reading('jsonpath', ['$.a[*] ? (@ > 1)']),
  reading('link', ['(1,2)', '(1,)']),
]

const arrays: [string, string[]][] = [
  ['int[]', ['{}', '{1,NULL,-3}', '{{1,2},{3,4}}', '{{{1},{2}}}', '[0:1]={7,8}']],
  ['bigint[]', ['{9223372036854775807,NULL,-5}', '{{1},{2}}']],
  [
    'text[]',
    [
      '{}',
      '{NULL,"NULL",null,""}',
      '{"a,b","say \\"hi\\"","back\\\\slash","{curly}"," space "}',
      '{{a,b},{"c d",NULL}}',
      '{🐘,"line\nbreak"}',
    ],
  ],
  ['varchar[]', ['{a,"b,c",NULL}']],
  ['numeric[]', ['{1.10,NULL,NaN}', '{{1},{2}}']],
  ['date[]', ['{2024-02-29,NULL,infinity}', '{{2024-01-01},{2024-01-02}}']],
  ['timestamp[]', ['{"2024-01-01 12:00:00",NULL}']],
  ['timestamptz[]', ['{"2024-01-01 12:00:00+00",NULL}', '{{"2024-01-01 00:00:00-05"}}']],
  ['uuid[]', ['{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,NULL}']],
  ['json[]', ['{"{\\"a\\":1}",NULL,"[1,2]","\\"text\\""}']],
  ['jsonb[]', ['{"{\\"a\\": \\"b,c\\"}",NULL,null}', '{{1},{2}}']],
  ['bytea[]', ['{"\\\\x00ff",NULL,""}']],
  ['boolean[]', ['{t,f,NULL}', '{{t},{f}}']],
  ['real[]', ['{1.5,NULL,Infinity}']],
  ['point[]', ['{"(1,2)","(3,4)",NULL}']],
  ['interval[]', ['{"1 day","02:00:00",NULL}']],
  ['box[]', ['{(1,1),(0,0);(2,2),(1,1)}']],
  ['mood[]', ['{sad,happy,NULL}']],
  ['int4range[]', ['{"[1,2)",empty,NULL}']],
  ['inet[]', ['{10.0.0.1,::1,NULL}']],
  ['link[]', ['{"(1,2)","(3,)"}']],
]

const arrayOperations = arrays.map(
  ([type, literals]): Operation => ({
    name: `${type}, nested and with NULLs`,
    run: async ({ db }) => {
      const columns = literals.map(
        (literal, index) => sql`${sql.lit(literal)}::${sql.raw(type)} as ${sql.ref(`v${index}`)}`,
      )
      return (await sql`select ${sql.join(columns)}, null::${sql.raw(type)} as nothing`.execute(db)).rows
    },
  }),
)

export const columnTypeOperations = about('type', [...scalars, ...arrayOperations])
