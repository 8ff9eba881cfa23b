// What networks do: they break connections, swallow what is sent, lead to nobody, and are slow.

import type { Direction } from '../support/framing.js'
import type { Refusal } from '../support/proxy.js'
import type { Dice, Fault } from './plan.js'
import type { Scene } from './scene.js'
import type { Condition } from './wires.js'

const everywhere = 'every server'
type Where = typeof everywhere | 'the first server' | 'the second server'

/** The servers keep their places whatever their roles. */
function drawWhere(dice: Dice): Where {
  return dice.pick<Where>([everywhere, everywhere, 'the first server', 'the second server'])
}

function at(where: Where, condition: Condition): Condition {
  if (where === everywhere) return condition
  const only = where === 'the first server' ? 0 : 1
  return (proxy, place) => place === only && condition(proxy, place)
}

const resetAll: Condition = (proxy) => proxy.resetAll()

/** Those that exist may be reset as it begins. */
async function hold({ wires, lasts }: Scene, condition: Condition, ms: number, first?: Condition): Promise<void> {
  await wires.during(condition, () => {
    if (first) wires.all(first)
    return lasts(ms)
  })
}

export const networkFaults: readonly Fault[] = [
  {
    name: 'connections reset',
    plan(dice) {
      const where = drawWhere(dice)
      return { how: where, strike: async ({ wires }) => wires.all(at(where, resetAll)) }
    },
  },
  {
    name: 'connections closed',
    plan(dice) {
      const where = drawWhere(dice)
      const closeAll: Condition = (proxy) => proxy.closeAll()
      return { how: where, strike: async ({ wires }) => wires.all(at(where, closeAll)) }
    },
  },
  {
    name: 'black hole',
    plan(dice) {
      const where = drawWhere(dice)
      const direction = dice.pick<Direction | 'both'>(['both', 'to-server', 'to-client'])
      const ms = dice.ms(500, 4_000)
      const swallow = at(where, (proxy) => proxy.swallow(direction))
      return { how: `${where}, ${direction}, ${ms} ms`, strike: (scene) => hold(scene, swallow, ms) }
    },
  },
  {
    name: 'black hole of what is open',
    plan(dice) {
      const where = drawWhere(dice)
      const swallow = at(where, ({ connections }) => {
        for (const connection of connections) if (connection.open) connection.swallow('both')
      })
      return { how: where, strike: async ({ wires }) => wires.all(swallow) }
    },
  },
  {
    name: 'refused',
    plan(dice) {
      const where = drawWhere(dice)
      const refusal = dice.pick<Refusal>(['closed', 'reset', 'fin', 'silent'])
      const ms = dice.ms(500, 3_000)
      const refuse = at(where, (proxy) => proxy.refuse(refusal))
      return {
        how: `${where}, ${refusal}, ${ms} ms`,
        strike: (scene) => hold(scene, refuse, ms, at(where, resetAll)),
      }
    },
  },
  {
    name: 'DNS hangs',
    plan(dice) {
      const reset = dice.pick([true, false])
      const ms = dice.ms(500, 3_000)
      return {
        how: `${reset ? 'connections reset, ' : ''}${ms} ms`,
        async strike({ wires, lasts, namesHang }) {
          await namesHang(true)
          if (reset) wires.all(resetAll)
          await lasts(ms)
          await namesHang(false)
        },
      }
    },
  },
]

export const slowness: readonly Fault[] = [
  {
    name: 'latency',
    plan(dice) {
      const delayMs = dice.number(2, 150)
      const ms = dice.ms(1_000, 6_000)
      return {
        how: `${delayMs} ms each way, ${ms} ms`,
        strike: (scene) => hold(scene, (proxy) => proxy.delay(delayMs), ms),
      }
    },
  },
  {
    name: 'throttling',
    plan(dice) {
      const rate = dice.number(2, 40) * 1_000
      const ms = dice.ms(1_000, 5_000)
      return { how: `${rate} bytes/s, ${ms} ms`, strike: (scene) => hold(scene, (proxy) => proxy.throttle(rate), ms) }
    },
  },
]
