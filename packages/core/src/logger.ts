// A logger the pool's events are written to.

import { z } from 'zod'

type Log = (fields: object, message: string) => void

/** What pino, bunyan and their like have in common: `logger.warn({ … }, 'message')`. */
export interface Logger {
  debug: Log
  info: Log
  warn: Log
  error: Log
}

const levels = ['debug', 'info', 'warn', 'error'] as const

export const loggerOption = z
  .custom<Logger>(
    (value) => typeof value === 'object' && value !== null && levels.every((level) => isMethod(value, level)),
    { error: 'an object with the methods debug, info, warn and error, each taking (fields, message)' },
  )
  .optional()

function isMethod(value: object, name: string): boolean {
  return typeof Reflect.get(value, name) === 'function'
}
