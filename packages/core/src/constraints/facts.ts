// What is known of a constraint beside the little that the server tells when it is violated.

/** In the database's own words, as far as they are known. */
export interface ConstraintFacts {
  readonly kind: 'unique' | 'primary-key' | 'foreign-key' | 'not-null' | 'check' | 'exclusion'
  readonly schema?: string | undefined
  readonly table?: string | undefined
  readonly name: string
  /**
   * Of the table, in the constraint's order. Those that only an expression speaks of are among them; as the catalogue has
   * it, behind the others. Empty where they are not known.
   */
  readonly columns: readonly string[]
  /** What the application calls them, in the same order: property keys of an ORM's table. */
  readonly keys?: readonly string[] | undefined
  /** What a foreign key leads to. */
  readonly references?: TableSite | undefined
  /** The constraint that this is a partition's part of, on the table that an application knows. */
  readonly partitionOf?: TableSite | undefined
  /** Whose check it is, if it is no table's. */
  readonly domain?: string | undefined
}

export interface TableSite {
  readonly schema?: string | undefined
  readonly table: string
  readonly columns?: readonly string[] | undefined
  /** Of the constraint there. */
  readonly name?: string | undefined
}
