// Shared by every package's jest.config.js: TypeScript straight from the sources, as ES modules, so a test run needs no build.
import { fileURLToPath } from 'node:url'

const packages = fileURLToPath(new URL('./packages', import.meta.url))

/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  passWithNoTests: true,
  // On a machine that is busy a test may stand still for seconds. One that waits has a limit and an error of its own.
  testTimeout: 60_000,
  testMatch: ['<rootDir>/**/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/', '/dist/'],
  modulePathIgnorePatterns: ['/dist/'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { target: 'es2022', parser: { syntax: 'typescript' } }, module: { type: 'es6' }, sourceMaps: 'inline' },
    ],
  },
  moduleNameMapper: {
    '^@moorings/(core|postgres|drizzle|kysely)$': `${packages}/$1/src/index.ts`,
    '^@moorings/core/errors$': `${packages}/core/src/errors.ts`,
    '^@moorings/drizzle/postgres-js$': `${packages}/drizzle/src/postgres-js/index.ts`,
    '^(\\.{1,2}/.*)\\.js$': '$1',
  },
}
