// An empty project outside the repository that installs the packed packages and copies a quick start.

import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { mustRun, root, run } from './program.js'

export interface ConsumerOptions {
  /** An empty folder. */
  readonly folder: string
  readonly orm: 'drizzle' | 'kysely'
  /** Tarballs of our packages. */
  readonly tarballs: readonly string[]
  /** What else it installs, by name and version. */
  readonly dependencies: Readonly<Record<string, string>>
}

export class Consumer {
  readonly #folder: string

  private constructor(folder: string) {
    this.#folder = folder
  }

  static async install({ folder, orm, tarballs, dependencies }: ConsumerOptions): Promise<Consumer> {
    await mkdir(join(folder, 'src'), { recursive: true })
    await writeJson(join(folder, 'package.json'), { name: 'consumer', private: true, type: 'module', dependencies })
    await writeJson(join(folder, 'tsconfig.json'), {
      compilerOptions: {
        target: 'es2022',
        module: 'nodenext',
        moduleResolution: 'nodenext',
        strict: true,
        exactOptionalPropertyTypes: true,
        types: ['node'],
        rootDir: 'src',
        outDir: 'dist',
      },
      include: ['src'],
    })
    await copyFile(join(root, `examples/quickstart-${orm}/src/quickstart.ts`), join(folder, 'src/quickstart.ts'))
    await mustRun({ program: 'npm', args: ['install', '--no-audit', '--no-fund', ...tarballs], cwd: folder })
    return new Consumer(folder)
  }

  /**
   * Everything that is compiled, our packages' declarations included. What the libraries beside us get wrong in theirs is
   * not looked at: drizzle-orm's speak of databases that are not installed.
   */
  async typecheck(compiler: string): Promise<void> {
    const args = [this.#compiler(compiler), '--noEmit', '--pretty', 'false']
    const { ok, output } = await run({ program: process.execPath, args, cwd: this.#folder })
    const errors = output.split('\n').filter((line) => line.includes('error TS'))
    const ours = errors.filter((line) => !/^node_modules\/(?!@moorings\/)/.test(line))
    if (ours.length > 0) throw new Error(ours.join('\n'))
    if (!ok && errors.length === 0) throw new Error(output)
  }

  async build(compiler: string): Promise<void> {
    const args = [this.#compiler(compiler), '--skipLibCheck']
    await mustRun({ program: process.execPath, args, cwd: this.#folder })
  }

  /** Runs the quick start and resolves with what it printed. */
  async start(node: string, databaseUrl: string): Promise<string> {
    const env = { DATABASE_URL: databaseUrl }
    return mustRun({ program: node, args: ['dist/quickstart.js'], cwd: this.#folder, env })
  }

  #compiler(name: string): string {
    return join(this.#folder, 'node_modules', name, 'bin/tsc')
  }
}

/** The version that the repository has installed, so that a run means the same tomorrow. */
export async function installedVersion(name: string): Promise<string> {
  const { version }: { version: string } = JSON.parse(
    await readFile(join(root, 'node_modules', name, 'package.json'), 'utf8'),
  )
  return version
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFile(path, `${JSON.stringify(value, undefined, 2)}\n`)
}
