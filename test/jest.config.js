import preset from '../jest.preset.js'

// What only a whole run can be told, not a project of it.
const { passWithNoTests = false, testTimeout, ...project } = preset

/** @type {import('jest').Config} */
const shared = {
  ...project,
  globalSetup: '<rootDir>/support/global-setup.ts',
  globalTeardown: '<rootDir>/support/global-teardown.ts',
}

/** @type {import('jest').Config} */
export default {
  testTimeout,
  passWithNoTests,
  // They wait more than they work. One that has grown big, as module registries are kept, makes place for another.
  maxWorkers: 2,
  workerIdleMemoryLimit: '1GB',
  projects: [
    { ...shared, displayName: 'test' },
    {
      // What the server says of violations and deadlocks once more, from the oldest release that is supported.
      ...shared,
      displayName: 'postgresql 15',
      globalSetup: '<rootDir>/support/global-setup-15.ts',
      setupFiles: ['<rootDir>/support/on-15.ts'],
      testMatch: [
        '<rootDir>/integration/{violation,guards-{drizzle,kysely},deadlock}*.test.ts',
        '<rootDir>/integration/foreign-keys-without-index.test.ts',
      ],
    },
    {
      // Kysely's compatibility test once more, on the oldest version that is supported.
      ...shared,
      displayName: 'kysely 0.28',
      testMatch: ['<rootDir>/compat/kysely/kysely.test.ts'],
      moduleNameMapper: {
        ...preset.moduleNameMapper,
        '^kysely(/migration)?$': 'kysely-0-28',
        '^kysely/helpers/postgres$': 'kysely-0-28/helpers/postgres',
      },
    },
  ],
}
