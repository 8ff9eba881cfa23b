import { describe, expect, it } from '@jest/globals'
import { redact } from './redact.js'

describe('redact', () => {
  it.each([
    ['postgres://app:hunter2@db:5432/shop', 'postgres://app:***@db:5432/shop'],
    ['cannot reach postgres://app:hunter2@db/shop: refused', 'cannot reach postgres://app:***@db/shop: refused'],
    ['"postgresql://app:hunter2@db"', '"postgresql://app:***@db"'],
    ['redis://:hunter2@cache', 'redis://:***@cache'],
    ['POSTGRES+SSL://app:hunter2@db', 'POSTGRES+SSL://app:***@db'],
    ['postgres://app:hunt%40er%2F2@db', 'postgres://app:***@db'],
    ['postgres://a%3Ab:hunter2@db', 'postgres://a%3Ab:***@db'],
    ['postgres://app:hunter2@[::1]:5432/shop', 'postgres://app:***@[::1]:5432/shop'],
    ['postgres://app:hunter2@a:1,b:2/shop', 'postgres://app:***@a:1,b:2/shop'],
  ])('takes the password out of the URL in %j', (text, expected) => {
    expect(redact(text)).toBe(expected)
  })

  it.each([
    ['postgres://app:hun@ter@2@db/shop', 'postgres://app:***@db/shop'],
    ['postgres://app:hun:ter2@db/shop', 'postgres://app:***@db/shop'],
    ['postgres://app:hun/ter?2#@db/shop', 'postgres://app:***@db/shop'],
    ['postgres://app@tenant:hunter2@db/shop', 'postgres://app@tenant:***@db/shop'],
    ['no host in postgres://app:hun ter2@db/shop', 'no host in postgres://app:***@db/shop'],
    ['postgres://app:123456 ter2@db/shop', 'postgres://app:***@db/shop'],
  ])('takes out one that nobody encoded, in %j', (text, expected) => {
    expect(redact(text)).toBe(expected)
  })

  it('takes out every one of several', () => {
    const urls = ['a', 'b', 'c'].map((host) => `postgres://${host}:hunter2@${host}/shop`)
    for (const between of [' ', ',', '|', ' and then\n']) {
      expect(redact(urls.join(between))).toBe(urls.join(between).replaceAll('hunter2', '***'))
    }
  })

  it.each([
    ['postgres%3A%2F%2Fapp%3Ahunter2%40db', 'postgres%3A%2F%2Fapp%3A***%40db'],
    ['?url=postgres%3A%2F%2Fapp%3Ahunter2%40db%2Fshop', '?url=postgres%3A%2F%2Fapp%3A***%40db%2Fshop'],
    ['?url=postgres%3a%2f%2fapp%3ahunt%2540er%2F2%40db', '?url=postgres%3a%2f%2fapp%3a***%40db'],
    ['a=x%3A%2F%2Fu%3Ahunter2%40h&b=y%3A%2F%2Fu%3Ahunter2%40h', 'a=x%3A%2F%2Fu%3A***%40h&b=y%3A%2F%2Fu%3A***%40h'],
  ])('takes the password out of a URL that is encoded as a whole, in %j', (text, expected) => {
    expect(redact(text)).toBe(expected)
  })

  it.each([
    ['host=db password=hunter2 user=app', 'host=db password=*** user=app'],
    ['host=db Password = hunter2', 'host=db Password = ***'],
    ["password='hun ter\\'2' user=app", 'password=*** user=app'],
    ['password="hun ter2" user=app', 'password=*** user=app'],
    ["password='hun ter2", 'password=***'],
    ['Server=db;Pwd=hunter2', 'Server=db;Pwd=***'],
    ['PGPASSWORD=hunter2 psql', 'PGPASSWORD=*** psql'],
    ['sslpassword=hunter2', 'sslpassword=***'],
    ['pass=hunter2', 'pass=***'],
    ['client_secret=hunter2', 'client_secret=***'],
    ['X-Amz-Security-Token=hunter2', 'X-Amz-Security-Token=***'],
    ['postgres://db/shop?user=app&password=hunter2', 'postgres://db/shop?user=app&password=***'],
    ['url=x%3Fpassword%3Dhunter2', 'url=x%3Fpassword%3D***'],
    ['{"user":"app","password":"hunter2"}', '{"user":"app","password":***}'],
    ["{ user: 'app', password: 'hunter2' }", "{ user: 'app', password: *** }"],
    ['password=hunter2 password=hunter2', 'password=*** password=***'],
  ])('takes out what is named a password, in %j', (text, expected) => {
    expect(redact(text)).toBe(expected)
  })

  it.each([
    '',
    'connect ECONNREFUSED 127.0.0.1:5432',
    'password authentication failed for user "app"',
    'wrong password: access denied',
    'postgres://db:5432/shop',
    'postgres://app@db:5432/shop',
    'postgres://db:5432 is down, write to ops@shop.example',
    'compass=north bypass=yes',
    'at query (file:///srv/shop/src/orders.ts:10:5)',
    'at query (file:///C:/shop/node_modules/@scope/orders.js:10:5)',
    '90% of 10 connections',
  ])('leaves %j alone', (text) => {
    expect(redact(text)).toBe(text)
  })

  it('changes nothing the second time', () => {
    const once = redact('postgres://app:hunter2@db password=hunter2 x%3A%2F%2Fu%3Ahunter2%40h')
    expect(redact(once)).toBe(once)
  })
})
