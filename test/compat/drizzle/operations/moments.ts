// Dates, times and intervals: as Date and as text, with precision, and the values that JavaScript's Date cannot hold.

import { and, eq, gte, lt, sql } from 'drizzle-orm'
import { type Operation, operation } from '../operation.js'
import { moments, users } from '../schema/index.js'
import { readsBack, roundTrip } from './round-trip.js'

export const momentTypes: readonly Operation[] = [
  roundTrip('NULL in every date and time type', moments, [{}]),
  roundTrip('date as text and as Date', moments, [
    { dayText: '2024-02-29', day: new Date('2024-02-29T00:00:00Z') },
    { dayText: '1970-01-01', day: new Date('1969-12-31T23:59:59.999Z') },
    { dayText: '9999-12-31', day: new Date('0001-01-01T00:00:00Z') },
  ]),
  roundTrip('time, with precision, with a zone', moments, [
    { hour: '00:00:00', hourPrecise: '12:34:56.7891', hourZoned: '12:00:00+02' },
    { hour: '23:59:59.999999', hourPrecise: '24:00:00', hourZoned: '12:00:00.5-11:30' },
  ]),
  roundTrip('timestamp as text', moments, [
    { localText: '2024-02-29 12:34:56.123456', localPrecise: '2024-02-29 12:34:56.1239' },
    { localText: '2024-02-29T12:34:56Z', localPrecise: '1999-12-31 23:59:59.9999' },
  ]),
  roundTrip('timestamp as Date', moments, [
    { local: new Date('2024-02-29T12:34:56.789Z') },
    { local: new Date('1969-07-20T20:17:40Z') },
    { local: new Date(0) },
  ]),
  roundTrip('timestamp with time zone as text', moments, [
    { zonedText: '2024-02-29 12:34:56.123456+05:30' },
    { zonedText: '2024-06-30T23:59:59-08' },
  ]),
  roundTrip('timestamp with time zone as Date', moments, [
    { zoned: new Date('2024-02-29T12:34:56.789Z'), zonedWhole: new Date('2024-02-29T12:34:56.501Z') },
    { zoned: new Date('0099-01-01T00:00:00Z'), zonedWhole: new Date('9999-12-31T23:59:59.4Z') },
  ]),
  roundTrip('interval', moments, [
    { span: '1 year 2 mons 3 days 04:05:06.789', spanDays: '1 day 00:00:01.2345' },
    { span: '-1 day', spanDays: '-00:00:01' },
    { span: 'P1Y2M', spanDays: '36 hours' },
    { span: '0' },
  ]),
  readsBack('infinity', moments, 'day_text, day, local_text, local, zoned_text, zoned', [
    `('infinity', 'infinity', 'infinity', 'infinity', 'infinity', 'infinity')`,
    `('-infinity', '-infinity', '-infinity', '-infinity', '-infinity', '-infinity')`,
  ]),
  readsBack('dates before Christ', moments, 'day_text, day, local_text, local, zoned_text, zoned', [
    `('0044-03-15 BC', '0044-03-15 BC', '0044-03-15 12:00:00 BC', '0044-03-15 12:00:00 BC', '0044-03-15 12:00:00+00 BC', '0044-03-15 12:00:00+00 BC')`,
  ]),
  readsBack('years beyond 9999', moments, 'day_text, day, local_text, local, zoned_text, zoned', [
    `('20000-01-01', '20000-01-01', '20000-01-01 00:00:00', '20000-01-01 00:00:00', '20000-01-01 00:00:00+00', '20000-01-01 00:00:00+00')`,
  ]),
  readsBack('microseconds stay in text and are cut from a Date', moments, 'local_text, local, zoned_text, zoned', [
    `('2024-01-01 00:00:00.123456', '2024-01-01 00:00:00.123456', '2024-01-01 00:00:00.999999+00', '2024-01-01 00:00:00.999999+00')`,
    `('2024-01-01 00:00:00.000001', '2024-01-01 00:00:00.000001', '2024-01-01 00:00:00.1+00', '2024-01-01 00:00:00.1+00')`,
  ]),
  operation('a Date finds the rows it was written with', async ({ db }) => {
    const joinedAt = new Date('2030-05-05T05:05:05.005Z')
    await db.insert(users).values({ name: 'Late', joinedAt })
    return {
      equal: await db.select().from(users).where(eq(users.joinedAt, joinedAt)),
      range: await db
        .select({ name: users.name })
        .from(users)
        .where(and(gte(users.joinedAt, new Date('2024-01-02T00:00:00Z')), lt(users.joinedAt, joinedAt)))
        .orderBy(users.id),
    }
  }),
  operation('timestamps are text in the session’s time zone', ({ db }) =>
    db.transaction(async (tx) => {
      await tx.insert(moments).values({ zoned: new Date('2024-07-01T12:00:00Z'), zonedText: '2024-07-01 12:00:00+00' })
      const shown: unknown[] = []
      for (const zone of ['UTC', 'America/New_York', 'Asia/Kathmandu']) {
        await tx.execute(sql`select set_config('TimeZone', ${zone}, true)`)
        shown.push(
          await tx.select({ zone: sql`${zone}::text`, zoned: moments.zoned, text: moments.zonedText }).from(moments),
        )
      }
      return shown
    }),
  ),
  operation('the server’s clock comes as the column says', async ({ db }) => {
    const [row] = await db
      .insert(moments)
      .values({
        zoned: sql`now()`,
        zonedText: sql`now()`,
        local: sql`now()`,
        dayText: sql`current_date`,
        day: sql`current_date`,
      })
      .returning()
    const kindOf = (value: unknown) => (value instanceof Date ? 'Date' : typeof value)
    return Object.fromEntries(
      Object.entries(row ?? {}).map(([key, value]) => [key, value === null ? null : kindOf(value)]),
    )
  }),
]
