// Systems that do wrong on purpose, so that the harness can be seen to find it.

import { stock } from './stock.js'
import type { Client, System } from './system.js'

type Work = () => Promise<unknown>

/** What becomes of every fifth call. */
function breaking(name: string, breakIt: (work: Work) => Promise<unknown>, closes = true): System {
  return {
    name,
    async open(place) {
      const [whole] = stock
      const client: Client | undefined = await whole?.open(place)
      let calls = 0
      const call = (work: (client: Client) => Promise<unknown>) => {
        if (!client) throw new Error('there is nothing to break')
        calls += 1
        return calls % 5 === 0 ? breakIt(() => work(client)) : work(client)
      }
      return {
        append: (id) => call((client) => client.append(id)),
        transfer: (transfer) => call((client) => client.transfer(transfer)),
        close: async () => closes && client?.close?.(),
      }
    },
  }
}

export const broken: readonly System[] = [
  breaking('forgets', async () => {}),
  breaking('repeats', async (work) => {
    await work()
    await work()
  }),
  breaking('denies', async (work) => {
    await work()
    throw new Error('it says that it failed')
  }),
  breaking('hangs', () => new Promise(() => {})),
  breaking('throws', (work) => {
    setImmediate(() => {
      throw new Error('nobody catches this')
    })
    void Promise.reject(new Error('nobody handles this'))
    return work()
  }),
  breaking('stays', (work) => work(), false),
]
