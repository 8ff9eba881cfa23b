// Which type is an array of which: learnt from the server once per pool, not once per connection.

import { StatementError } from '@moorings/core'
import { parse } from 'postgres-array'
import type { Parser, Serializer } from './library.js'

/** Element and array type of every array type there is; the columns come as text. */
export const arrayTypesQuery = `
  select element.oid, element.typarray
  from pg_catalog.pg_type a
  join pg_catalog.pg_type element on element.oid = a.typelem
  where a.typcategory = 'A' and element.typarray <> 0
  group by element.oid, element.typarray`

/** Types below are the server's own and known after the first look; from here on they were created by somebody. */
const FIRST_USER_OID = 16_384

/** `box` is the one type whose elements are not separated by a comma. */
const BOX_ARRAY_OID = 1020

export class ArrayTypes {
  /** Array type by element type; the same object for ever: facades hold on to it. */
  readonly byElement: Record<number, number> = {}
  readonly #elementOf = new Map<number, number>()
  readonly #looked = new Set<number>()
  #stale: boolean
  #version = 0

  /** @param wanted false where the application said `fetch_types: false`: arrays then stay text, as with the stock driver */
  constructor(wanted: boolean) {
    this.#stale = wanted
  }

  /** Whether the next connection should ask the server. */
  get stale(): boolean {
    return this.#stale
  }

  /** Changes when something was learnt. */
  get version(): number {
    return this.#version
  }

  learn(rows: readonly Readonly<Record<string, unknown>>[]): void {
    for (const { oid, typarray } of rows) {
      this.byElement[Number(oid)] = Number(typarray)
      this.#elementOf.set(Number(typarray), Number(oid))
    }
    this.#stale = false
    this.#version++
  }

  elementOf(arrayOid: number): number | undefined {
    return this.#elementOf.get(arrayOid)
  }

  entries(): IterableIterator<[array: number, element: number]> {
    return this.#elementOf.entries()
  }

  /** A type nobody has told us about was seen: it may be the array of an enum created since. Asked for once per type. */
  noteUnknown(oid: number): void {
    if (oid < FIRST_USER_OID || this.#version === 0 || this.#looked.has(oid) || oid in this.byElement) return
    this.#looked.add(oid)
    this.#stale = true
  }
}

/** @param text with its braces */
export function parseArray(text: string, arrayOid: number, element: Parser | undefined): unknown[] {
  if (arrayOid !== BOX_ARRAY_OID) return element === undefined ? parse(text) : parse(text, element)
  const boxes = text.slice(1, -1).split(';')
  return boxes.map((box) => (box === 'NULL' ? null : element === undefined ? box : element(box)))
}

/**
 * What is not an array is left as it is: an application may write the literal itself.
 *
 * @param instead what stands for undefined; where that is undefined too, it is refused
 */
export function serializeArray(
  value: unknown,
  arrayOid: number,
  element: Serializer | undefined,
  instead?: unknown,
): unknown {
  if (!Array.isArray(value)) return value
  const items = value.map((given: unknown) => {
    const item = given === undefined ? instead : given
    if (Array.isArray(item)) return serializeArray(item, arrayOid, element, instead)
    if (item === null) return 'NULL'
    if (item === undefined) {
      throw new StatementError('Undefined values are not allowed in an array', { code: 'UNDEFINED_VALUE' })
    }
    const bare = isParameter(item) ? item.value : item
    const text = element === undefined ? String(bare) : String(element(bare))
    return `"${text.replace(/[\\"]/g, '\\$&')}"`
  })
  return `{${items.join(arrayOid === BOX_ARRAY_OID ? ';' : ',')}}`
}

/** What `sql.typed(value, type)` makes. */
function isParameter(value: unknown): value is { value: unknown; type: number } {
  return typeof value === 'object' && value !== null && 'type' in value && 'value' in value
}
