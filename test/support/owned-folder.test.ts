import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, lutimes, mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { transform } from '@swc/core'
import { sweep } from './owned-folder.js'
import { childrenOf, commandLine, signal } from './processes.js'
import { until } from './until.js'

const sources = dirname(fileURLToPath(import.meta.url))
let programs: string
// Of their own, or anybody else's start would sweep what is left here for these tests' own sweep.
let temporary: string

// A process to be killed cannot be jest's own, and Node runs no TypeScript: so these sources as JavaScript, below the
// repository, where the packages are found.
beforeAll(async () => {
  await mkdir(join(sources, '../dist'), { recursive: true })
  programs = await mkdtemp(join(sources, '../dist/killed-'))
  temporary = await mkdtemp(join(tmpdir(), 'moorings-killed-'))
  await chmod(temporary, 0o711)
  for (const file of await readdir(sources)) {
    if (!file.endsWith('.ts') || file.endsWith('.test.ts')) continue
    const { code } = await transform(await readFile(join(sources, file), 'utf8'), {
      jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
      module: { type: 'es6' },
    })
    await writeFile(join(programs, file.replace(/\.ts$/, '.js')), code)
  }
  await writeFile(
    join(programs, 'program.js'),
    `import { startCluster } from './cluster.js'
     const { pid, dataDir } = await startCluster()
     console.log(JSON.stringify({ pid, dataDir }))
     process.stdin.once('data', () => process.exit(3))`,
  )
})

afterAll(async () => {
  for (const folder of [programs, temporary]) await rm(folder, { recursive: true, force: true })
})

interface Program {
  process: ChildProcess
  postmaster: number
  folder: string
}

async function startProgram(): Promise<Program> {
  const child = spawn(process.execPath, [join(programs, 'program.js')], {
    env: { ...process.env, TMPDIR: temporary },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (chunk) => {
    output += chunk
  })
  await until(() => output.endsWith('\n') || child.exitCode !== null, { what: 'the cluster', timeoutMs: 60_000 })
  const { pid, dataDir } = JSON.parse(output) as { pid: number; dataDir: string }
  return { process: child, postmaster: pid, folder: dirname(dataDir) }
}

async function untilGone({ postmaster, folder }: Program): Promise<void> {
  await until(async () => (await commandLine(postmaster)) === '' && !existsSync(folder), {
    what: 'the cluster to be gone',
    timeoutMs: 30_000,
  })
}

describe('the cluster of a process that never stopped it is gone', () => {
  test.each(['SIGINT', 'SIGTERM', 'SIGKILL'] as const)('after %s', async (name) => {
    const program = await startProgram()
    program.process.kill(name)
    await untilGone(program)
  })

  test('after SIGKILL while it was frozen', async () => {
    const program = await startProgram()
    const frozen = [program.postmaster, ...(await childrenOf(program.postmaster))]
    for (const pid of frozen) signal(pid, 'SIGSTOP')
    program.process.kill('SIGKILL')
    await untilGone(program)
    const alive = async () => (await Promise.all(frozen.map(commandLine))).filter((command) => command !== '')
    await until(async () => (await alive()).length === 0, { what: 'the frozen processes to be gone' })
  })

  test('after process.exit', async () => {
    const program = await startProgram()
    program.process.stdin?.write('exit')
    await untilGone(program)
    expect(program.process.exitCode).toBe(3)
  })

  test('at the end of the process by itself, which the cluster does not hold up', async () => {
    const program = await startProgram()
    program.process.stdin?.end()
    await untilGone(program)
    expect(program.process.exitCode).toBe(0)
  })
})

describe('the sweep', () => {
  test('removes a cluster, and ends its server, whose owner and reaper were both killed', async () => {
    const program = await startProgram()
    const children = await childrenOf(program.process.pid ?? 0)
    const commands = await Promise.all(children.map(commandLine))
    const reaper = children.find((_, index) => commands[index]?.includes('reaper'))
    if (reaper === undefined) throw new Error(`no reaper among ${commands.join('; ')}`)
    signal(reaper, 'SIGKILL')
    program.process.kill('SIGKILL')
    await until(() => program.process.signalCode === 'SIGKILL', { what: 'the owner to die' })
    expect(await commandLine(program.postmaster)).toContain(program.folder)
    await sweep(dirname(program.folder))
    expect(await commandLine(program.postmaster)).toBe('')
    expect(existsSync(program.folder)).toBe(false)
  })

  test('spares a cluster whose owner lives', async () => {
    const program = await startProgram()
    await sweep(dirname(program.folder))
    expect(existsSync(program.folder)).toBe(true)
    program.process.kill()
    await untilGone(program)
  })

  test('spares a folder that was just made, and removes one that nobody came to own', async () => {
    const parent = await mkdtemp(join(programs, 'swept-'))
    const [young, old] = [join(parent, 'moorings-cluster-young'), join(parent, 'moorings-cluster-old')]
    for (const folder of [young, old]) await mkdir(folder)
    await utimes(old, new Date(0), new Date(0))
    await sweep(parent)
    expect(await readdir(parent)).toEqual(['moorings-cluster-young'])
  })

  test('leaves alone what is not a cluster', async () => {
    const parent = await mkdtemp(join(programs, 'swept-'))
    const other = join(parent, 'other')
    await mkdir(other)
    const link = join(parent, 'moorings-cluster-link')
    await symlink(other, link)
    await lutimes(link, new Date(0), new Date(0))
    await utimes(other, new Date(0), new Date(0))
    await sweep(parent)
    expect(await readdir(parent)).toEqual(['moorings-cluster-link', 'other'])
  })
})
