// Where a failure goes that is nobody's to catch.

import { redact } from '@moorings/core'

/** A callback of the application's has thrown: told as a warning of the process, and the work goes on. */
export function warn(error: unknown): void {
  const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  process.emitWarning(redact(`A callback given to Moorings failed: ${reason}`), { code: 'MOORINGS_CALLBACK' })
}
