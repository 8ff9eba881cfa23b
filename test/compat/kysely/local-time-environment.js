// jest's node environment in a time zone that is neither UTC nor whole hours from it and has summer time: a Date sent as
// UTC instead of local time would pass unnoticed on a machine that is set to UTC. Set here, since inside the sandbox
// process.env is a copy that changes nothing.

import { TestEnvironment } from 'jest-environment-node'

const previous = process.env.TZ

export default class LocalTimeEnvironment extends TestEnvironment {
  async setup() {
    process.env.TZ = 'America/St_Johns'
    await super.setup()
  }

  async teardown() {
    if (previous === undefined) delete process.env.TZ
    else process.env.TZ = previous
    await super.teardown()
  }
}
