// A row was refused by a constraint of the database.

import { MooringsError, type MooringsErrorOptions, named } from './base.js'

/** Where a constraint was violated, in the database's own names. */
export interface ConstraintSite {
  constraint?: string | undefined
  schema?: string | undefined
  table?: string | undefined
  columns?: readonly string[] | undefined
}

/** A row broke a constraint. The subclasses say which kind. */
export class ConstraintViolationError extends MooringsError {
  readonly constraint: string | undefined
  readonly schema: string | undefined
  readonly table: string | undefined
  /** Column names where they are known for certain; undefined where they are not. */
  readonly columns: readonly string[] | undefined
  static {
    named(this, 'ConstraintViolationError')
  }
  constructor(message: string, site: ConstraintSite, options: MooringsErrorOptions = {}) {
    super('constraint', message, options)
    this.constraint = site.constraint
    this.schema = site.schema
    this.table = site.table
    this.columns = site.columns
  }
}

/** 23505. */
export class UniqueViolationError extends ConstraintViolationError {
  static {
    named(this, 'UniqueViolationError')
  }
}

/** 23503, and 23001 (PostgreSQL 18's code for ON DELETE RESTRICT). */
export class ForeignKeyViolationError extends ConstraintViolationError {
  static {
    named(this, 'ForeignKeyViolationError')
  }
}

/** 23502. */
export class NotNullViolationError extends ConstraintViolationError {
  static {
    named(this, 'NotNullViolationError')
  }
}

/** 23514. */
export class CheckViolationError extends ConstraintViolationError {
  static {
    named(this, 'CheckViolationError')
  }
}

/** 23P01. */
export class ExclusionViolationError extends ConstraintViolationError {
  static {
    named(this, 'ExclusionViolationError')
  }
}
