// Those that are compared: a way to do one request's work in the database.

export interface Settings {
  readonly url: string
  readonly connections: number
  /** How long one request keeps a connection busy: the server sleeps, so that no processor is the limit. */
  readonly workMs: number
  /** How long whoever asks waits for the answer. */
  readonly deadlineMs: number
}

export interface Service {
  /** One request. It is told its deadline in whatever way there is; whoever asks leaves then, whether it ends or not. */
  request(): Promise<unknown>
  close(): Promise<unknown>
}

export interface Subject {
  readonly name: string
  /** What it knows the deadline by; undefined: it is not told. */
  readonly told: string | undefined
  /** Whether the run fails when it falls short of what is promised. */
  readonly held?: boolean
  open(settings: Settings): Service
}

export function toldOf({ told }: Subject): string {
  return told === undefined ? 'nothing' : `\`${told}\``
}
