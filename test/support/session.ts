// What a connection's messages mean, read off the wire: which SQL a message executes, also when it was prepared long
// before, and in which transaction state the server last said it was.

import type { Message } from './framing.js'

/** As in ReadyForQuery. */
export type TransactionStatus = 'idle' | 'open' | 'failed'

/** What a rule may ask about the connection that a message belongs to. */
export interface ConnectionState {
  /** Of the StartupMessage: `user`, `database`, `application_name`, … */
  readonly startup: Readonly<Record<string, string>>
  /** The SQL that the message at hand executes: a Query's, or that of an Execute's portal; else `undefined`. */
  readonly executes: string | undefined
  /** By the last ReadyForQuery; `undefined` before the first. */
  readonly transactionStatus: TransactionStatus | undefined
  /** The process id in a CancelRequest, which is all that such a connection sends. */
  readonly cancels: number | undefined
}

const statusNames: Readonly<Record<string, TransactionStatus>> = { I: 'idle', T: 'open', E: 'failed' }

export class Session implements ConnectionState {
  /** The SQL executed, in order. */
  readonly statements: string[] = []
  startup: Readonly<Record<string, string>> = {}
  executes: string | undefined
  transactionStatus: TransactionStatus | undefined
  cancels: number | undefined
  readonly #prepared = new Map<string, string>()
  readonly #portals = new Map<string, string>()

  /** To be called for each message once, in the order of the wire, before rules are asked about it. */
  see(message: Message): void {
    this.executes = message.direction === 'to-server' ? this.#fromClient(message) : undefined
    if (this.executes !== undefined) this.statements.push(this.executes)
    if (message.name === 'ReadyForQuery') this.transactionStatus = statusNames[message.head.toString('latin1')]
  }

  #fromClient({ name, head }: Message): string | undefined {
    const [first = '', second = ''] = strings(head, 2)
    switch (name) {
      case 'StartupMessage':
        this.startup = startupParameters(head)
        return undefined
      case 'CancelRequest':
        this.cancels = head.readInt32BE(4)
        return undefined
      case 'Query':
        // "The simple Query message also destroys the unnamed statement and portal."
        this.#prepared.delete('')
        this.#portals.delete('')
        return first
      case 'Parse':
        this.#prepared.set(first, second)
        return undefined
      case 'Bind':
        this.#portals.set(first, this.#prepared.get(second) ?? '')
        return undefined
      case 'Execute':
        return this.#portals.get(first) ?? ''
      case 'Close':
        if (first.startsWith('S')) this.#prepared.delete(first.slice(1))
        else this.#portals.delete(first.slice(1))
        return undefined
      default:
        return undefined
    }
  }
}

/** The first zero-terminated strings of a message; one that is cut off by the head's limit counts as it is. */
function strings(head: Buffer, count: number): string[] {
  const found: string[] = []
  for (let start = 0; found.length < count && start < head.length; ) {
    const zero = head.indexOf(0, start)
    const end = zero === -1 ? head.length : zero
    found.push(head.toString('utf8', start, end))
    start = end + 1
  }
  return found
}

function startupParameters(head: Buffer): Record<string, string> {
  const words = strings(head.subarray(4), Number.POSITIVE_INFINITY)
  const parameters: Record<string, string> = {}
  for (let index = 0; index + 1 < words.length; index += 2) {
    const [name, value] = [words[index], words[index + 1]]
    if (name && value !== undefined) parameters[name] = value
  }
  return parameters
}
