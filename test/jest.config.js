import preset from '../jest.preset.js'

/** @type {import('jest').Config} */
export default {
  ...preset,
  globalSetup: '<rootDir>/support/global-setup.ts',
  globalTeardown: '<rootDir>/support/global-teardown.ts',
  // Tests here wait for real servers on machines that may be busy; each wait has a limit and an error of its own.
  testTimeout: 60_000,
}
