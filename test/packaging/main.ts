// npm run test:packaging: each package packed, installed into an empty project outside the repository with the ORM from
// the registry, type-checked there, and its quick start run on this Node and on Node 24.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startCluster } from '../support/cluster.js'
import { createDatabase, inventName } from '../support/database.js'
import { Checklist } from './checklist.js'
import { Consumer, installedVersion } from './consumer.js'
import { packages } from './packages.js'
import { mustRun } from './program.js'

const orms = [
  { orm: 'drizzle', library: 'drizzle-orm' },
  { orm: 'kysely', library: 'kysely' },
] as const
/** The repository's own, and the one that most applications have today. */
const compilers = { typescript: await installedVersion('typescript'), 'typescript-5': 'npm:typescript@5.9' }

const expected = [
  "[ { name: 'Tern', berth: 1 }, { name: 'Nerine', berth: 3 } ]",
  'That berth is taken: quickstart_boats_berth_key',
  '',
].join('\n')

const checklist = new Checklist()
const folder = await mkdtemp(join(tmpdir(), 'moorings-packaging-'))
try {
  const nodes = [process.execPath, await checklist.run('install Node 24', () => installNode24(join(folder, 'node-24')))]
  const tarballs = await checklist.run('pack the packages', () => pack(join(folder, 'tarballs')))
  if (tarballs !== undefined) {
    for (const { orm, library } of orms) await checkOrm(orm, library, tarballs, nodes)
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}
checklist.end()

async function checkOrm(
  orm: 'drizzle' | 'kysely',
  library: string,
  tarballs: ReadonlyMap<string, string>,
  nodes: readonly (string | undefined)[],
): Promise<void> {
  const wanted = ['core', 'postgres', orm].map((short) => tarballs.get(`@moorings/${short}`) ?? '')
  const dependencies = {
    [library]: await installedVersion(library),
    postgres: await installedVersion('postgres'),
    '@types/node': await installedVersion('@types/node'),
    ...compilers,
  }
  const consumer = await checklist.run(`${orm}: install into an empty project`, () =>
    Consumer.install({ folder: join(folder, orm), orm, tarballs: wanted, dependencies }),
  )
  if (consumer === undefined) return
  for (const compiler of Object.keys(compilers)) {
    await checklist.run(`${orm}: its types compile (${compiler})`, () => consumer.typecheck(compiler))
  }
  await checklist.run(`${orm}: build the quick start`, () => consumer.build('typescript'))
  for (const node of nodes) {
    if (node === undefined) continue
    const version = (await mustRun({ program: node, args: ['--version'] })).trim()
    await checklist.run(`${orm}: the quick start on Node ${version}`, async () => {
      const printed = await onServer((url) => consumer.start(node, url))
      if (printed !== expected) throw new Error(`It printed:\n${printed}\ninstead of:\n${expected}`)
    })
  }
}

/** By name of the package. */
async function pack(into: string): Promise<Map<string, string>> {
  await mkdir(into)
  const tarballs = new Map<string, string>()
  for (const { name, folder } of packages) {
    const args = ['pack', '--json', '--pack-destination', into]
    const [packed]: { filename: string; files: { path: string }[] }[] = JSON.parse(
      await mustRun({ program: 'npm', args, cwd: folder }),
    )
    if (packed === undefined) throw new Error(`npm pack of ${name} told nothing`)
    const paths = packed.files.map(({ path }) => path)
    for (const needed of ['README.md', 'LICENSE', 'dist/index.js', 'dist/index.d.ts', 'src/index.ts']) {
      if (!paths.includes(needed)) throw new Error(`${name} is packed without ${needed}`)
    }
    const surplus = paths.filter((path) => /\.test\.|tsbuildinfo|\/testing\//.test(path))
    if (surplus.length > 0) throw new Error(`${name} is packed with ${surplus.join(', ')}`)
    tarballs.set(name, join(into, packed.filename))
  }
  return tarballs
}

/** npm's package `node` brings the program itself. */
async function installNode24(into: string): Promise<string> {
  await mkdir(into)
  const project = { private: true, dependencies: { node: '24' }, allowScripts: { node: true } }
  await writeFile(join(into, 'package.json'), JSON.stringify(project))
  await mustRun({ program: 'npm', args: ['install', '--no-audit', '--no-fund'], cwd: into })
  const node = join(into, 'node_modules/node/bin/node')
  const version = await mustRun({ program: node, args: ['--version'] })
  if (!version.startsWith('v24.')) throw new Error(`Node ${version} was installed instead of 24`)
  return node
}

/** In a database of its own: on the server in DATABASE_URL, or on a temporary one. */
async function onServer<T>(work: (url: string) => Promise<T>): Promise<T> {
  const cluster = process.env.DATABASE_URL ? undefined : await startCluster()
  try {
    const database = await createDatabase(inventName('packaging'), cluster?.url ?? process.env.DATABASE_URL)
    try {
      return await work(database.url)
    } finally {
      await database.drop()
    }
  } finally {
    await cluster?.stop()
  }
}
