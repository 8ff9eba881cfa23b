// The two sides of the comparison. What an application changes to come to Moorings is the one import of `drizzle`.

import { drizzle as ours } from '@moorings/drizzle/postgres-js'
import { drizzle as stock } from 'drizzle-orm/postgres-js'
import type { Factory } from './operation.js'

export interface Side {
  readonly name: 'stock' | 'ours'
  readonly drizzle: Factory
}

export const sides: { readonly stock: Side; readonly ours: Side } = {
  stock: { name: 'stock', drizzle: stock },
  ours: { name: 'ours', drizzle: ours },
}
