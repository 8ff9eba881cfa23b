// Where the cluster of the oldest release is told to the test files of the project 'postgresql 15'.

export const oldestServer = {
  url: 'MOORINGS_TEST_15_URL',
  /** Why there is none. */
  failure: 'MOORINGS_TEST_15_FAILURE',
} as const
