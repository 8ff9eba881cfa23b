// Runs one of the programs here in a process of its own, in which a rejection that nobody handles is fatal.

import { type ChildProcess, fork } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { FaultProxy } from '../../support/proxy.js'
import type { Scene } from '../scene.js'
import type { Order, Report } from './stage.js'

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** What it printed, on either stream. */
  readonly output: string
  /** What it told at its end, `undefined` when it did not come so far. */
  readonly report: Report | undefined
  /** Milliseconds from the report, the last thing it does, to its end. */
  readonly lingeredMs: number
}

/** Built by `tsc -b`, as it runs on the packages' own exports. */
const built = new URL('../../dist/integration/children/', import.meta.url)

export async function runChild(
  scene: Scene,
  file: string,
  program: string,
  { nodeArguments = [], url = scene.url, limitMs = 30_000 } = {} as {
    nodeArguments?: readonly string[]
    url?: string
    limitMs?: number
  },
): Promise<Ended> {
  const child = fork(fileURLToPath(new URL(`${file}.js`, built)), [program], {
    execArgv: ['--unhandled-rejections=strict', ...nodeArguments],
    env: { PATH: process.env.PATH, STAGE_URL: url },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  let output = ''
  let report: Report | undefined
  let reportedAt = Number.NaN
  child.stdout?.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  child.stderr?.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  child.on('message', (message: { order?: Order; report?: Report }) => {
    if (message.report !== undefined) {
      report = message.report
      reportedAt = performance.now()
    }
    if (message.order !== undefined) {
      carryOut(scene, child, message.order).then(
        () => child.connected && child.send('done'),
        (error: unknown) => {
          output += String(error)
          child.kill('SIGKILL')
        },
      )
    }
  })
  const limit = setTimeout(() => child.kill('SIGKILL'), limitMs)
  try {
    return await new Promise<Ended>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code, signal) => {
        resolve({ code, signal, output, report, lingeredMs: performance.now() - reportedAt })
      })
    })
  } finally {
    clearTimeout(limit)
  }
}

/** Longer than every limit of a program that asks for it. */
const STOPPED_MS = 2_500

async function carryOut(scene: Scene, child: ChildProcess, order: Order): Promise<void> {
  const stop = async (meanwhile: () => Promise<unknown>) => {
    child.kill('SIGSTOP')
    await Promise.all([pause(STOPPED_MS), meanwhile()])
    child.kill('SIGCONT')
  }
  const { proxy } = scene
  const orders: Record<Order, (proxy: FaultProxy) => unknown> = {
    swallow: () => proxy.swallow(),
    slow: () => proxy.delay(40),
    silent: () => proxy.refuse('silent'),
    closed: () => proxy.refuse('closed'),
    reset: () => proxy.refuse('reset'),
    fin: () => proxy.refuse('fin'),
    'reset all': () => proxy.resetAll(),
    'close all': () => proxy.closeAll(),
    'kill all': () => scene.killAll(),
    restore: () => proxy.restore(),
    stop: () => stop(async () => {}),
    'stop, and kill all': () => stop(() => scene.killAll()),
  }
  await orders[order](proxy)
}
