// What happens to COMMITs on their way. It is decided by the seed, the transfer and which of its COMMITs it is, so that it
// does not depend on who was quicker.

import { draw, seeded } from '../soak/random.js'
import type { Message } from '../support/framing.js'
import { executes, isCommit } from '../support/matchers.js'
import type { FaultProxy } from '../support/proxy.js'
import type { Cut, CutHow, CutOptions } from '../support/rules.js'
import type { ConnectionState } from '../support/session.js'

/** Kills the server after that time and brings it back. Resolves when it is down; undefined if it is left alone now. */
export type Crash = (afterMs: number) => Promise<void> | undefined

export interface CommitFault {
  readonly name: string
  readonly share: number
  readonly cut?: Pick<CutOptions, 'direction' | 'when' | 'how'> | undefined
  readonly crash?: Crash | undefined
  /** Meets all COMMITs that come by from then on until the server is down. */
  readonly all?: boolean | undefined
}

export interface CommitFaultsOptions {
  readonly proxy: FaultProxy
  readonly seed: number
  readonly faults: readonly CommitFault[]
  /** How many of all COMMITs meet a fault, from 0 to 1. */
  readonly share: number
  /** How many COMMITs of one transfer do at most. Default 3: whoever goes on trying gets through. */
  readonly most?: number | undefined
  /** How many of the questions what became of a COMMIT are cut, from 0 to 1. Default 0. */
  readonly questions?: number | undefined
}

/** In the order of the way that a COMMIT takes, and its answer. */
export function cuts(how: CutHow, share = 1): CommitFault[] {
  return [
    { name: `request lost (${how})`, share, cut: { direction: 'to-server', when: 'before', how } },
    { name: `nothing after the request (${how})`, share, cut: { direction: 'to-server', when: 'after', how } },
    { name: `answer lost (${how})`, share, cut: { direction: 'to-client', when: 'before', how } },
  ]
}

/**
 * The server ends in a moment: the COMMIT has arrived or not; or it is known to have arrived, or not to. Or no COMMIT at all
 * arrives for a while, so that nothing of what is under way gets to the disk.
 */
export function crashes(name: string, crash: Crash): CommitFault[] {
  const swallow = { direction: 'to-server', how: 'swallow' } as const
  return [
    { name, share: 2, crash },
    { name: `request lost, then ${name}`, share: 1, crash, cut: { ...swallow, when: 'before' } },
    { name: `answer lost, then ${name}`, share: 1, crash, cut: { ...swallow, when: 'after' } },
    { name: `all requests lost, then ${name}`, share: 4, crash, cut: { ...swallow, when: 'before' }, all: true },
  ]
}

/** The look-up of a transaction whose COMMIT was not answered. */
const isQuestion = executes(/pg_xact_status/)
/** Within this a crash comes: about what a COMMIT takes, and about what several transactions take. */
const [crashWithinMs, crashAllWithinMs] = [3, 15]

export class CommitFaults {
  readonly #options: CommitFaultsOptions
  readonly #rules: Cut[] = []
  /** Whose statements a connection has carried since its last COMMIT. */
  readonly #current = new WeakMap<ConnectionState, string>()
  readonly #planned = new WeakMap<ConnectionState, CommitFault>()
  readonly #commits = new Map<string, number>()
  readonly #struck = new Map<string, string[]>()
  /** What meets all COMMITs now. */
  #all: CommitFault | undefined
  #questions = 0
  #cutQuestions = 0

  constructor(options: CommitFaultsOptions) {
    this.#options = options
    const { proxy, faults, questions = 0 } = options
    const add = (rule: CutOptions) => this.#rules.push(proxy.cutWhen({ ...rule, times: Number.POSITIVE_INFINITY }))
    // The first rule looks at every message, and cuts nothing.
    add({ direction: 'to-server', when: 'before', how: 'reset', match: (...seen) => this.#look(...seen) })
    for (const fault of faults) {
      if (fault.cut) add({ ...fault.cut, match: (...seen) => isCommit(...seen) && this.#strikes(fault, seen[1]) })
    }
    if (questions === 0) return
    const inPlaces = { direction: 'to-server', how: 'reset' } as const
    add({ ...inPlaces, when: 'before', match: (...seen) => this.#cutsQuestion(...seen) })
    add({ ...inPlaces, when: 'after', match: (...seen) => this.#cutsQuestion(...seen) })
  }

  /** What has happened to the COMMITs of that transfer. */
  of(id: string): readonly string[] {
    return this.#struck.get(id) ?? []
  }

  /** How often each has struck. */
  get struck(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {}
    const count = (name: string) => {
      counts[name] = (counts[name] ?? 0) + 1
    }
    for (const name of [...this.#struck.values()].flat()) count(name)
    if (this.#cutQuestions > 0) counts['question cut'] = this.#cutQuestions
    return counts
  }

  /** COMMITs of transfers that came by. */
  get commits(): number {
    let sum = 0
    for (const count of this.#commits.values()) sum += count
    return sum
  }

  stop(): void {
    for (const rule of this.#rules) rule.remove()
  }

  #look(message: Message, connection: ConnectionState): false {
    const carried = carriedBy(message)
    if (carried !== undefined) this.#current.set(connection, carried)
    if (isCommit(message, connection)) this.#plan(connection)
    return false
  }

  #plan(connection: ConnectionState): void {
    this.#planned.delete(connection)
    const id = this.#current.get(connection)
    if (id === undefined) return
    this.#current.delete(connection)
    const nth = this.#commits.get(id) ?? 0
    this.#commits.set(id, nth + 1)
    const fault = this.#all ?? this.#draw(id, nth)
    if (fault === undefined) return
    this.#struck.set(id, [...this.of(id), fault.name])
    if (fault.cut !== undefined) this.#planned.set(connection, fault)
  }

  #draw(id: string, nth: number): CommitFault | undefined {
    const { seed, share, faults, most = 3 } = this.#options
    const random = seeded(seed ^ Math.imul(numberOf(id), 0x9e3779b1) ^ Math.imul(nth + 1, 0x85ebca6b))
    if (nth >= most || random() >= share) return undefined
    const fault = draw(faults, random)
    if (fault.crash === undefined) return fault
    const down = fault.crash(random() * (fault.all ? crashAllWithinMs : crashWithinMs))
    if (down === undefined) return undefined
    if (fault.all) this.#all = fault
    void this.#downThen(down)
    return fault
  }

  /** Who waits in a black hole is told with all others that the server has gone. */
  async #downThen(down: Promise<void>): Promise<void> {
    await down.catch(() => {})
    this.#all = undefined
    this.#options.proxy.resetAll()
  }

  #strikes(fault: CommitFault, connection: ConnectionState): boolean {
    return this.#planned.get(connection) === fault
  }

  /** Both rules ask; each of them decides by itself. */
  #cutsQuestion(message: Message, connection: ConnectionState): boolean {
    if (!isQuestion(message, connection)) return false
    this.#questions += 1
    const { seed, questions = 0 } = this.#options
    if (seeded(seed + this.#questions)() >= questions / 2) return false
    this.#cutQuestions += 1
    return true
  }
}

/** A transfer's id travels as it is, as a parameter of its first statement. */
export function transferId(number: number): string {
  return `transfer-${number}`
}

const mark = Buffer.from('transfer-')

function carriedBy({ head }: Message): string | undefined {
  const at = head.indexOf(mark)
  if (at === -1) return undefined
  return /^transfer-\d+/.exec(head.toString('latin1', at, at + 30))?.[0]
}

function numberOf(id: string): number {
  return Number(id.slice(mark.length))
}
