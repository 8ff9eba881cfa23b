// Every answer that is not what was asked for: application/problem+json, RFC 9457.

import { type IssueLike, issuesToProblem, type Problem, toProblem } from '@moorings/core'

/** With statuses of the application's own. */
type AnyProblem = Omit<Problem, 'status'> & { readonly status: number }

const typeBase = 'https://shop.example/problems/'

const titles = { 400: 'Bad Request', 404: 'Not Found', 409: 'Conflict' } as const

/** What the application itself has to say against a request. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly problem: AnyProblem

  constructor(status: keyof typeof titles, code: string, detail: string) {
    super(detail)
    this.problem = { type: typeBase + code, title: titles[status], status, detail, code }
  }
}

/** Fields that cannot be taken, whoever found it out: Zod's issues and `toIssues`'s are of the same kind. */
export class InvalidInput extends Error {
  override readonly name = 'InvalidInput'
  readonly problem: AnyProblem

  constructor(issues: readonly IssueLike[]) {
    super('The input cannot be taken')
    this.problem = issuesToProblem(issues, { code: 'INVALID_INPUT', detail: 'Some of this cannot be taken', typeBase })
  }
}

/** The application's own problems, what Moorings makes of its errors, or that something is wrong here. */
export function problemOf(error: unknown, instance: string): AnyProblem {
  if (error instanceof Refusal || error instanceof InvalidInput) return { ...error.problem, instance }
  const internal = {
    type: 'about:blank',
    title: 'Internal Server Error',
    status: 500,
    detail: 'The request could not be carried out',
    code: 'internal-error',
  }
  return toProblem(error, { instance, typeBase }) ?? { ...internal, instance }
}

export function respond({ retryAfterS, ...problem }: AnyProblem): Response {
  const headers = new Headers({ 'Content-Type': 'application/problem+json' })
  if (retryAfterS !== undefined) headers.set('Retry-After', String(retryAfterS))
  return new Response(JSON.stringify(problem), { status: problem.status, headers })
}
