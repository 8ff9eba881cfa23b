// npm run check: types, lint, what each package looks like to those who install it, and code that nobody uses.

import { join } from 'node:path'
import { Checklist } from './checklist.js'
import { packages } from './packages.js'
import { mustRun, root } from './program.js'

const checklist = new Checklist()

function check(name: string, tool: string, args: readonly string[]): Promise<unknown> {
  const program = join(root, 'node_modules/.bin', tool)
  return checklist.run(name, () => mustRun({ program, args, env: { NO_COLOR: '1' } }))
}

await check('types of packages, tests and examples (tsc)', 'tsc', ['-b'])
await check('lint and format (biome)', 'biome', ['check', '--error-on-warnings', '.'])
for (const { name, folder } of packages) await check(`${name}: package.json (publint)`, 'publint', ['--strict', folder])
for (const { name, folder } of packages) {
  await check(`${name}: types as imported (attw)`, 'attw', ['--pack', folder, '--profile', 'esm-only'])
}
await check('unused files, exports and dependencies (knip)', 'knip', [])
checklist.end()
