// The process under load: does what it is asked to, and tells everything as it happens, as it may not live long.

import { replaceNames } from '../support/names.js'
import { describe, Load } from './load.js'
import type { Call, LoadSettings, Operation, Order, Telling } from './messages.js'
import { systemNamed } from './systems.js'

const tellEveryMs = 50
/** A process that is out of its mind is not to talk its parent to death. */
const mostUncaught = 1_000

const settings: LoadSettings = JSON.parse(process.argv[2] ?? '{}')
const names = replaceNames()
for (const [name, addresses] of Object.entries(settings.names)) names.set(name, ...addresses)
let calls: Call[] = []
let operations: Operation[] = []
let uncaught: string[] = []
let uncaughtInAll = 0

function tell(answer?: Order['ask'], told: () => void = () => {}): void {
  if (answer === undefined && calls.length + operations.length + uncaught.length === 0) return
  const telling: Telling = { calls, operations, uncaught, answer }
  calls = []
  operations = []
  uncaught = []
  process.send?.(telling, told)
}

function onUncaught(error: unknown): void {
  uncaughtInAll += 1
  if (uncaughtInAll <= mostUncaught) uncaught.push(describe(error))
}

let closed = false
// Whoever asked is gone: nobody would end this any more. Once closed it has to end by itself.
process.on('disconnect', () => {
  if (!closed) process.exit(1)
})
// The terminal tells the whole group; when to stop is the parent's to say.
process.on('SIGINT', () => {})

const system = systemNamed(settings.system)
const client = await system.open(settings.place)
const load = new Load(client, system, settings, {
  call: (call) => calls.push(call),
  operation: (operation) => operations.push(operation),
})
// Not before: a process that cannot begin is to end.
process.on('uncaughtException', onUncaught)
process.on('unhandledRejection', onUncaught)
const telling = setInterval(() => tell(), tellEveryMs)

async function close(): Promise<void> {
  await client.close?.()
  clearInterval(telling)
  closed = true
  tell('close', () => process.disconnect())
}

async function carryOut(order: Order): Promise<void> {
  if (order.ask === 'close') return close()
  if (order.ask === 'name' && order.means === 'hangs') names.hang(order.name)
  if (order.ask === 'name' && order.means !== 'hangs') names.set(order.name, ...order.means)
  if (order.ask === 'go') load.go()
  if (order.ask === 'rest') await load.rest()
  if (order.ask === 'end') await load.end()
  tell(order.ask)
}

process.on('message', (order: Order) => void carryOut(order))
