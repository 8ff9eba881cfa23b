// Shared by the examples' jest.config.js: the tests' server for all of them, and the sources of its support.
import { fileURLToPath } from 'node:url'
import preset from '../jest.preset.js'

const support = fileURLToPath(new URL('../test/support', import.meta.url))

/** @type {import('jest').Config} */
export default {
  ...preset,
  globalSetup: `${support}/global-setup.ts`,
  globalTeardown: `${support}/global-teardown.ts`,
  testTimeout: 60_000,
  moduleNameMapper: {
    '^@moorings/test/support/(.*)\\.js$': `${support}/$1.ts`,
    ...preset.moduleNameMapper,
  },
}
