// What is asked for on the command line; whatever is wrong with it is told, with what is allowed.

import { parseArgs } from 'node:util'
import { benches } from './benches.js'
import type { CrowdPlan } from './crowd/crowd.js'
import { type CurveName, curveNames } from './growth/curves.js'
import type { GrowthPlan } from './growth/growth.js'
import { type FamilyName, familyNames } from './orms/families.js'
import { loads } from './orms/loads.js'
import { type Plan as LoadPlan, usual } from './orms/plan.js'
import { wireNames } from './orms/wire.js'

export interface Asked {
  /** Of benches. */
  readonly benches: readonly string[]
  readonly families: readonly FamilyName[]
  readonly rounds: number
  readonly quick: boolean
  readonly json: string | undefined
  readonly charts: string | undefined
  readonly plan: LoadPlan
  readonly crowd: CrowdPlan | undefined
  readonly growth: (GrowthPlan & { readonly curves: readonly CurveName[] }) | undefined
}

/** All of the ORMs' families, by one name. */
const orms = 'orms'

export function readOptions(args: readonly string[]): Asked {
  const { values, positionals } = parse(args)
  const { quick, json, charts, profile: profiles } = values
  const allowed = [...benches.map(({ name }) => name), 'crowd', ...familyNames, orms, 'growth']
  const names = positionals.map((name) => oneOf(`There is no bench "${name}"; there are`, name, allowed))
  const isAsked = (name: string) => names.length === 0 || names.includes(name)
  const rounds = wholeNumber('--rounds', values.rounds)
  const turnMs = wholeNumber('--turn', values.turn) ?? (quick ? 40 : 600)
  return {
    benches: benches.map(({ name }) => name).filter(isAsked),
    families: familyNames.filter((name) => isAsked(name) || names.includes(orms)),
    rounds: rounds ?? (quick ? 3 : 11),
    quick,
    json,
    charts,
    plan: {
      loads: list(
        '--loads',
        values.loads,
        loads.map(({ name }) => name),
      ).flatMap((name) => loads.filter((load) => load.name === name)),
      callers: values.callers?.split(',').map((number) => wholeNumber('--callers', number) ?? 1),
      wires: values.wires === undefined ? undefined : list('--wires', values.wires, wireNames),
      connections: wholeNumber('--connections', values.connections) ?? usual.connections,
      rounds: rounds ?? (quick ? 2 : 7),
      warmUpRounds: quick ? 0 : 1,
      turnMs,
      warmUp: quick ? { firstMs: 0, againMs: 0 } : { firstMs: 4_000, againMs: 2_000 },
      quick,
      profiles,
    },
    crowd: isAsked('crowd') ? { rounds: rounds ?? (quick ? 2 : 11), turnMs, warmUpMs: quick ? 40 : 3_000 } : undefined,
    growth: isAsked('growth')
      ? {
          curves: list('--curves', values.curves, curveNames),
          rounds: rounds ?? (quick ? 2 : 5),
          turnMs,
          warmUpMs: quick ? 0 : 4_000,
          quick,
        }
      : undefined,
  }
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const
  const options = {
    rounds: text,
    quick: { type: 'boolean', default: false },
    json: text,
    charts: text,
    loads: text,
    callers: text,
    wires: text,
    connections: text,
    turn: text,
    curves: text,
    profile: text,
  } as const
  try {
    return parseArgs({ args: [...args], allowPositionals: true, options })
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error))
  }
}

function list<Name extends string>(
  option: string,
  given: string | undefined,
  allowed: readonly Name[],
): readonly Name[] {
  return given?.split(',').map((name) => oneOf(`${option} takes some of these`, name, allowed)) ?? allowed
}

function oneOf<Name extends string>(problem: string, given: string, allowed: readonly Name[]): Name {
  return allowed.find((name) => name === given) ?? refuse(`${problem}: ${allowed.join(', ')}`)
}

function wholeNumber(option: string, given: string | undefined): number | undefined {
  if (given === undefined) return undefined
  const number = Number(given)
  return Number.isInteger(number) && number >= 1 ? number : refuse(`${option} takes an integer >= 1`)
}

function refuse(message: string): never {
  console.error(message)
  process.exit(2)
}
