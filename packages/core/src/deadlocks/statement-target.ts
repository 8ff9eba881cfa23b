// What a statement does to which table, as far as that shows in its first words. It serves advice only: who asks a question
// of the catalogue takes the server's word instead.

export interface StatementTarget {
  readonly action: 'insert' | 'update' | 'delete' | 'lock-rows' | 'lock-table' | 'other'
  /** Without its schema; undefined where it does not show. */
  readonly relation: string | undefined
}

const name = String.raw`("(?:""|[^"])+"|[\w\u0080-\uffff]+)`
const dotted = String.raw`(?:${name}\s*\.\s*)?${name}`

const actions: readonly (readonly [StatementTarget['action'], RegExp])[] = [
  ['insert', new RegExp(String.raw`\binsert\s+into\s+${dotted}`, 'i')],
  ['delete', new RegExp(String.raw`\bdelete\s+from\s+(?:only\s+)?${dotted}`, 'i')],
  ['lock-table', new RegExp(String.raw`^\s*lock\s+(?:table\s+)?(?:only\s+)?${dotted}`, 'i')],
  [
    'lock-rows',
    new RegExp(
      String.raw`\bfrom\s+(?:only\s+)?${dotted}[\s\S]*\bfor\s+(?:no\s+key\s+update|update|key\s+share|share)\b`,
      'i',
    ),
  ],
  // Behind the others, which may hold `on conflict do update` and `for update`.
  ['update', new RegExp(String.raw`\bupdate\s+(?:only\s+)?${dotted}`, 'i')],
]

/** @param statement a fingerprint: with literals in it, it could be misread */
export function targetOf(statement: string): StatementTarget {
  for (const [action, pattern] of actions) {
    const found = pattern.exec(statement)
    const relation = found?.[2]
    if (relation !== undefined) return { action, relation: unquoted(relation) }
  }
  return { action: 'other', relation: undefined }
}

/** As the catalogue has it. */
function unquoted(identifier: string): string {
  if (identifier.startsWith('"')) return identifier.slice(1, -1).replaceAll('""', '"')
  return identifier.toLowerCase()
}
