import { describe, expect, test } from '@jest/globals'
import type { Direction, Message } from './framing.js'
import { completes, executes, isCommit } from './matchers.js'
import { Session } from './session.js'

function message(name: string, head: string | Buffer, direction: Direction = 'to-server'): Message {
  return { direction, name, length: 5 + Buffer.byteLength(head), head: Buffer.from(head) }
}

const parse = (statement: string, sql: string) => message('Parse', `${statement}\0${sql}\0\0\0`)
const bind = (portal: string, statement: string) => message('Bind', `${portal}\0${statement}\0\0\0\0\0\0\0`)
const execute = (portal: string) => message('Execute', `${portal}\0\0\0\0\0`)
const close = (what: 'S' | 'P', name: string) => message('Close', `${what}${name}\0`)
const query = (sql: string) => message('Query', `${sql}\0`)

function statementsAfter(...messages: Message[]): readonly string[] {
  const session = new Session()
  for (const one of messages) session.see(one)
  return session.statements
}

describe('the SQL that an Execute runs', () => {
  test('is that of the unnamed statement', () => {
    expect(statementsAfter(parse('', 'begin'), bind('', ''), execute(''))).toEqual(['begin'])
  })

  test('is that of a statement prepared earlier, though others came between', () => {
    const messages = [
      parse('a', 'commit'),
      parse('', 'select 1'),
      bind('', ''),
      execute(''),
      bind('', 'a'),
      execute(''),
    ]
    expect(statementsAfter(...messages)).toEqual(['select 1', 'commit'])
  })

  test('is that of its portal, with several open at once', () => {
    const messages = [parse('', 'one'), bind('p', ''), parse('', 'two'), bind('q', ''), execute('p'), execute('q')]
    expect(statementsAfter(...messages)).toEqual(['one', 'two'])
  })

  test('is that of the last statement given the name', () => {
    const messages = [parse('a', 'one'), close('S', 'a'), parse('a', 'two'), bind('', 'a'), execute('')]
    expect(statementsAfter(...messages)).toEqual(['two'])
  })

  test('is unknown once the portal was closed', () => {
    expect(statementsAfter(parse('', 'one'), bind('p', ''), close('P', 'p'), execute('p'))).toEqual([''])
  })
})

describe('a session', () => {
  test('knows what the StartupMessage says', () => {
    const session = new Session()
    session.see(message('StartupMessage', '\0\u0003\0\0user\0me\0application_name\0\0database\0mine\0\0'))
    expect(session.startup).toEqual({ user: 'me', application_name: '', database: 'mine' })
  })

  test('knows the transaction state of the last ReadyForQuery', () => {
    const session = new Session()
    const states = ['I', 'T', 'E'].map((state) => {
      session.see(message('ReadyForQuery', state, 'to-client'))
      return session.transactionStatus
    })
    expect(states).toEqual(['idle', 'open', 'failed'])
  })

  test('knows whom a CancelRequest means', () => {
    const session = new Session()
    session.see(message('CancelRequest', Buffer.from([4, 210, 22, 46, 0, 0, 1, 2, 0, 0, 0, 0])))
    expect(session.cancels).toBe(258)
  })
})

function matches(matcher: typeof isCommit, one: Message): boolean {
  const session = new Session()
  session.see(one)
  return matcher(one, session)
}

describe('isCommit', () => {
  test.each([
    'COMMIT',
    'commit;',
    ' end ',
    'commit work',
    'COMMIT TRANSACTION AND NO CHAIN',
    'commit /* why */ -- traced',
    'set constraints all immediate; commit',
    "insert into t values ('a;b'); commit",
  ])('takes %p for a commit', (sql) => {
    expect(matches(isCommit, query(sql))).toBe(true)
  })

  test.each([
    'commit prepared $$x$$',
    "select 'x; commit; y'",
    'select 1 -- ; commit',
    'do $do$ begin; commit; end $do$',
    'select "; commit ;"',
    'rollback',
    'select 1 as commit',
    'committed',
  ])('does not take %p for one', (sql) => {
    expect(matches(isCommit, query(sql))).toBe(false)
  })

  test('takes the answer of a commit for one, and not that of a failed transaction', () => {
    expect(matches(isCommit, message('CommandComplete', 'COMMIT\0', 'to-client'))).toBe(true)
    expect(matches(isCommit, message('CommandComplete', 'ROLLBACK\0', 'to-client'))).toBe(false)
  })

  test('is not misled by preparing a commit without executing it', () => {
    expect(matches(isCommit, parse('', 'commit'))).toBe(false)
  })
})

test('executes and completes look at the SQL and at the tag', () => {
  expect(matches(executes(/^insert/), query('insert into t default values'))).toBe(true)
  expect(matches(executes(/^insert/), query('select 1'))).toBe(false)
  expect(matches(completes('INSERT'), message('CommandComplete', 'INSERT 0 1\0', 'to-client'))).toBe(true)
  expect(matches(completes('INSERT'), message('Close', 'INSERT\0'))).toBe(false)
})
