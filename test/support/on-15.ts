// Loaded before each test file of the project 'postgresql 15': what follows runs on that server.

import { serverUrlVariable } from './database.js'
import { oldestServer } from './oldest-server.js'

const url = process.env[oldestServer.url]
if (url === undefined) {
  const reason = process.env[oldestServer.failure]
  throw new Error(`${reason}\nTo run without PostgreSQL 15: npm test -- --ignoreProjects 'postgresql 15'`)
}
process.env[serverUrlVariable] = url
