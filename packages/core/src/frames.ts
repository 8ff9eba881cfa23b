// The frames that call chains carry through AsyncLocalStorage: each is something the chain is inside of, and leads to what
// is around that.

import { AsyncLocalStorage } from 'node:async_hooks'
import type { Lease } from './pool/lease.js'
import type { Ambient, Stretch } from './scope.js'

export interface Frame {
  /** Undefined where the chain has stepped outside of every transaction. */
  readonly pool: object | undefined
  lease(): Lease | undefined
  /** What of its pool it stands for: a transaction or, without one, a session. */
  ambient(): Ambient<unknown> | undefined
  readonly session: Stretch | undefined
  /** Whether what the frame stands for goes on. */
  open(): boolean
  outer: Frame | undefined
}

/** One that was made through the scopes of its pool. */
export interface OwnFrame<Scope, Session extends Stretch> extends Frame {
  ambient(): Ambient<Scope> | undefined
  readonly session: Session | undefined
}

export const frames = new AsyncLocalStorage<Frame>()

let following = false

/**
 * Has call chains followed from now on: to be called well before `enter`. Before Node 24, what was waiting for something when
 * the first use was made has nothing of its own to note things on when it goes on, and what is noted there is everybody's.
 */
export function followCallChains(): void {
  if (following) return
  following = true
  frames.run(new Outside(() => false, undefined), () => {})
}

/** Where there is no transaction, whatever is around it. */
export class Outside implements Frame {
  readonly pool: undefined
  readonly session: undefined
  readonly open: () => boolean
  outer: Frame | undefined

  constructor(open: () => boolean, around: Frame | undefined) {
    this.open = open
    this.outer = around
  }

  lease(): undefined {}

  ambient(): undefined {}
}

/** A place in a call chain where it may turn out to be inside of something, once that has begun. */
export class Place implements Frame {
  pool: object = this
  ambient: () => Ambient<unknown> | undefined = () => undefined
  open: () => boolean = () => true
  outer: Frame | undefined = outer()
  readonly session: undefined

  lease(): undefined {}
}

/** Work that holds a lease, is inside of a transaction, or both. Either may come later. */
export class Work<Scope> implements Frame {
  readonly pool: object
  readonly session: undefined
  readonly lease: () => Lease | undefined
  readonly ambient: () => Ambient<Scope> | undefined
  outer: Frame | undefined = outer()

  constructor(pool: object, lease: () => Lease | undefined, ambient: () => Ambient<Scope> | undefined) {
    this.pool = pool
    this.lease = lease
    this.ambient = ambient
  }

  open(): boolean {
    const held = this.lease()
    const inside = this.ambient()
    // Also while both are still to come.
    return held === undefined && inside === undefined ? true : held?.released === false || inside?.open() === true
  }
}

export class InSession<Session extends Stretch> implements Frame {
  readonly pool: object
  readonly session: Session
  outer: Frame | undefined = outer()

  constructor(pool: object, session: Session) {
    this.pool = pool
    this.session = session
  }

  lease(): Lease | undefined {
    return this.session.lease
  }

  ambient(): undefined {}

  open(): boolean {
    return this.session.around
  }
}

/** The current call chain, and what follows in it. To be called before the first `await` of what is called in it. */
export function placeHere(): Place {
  const place = new Place()
  frames.enterWith(place)
  return place
}

/** What is over is let go of: work that goes on starting new work would make an endless chain. */
export function outer(): Frame | undefined {
  const top = openFrom(frames.getStore())
  for (let at = top; at !== undefined; at = at.outer) at.outer = openFrom(at.outer)
  return top
}

function openFrom(frame: Frame | undefined): Frame | undefined {
  let at = frame
  while (at !== undefined && !at.open()) at = at.outer
  return at
}
