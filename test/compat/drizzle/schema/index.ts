// Everything an application would hand to `drizzle(…, { schema })`.

export * from './people.js'
export * from './rules.js'
export * from './values.js'
