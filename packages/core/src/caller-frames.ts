// Errors that lead to the application's own code.

import { isMooringsError } from './errors.js'

/**
 * Appends the frames of whoever waited: an error that was made when a packet came in knows nothing of them.
 *
 * @param caller an error made where the application waits, or what has its stack
 */
export function addCallerFrames(error: unknown, caller: { readonly stack?: string | undefined }): void {
  if (!isMooringsError(error) || typeof error.stack !== 'string') return
  const frames = (caller.stack ?? '').split('\n').filter((line) => line.startsWith('    at '))
  const missing = frames.filter((frame) => error.stack?.includes(frame) === false)
  if (missing.length > 0) error.stack += `\n${missing.join('\n')}`
}
