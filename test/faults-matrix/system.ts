// A system under test, behind one small face: the same work, whoever carries it out.

import type { Told, Transfer } from '../faults/history.js'

export interface Place {
  /** The primary first. */
  readonly hosts: readonly string[]
  /** One for each host. */
  readonly ports: readonly number[]
  readonly user: string
  readonly password: string
  readonly database: string
  readonly connections: number
  /** What a caller waits for a call. Every limit that a system has is set to it. */
  readonly limitMs: number
}

export interface Client {
  /** One row more in the log, outside a transaction. */
  append(id: string): Promise<unknown>
  /** Resolves when it says that the transfer is done. */
  transfer(transfer: Transfer): Promise<unknown>
  /** Rejects if what it sees cannot be. Left out: nothing is read. */
  read?(): Promise<unknown>
  /** Resolves when nothing is left open. */
  close?(): Promise<unknown>
}

export type Kind = 'append' | 'transfer' | 'read'

/** What a caller makes of an error: to do the same again, or what there is to know about it. */
export type Reading = 'repeat' | Extract<Told, 'rejected' | 'unknown' | 'strange'>

export interface System {
  readonly name: string
  /** Connects when it is used. */
  open(place: Place): Client | Promise<Client>
  /** Default `repeat`, always: nothing in the error tells what was done from what was not. */
  reads?(error: unknown, kind: Kind): Reading
}

/** Between the last statement of a transfer and its COMMIT the application has something to do. */
export const thinkMs = 5

/** With all hosts, for who knows several: `postgres://user:password@a:1,b:2/database`. */
export function urlOf({ hosts, ports, user, password, database }: Place): string {
  const places = hosts.map((host, place) => `${host}:${ports[place]}`)
  return `postgres://${user}:${password}@${places.join(',')}/${database}`
}

/** For those who know one host only. */
export function urlOfFirst(place: Place): string {
  return urlOf({ ...place, hosts: place.hosts.slice(0, 1) })
}
