// All operations, in the order in which they are tested.

import type { Operation } from '../operation.js'
import { abortOperations } from './abort.js'
import { columnTypeOperations } from './column-types.js'
import { connectionOperations, destroyOperations } from './connections.js'
import { controlledTransactionOperations } from './controlled-transactions.js'
import { errorOperations } from './errors.js'
import { logOperations } from './log.js'
import { parameterObjectOperations } from './parameter-objects.js'
import { parameterOperations } from './parameters.js'
import { pluginOperations } from './plugins.js'
import { rawSqlOperations } from './raw-sql.js'
import { introspectionOperations, migratorOperations, schemaOperations } from './schema.js'
import { selectOperations } from './select.js'
import { selectSetOperations } from './select-sets.js'
import { streamOperations } from './streams.js'
import { transactionOperations } from './transactions.js'
import { typeParserOperations } from './type-parsers.js'
import { deleteOperations, insertOperations, mergeOperations, updateOperations } from './write.js'

export const operations: readonly Operation[] = [
  ...selectOperations,
  ...selectSetOperations,
  ...insertOperations,
  ...updateOperations,
  ...deleteOperations,
  ...mergeOperations,
  ...rawSqlOperations,
  ...transactionOperations,
  ...controlledTransactionOperations,
  ...connectionOperations,
  ...destroyOperations,
  ...streamOperations,
  ...pluginOperations,
  ...schemaOperations,
  ...migratorOperations,
  ...introspectionOperations,
  ...logOperations,
  ...abortOperations,
  ...columnTypeOperations,
  ...typeParserOperations,
  ...parameterOperations,
  ...parameterObjectOperations,
  ...errorOperations,
]
