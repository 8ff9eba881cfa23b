// The tables of the compatibility test as Kysely's types. `migrations.ts` makes them, `seed.ts` fills them.

import type { ColumnType, Generated } from 'kysely'

export type Mood = 'sad' | 'ok' | 'happy'

export interface PersonTable {
  id: Generated<number>
  first_name: string
  last_name: string | null
  age: number | null
  email: string | null
  mood: Mood | null
  created_at: ColumnType<Date, Date | string | undefined, Date | string>
}

export interface PetTable {
  id: Generated<number>
  owner_id: number
  name: string
  species: string | null
  weight: ColumnType<string | null, string | number | null | undefined>
}

export interface AccountTable {
  id: Generated<number>
  owner: string
  balance: number
}

export interface LinkTable {
  id: number
  parent: number | null
}

export interface BookingTable {
  id: Generated<number>
  room: number
  during: string
}

/** A column for each type that parameters are tried on; every value is what the operation makes of it. */
export interface SpecimenTable {
  id: Generated<number>
  n_int: unknown
  n_bigint: unknown
  n_numeric: unknown
  n_double: unknown
  a_boolean: unknown
  a_text: unknown
  a_date: unknown
  a_time: unknown
  a_timestamp: unknown
  a_timestamptz: unknown
  a_interval: unknown
  a_json: unknown
  a_jsonb: unknown
  a_bytea: unknown
  a_uuid: unknown
  a_mood: unknown
  a_point: unknown
  ints: unknown
  texts: unknown
  jsonbs: unknown
  byteas: unknown
  timestamptzs: unknown
  moods: unknown
}

export interface Database {
  person: PersonTable
  pet: PetTable
  account: AccountTable
  link: LinkTable
  booking: BookingTable
  specimen: SpecimenTable
  adult: { id: number; first_name: string }
  'archive.person': { id: number; first_name: string }
}
