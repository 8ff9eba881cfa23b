// Which queries may be read from a replica: told by a plugin, which sees each before it is compiled, and asked where it is
// carried out. By the query's id, as what other plugins make of a query is another one.

import type { CompiledQuery, KyselyPlugin, QueryId } from 'kysely'

const reads = new WeakSet<QueryId>()

/** Its rows may be read from a replica; whether a standby can carry it out, its text tells. */
export function isReplicaRead({ queryId }: CompiledQuery): boolean {
  return reads.has(queryId)
}

/** Only what is built as a plain select: what is written as SQL may be anything. */
export const readsFromReplicas: KyselyPlugin = {
  transformQuery({ node, queryId }) {
    if (node.kind === 'SelectQueryNode' && node.endModifiers === undefined) reads.add(queryId)
    return node
  },
  transformResult: async ({ result }) => result,
}
