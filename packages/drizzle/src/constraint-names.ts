// What a constraint of a Drizzle schema may be called in the database, if the schema does not say. That depends on who has
// created it: drizzle-kit 0.31, drizzle-kit 1.0, or somebody by hand, for whom PostgreSQL finds a name.

/** As the server keeps names. What is longer it cuts, between two characters. */
const MAX_BYTES = 63

/** A name as the server has it. */
export function clipped(name: string, bytes: number = MAX_BYTES): string {
  if (Buffer.byteLength(name) <= bytes) return name
  let kept = ''
  let length = 0
  for (const character of name) {
    length += Buffer.byteLength(character)
    if (length > bytes) break
    kept += character
  }
  return kept
}

/** PostgreSQL's `makeObjectName`: of the table's and the columns' names the longer one is cut, the label never. */
function serverName(table: string, columns: readonly string[], label: string): string {
  const joined = columns.join('_')
  const available = MAX_BYTES - label.length - (joined === '' ? 1 : 2)
  let ofTable = Buffer.byteLength(table)
  let ofColumns = Buffer.byteLength(joined)
  while (ofTable + ofColumns > available) {
    if (ofTable > ofColumns) ofTable--
    else ofColumns--
  }
  return [clipped(table, ofTable), ...(joined === '' ? [] : [clipped(joined, ofColumns)]), label].join('_')
}

export function primaryKeyNames(table: string, columns: readonly string[]): string[] {
  return [serverName(table, [], 'pkey'), clipped(`${table}_${columns.join('_')}_pk`), clipped(`${table}_pkey`)]
}

/** @param keys what 0.45 puts into the name, even where `casing` makes other names of them for the columns */
export function uniqueNames(table: string, columns: readonly string[], keys: readonly string[]): string[] {
  return [
    clipped(`${table}_${keys.join('_')}_unique`),
    clipped(`${table}_${columns.join('_')}_unique`),
    clipped(`${table}_${columns.join('_')}_key`),
    serverName(table, columns, 'key'),
  ]
}

export function uniqueIndexNames(table: string, columns: readonly string[]): string[] {
  return [clipped(`${table}_${columns.join('_')}_index`), serverName(table, columns, 'idx')]
}

export function foreignKeyNames(
  table: string,
  columns: readonly string[],
  parent: string,
  parentColumns: readonly string[],
): string[] {
  const name = (label: string) => `${[table, ...columns, parent, ...parentColumns].join('_')}_${label}`
  return [clipped(name('fk')), hashedIfLong(table, name('fkey')), serverName(table, columns, 'fkey')]
}

/** drizzle-kit 1.0's, which counts UTF-16 units. */
function hashedIfLong(table: string, name: string): string {
  if (name.length <= MAX_BYTES) return clipped(name)
  return clipped(table.length < 45 ? `${table}_${hash(name)}_fkey` : `${hash(name)}_fkey`)
}

const digits = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'
const HASH_LENGTH = 12

/** drizzle-kit 1.0's. */
function hash(text: string): string {
  const base = BigInt(digits.length)
  const limit = base ** BigInt(HASH_LENGTH)
  let power = 1n
  let sum = 0n
  for (const character of text) {
    sum = (sum + BigInt(character.codePointAt(0) ?? 0) * power) % limit
    power = (power * 53n) % limit
  }
  let result = ''
  for (let at = 0; at < HASH_LENGTH; at++) {
    result = digits.charAt(Number(sum % base)) + result
    sum /= base
  }
  return result
}
