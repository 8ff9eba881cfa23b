// Who takes turns: a subject in its process, or another program.

import { Child } from '../child.js'
import type { Load } from './loads.js'
import type { Family, Settings, Subject } from './subject.js'

export type Order =
  | { readonly ask: 'open'; readonly settings: Settings }
  | { readonly ask: 'turn'; readonly milliseconds: number; readonly counts: boolean }
  | { readonly ask: 'tell' | 'close' | 'end' }

export interface Turn {
  readonly operations: number
  readonly seconds: number
  /** Of the processor, collectors and compilers included; undefined where it cannot be told. */
  readonly cpuSeconds: number | undefined
}

/** Of all turns that count; undefined where it cannot be told. */
export interface Told {
  readonly p50Ms: number | undefined
  readonly p99Ms: number | undefined
  /** Bytes of memory, of the process and of its heap without garbage, with its connections still open. */
  readonly rss: number | undefined
  readonly heap: number | undefined
}

/** Of what has nothing to tell, that it is done. */
export type Answer = Turn | Told | Record<string, never>

export interface Competitor {
  readonly name: string
  /** Two are not to be compared with, but bounds for all: an ORM on nothing, whom no wire makes slower, and the server. */
  readonly kind: 'peer' | 'floor' | 'server'
  open(settings: Settings): Promise<void>
  turn(milliseconds: number, counts: boolean): Promise<Turn>
  /** In the end: it collects garbage to read the memory, and that throws away compiled code as well. */
  tell(): Promise<Told>
  close(): Promise<void>
  end(): Promise<void>
  /** Whatever state it is in. */
  kill(): void
}

/** One subject under one load. */
export class SubjectProcess implements Competitor {
  readonly name: string
  readonly kind: 'peer' | 'floor'
  readonly #child: Child<Order>

  /** @param profiles where it leaves a profile of its processor time, for `chrome://inspect` and the like */
  constructor(family: Family, { name, floor }: Subject, load: Load, profiles: string | undefined) {
    this.name = name
    this.kind = floor ? 'floor' : 'peer'
    this.#child = new Child({
      name,
      file: new URL('load-process.js', import.meta.url),
      args: [family.name, name, load.name],
      flags:
        profiles === undefined
          ? []
          : ['--cpu-prof', `--cpu-prof-name=${profileName(name, load)}`, `--cpu-prof-dir=${profiles}`],
    })
  }

  async open(settings: Settings): Promise<void> {
    await this.#child.ask({ ask: 'open', settings })
  }

  turn(milliseconds: number, counts: boolean): Promise<Turn> {
    return this.#child.ask({ ask: 'turn', milliseconds, counts })
  }

  tell(): Promise<Told> {
    return this.#child.ask({ ask: 'tell' })
  }

  async close(): Promise<void> {
    await this.#child.ask({ ask: 'close' })
  }

  end(): Promise<void> {
    return this.#child.end({ ask: 'end' })
  }

  kill(): void {
    this.#child.kill()
  }
}

function profileName(name: string, load: Load): string {
  return `${load.name}-${name.replaceAll(/[^a-z0-9]+/g, '-')}.cpuprofile`
}
