// A row was refused by a constraint of the database.

import type { TableSite } from '../constraints/facts.js'
import { MooringsError, type MooringsErrorOptions, named } from './base.js'

/** Where a constraint was violated, in the database's own names. */
export interface ConstraintSite {
  constraint?: string | undefined
  schema?: string | undefined
  table?: string | undefined
  columns?: readonly string[] | undefined
  /** The domain whose check it is, where no table is to blame. */
  domain?: string | undefined
}

/**
 * A row broke a constraint. The subclasses say which kind.
 *
 * `Key` is what the application calls the table's columns, where a guard has told which table it is.
 */
export class ConstraintViolationError<Key extends string = string> extends MooringsError {
  readonly constraint: string | undefined
  readonly schema: string | undefined
  /** As the server tells it: of a partitioned table the partition. See {@link partitionOf}. */
  readonly table: string | undefined
  /** Column names where they are known for certain; undefined where they are not. */
  readonly columns: readonly string[] | undefined
  /** What the application calls these columns: the property keys of an ORM's table. Undefined where none is known. */
  readonly keys: readonly Key[] | undefined
  /** The table and the constraint that an application knows, where a partition's was violated. */
  readonly partitionOf: TableSite | undefined
  /** The domain whose check it is, where no table is to blame. */
  readonly domain: string | undefined
  /** What the application says of this constraint to its users: `resilience.errors.constraints` and `messages`. */
  readonly userMessage: string | undefined
  /** The form's field that is to blame, as the application says. */
  readonly path: readonly (string | number)[] | undefined
  /** The application's own code for it. */
  readonly userCode: string | undefined
  /**
   * What violated it, by column and as text. Only with `resilience.errors.exposeValues`, and where the server tells it in
   * English; not enumerable.
   */
  declare readonly values: Readonly<Record<string, string>> | undefined
  static {
    named(this, 'ConstraintViolationError')
  }
  constructor(message: string, site: ConstraintSite, options: MooringsErrorOptions = {}) {
    super('constraint', message, options)
    this.constraint = site.constraint
    this.schema = site.schema
    this.table = site.table
    this.columns = site.columns
    this.keys = undefined
    this.partitionOf = undefined
    this.domain = site.domain
    this.userMessage = undefined
    this.path = undefined
    this.userCode = undefined
  }
}

/** 23505. */
export class UniqueViolationError<Key extends string = string> extends ConstraintViolationError<Key> {
  static {
    named(this, 'UniqueViolationError')
  }
}

/** 23503, and 23001 (PostgreSQL 18's code for ON DELETE RESTRICT). */
export class ForeignKeyViolationError<Key extends string = string> extends ConstraintViolationError<Key> {
  /**
   * - `missing-parent`: what the row refers to is not there
   * - `still-referenced`: others still refer to the row that was to be deleted or changed
   */
  readonly direction: 'missing-parent' | 'still-referenced' | undefined
  /** What the foreign key leads to, where that is known. */
  readonly references: TableSite | undefined
  static {
    named(this, 'ForeignKeyViolationError')
  }
  constructor(
    message: string,
    { direction, ...site }: ConstraintSite & { direction?: 'missing-parent' | 'still-referenced' | undefined },
    options: MooringsErrorOptions = {},
  ) {
    super(message, site, options)
    this.direction = direction
    this.references = undefined
  }
}

/** 23502. */
export class NotNullViolationError<Key extends string = string> extends ConstraintViolationError<Key> {
  static {
    named(this, 'NotNullViolationError')
  }
}

/** 23514. */
export class CheckViolationError<Key extends string = string> extends ConstraintViolationError<Key> {
  static {
    named(this, 'CheckViolationError')
  }
}

/** 23P01. */
export class ExclusionViolationError<Key extends string = string> extends ConstraintViolationError<Key> {
  static {
    named(this, 'ExclusionViolationError')
  }
}
