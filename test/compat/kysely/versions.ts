// The test runs on two versions of kysely: jest's configuration maps the name `kysely` to one or the other.

import * as kysely from 'kysely'

export const kyselyVersion: '0.28' | '0.29' = 'AbortedTransactionError' in kysely ? '0.29' : '0.28'

/** What kysely 0.28 does not have: the first words of the names of operations. */
export const unknownTo028: readonly string[] = ['abort']
