// A cluster whose server does not speak English: one of those installed on this machine, if any has translations.

import { connectAdmin } from './admin.js'
import { type Cluster, type Environment, startCluster } from './cluster.js'
import { installedServers } from './installed-servers.js'
import { run } from './processes.js'
import { serverUser } from './server-user.js'

export interface TranslatedCluster {
  readonly cluster: Cluster
  /** All that it can speak but English. */
  readonly languages: readonly string[]
  /** Restarts it. */
  speak(language: string): Promise<void>
}

/** @returns why there is none, where there is none */
export async function startTranslatedCluster(language: string): Promise<TranslatedCluster | string> {
  const locales = await usableLocales()
  if (locales.length === 0) return 'this system has no locale of UTF-8 but C'
  const servers = (await installedServers(serverUser())).filter(({ languages }) => languages.includes(language))
  if (servers.length === 0) return `no PostgreSQL that is installed here has translations (${language})`
  const reasons: string[] = []
  for (const { languages, ...binaries } of servers) {
    for (const locale of locales) {
      const settings = { lc_messages: locale }
      try {
        const cluster = await startCluster({ binaries, settings, environment: speaking(language) })
        if (await speaksEnglish(cluster)) {
          reasons.push(`PostgreSQL ${binaries.version} speaks English with lc_messages ${locale}`)
          await cluster.stop()
        } else {
          return { cluster, languages, speak: (other) => cluster.restart('fast', speaking(other)) }
        }
      } catch (error) {
        reasons.push(error instanceof Error ? error.message : String(error))
      }
    }
  }
  return reasons.join('; ')
}

/** It goes before every locale, but for that of C; then a locale of each language need not be installed. */
const speaking = (language: string): Environment => ({ LANGUAGE: language })

/** Since glibc 2.39, C.UTF-8 means no translations, as C always did: it is the last to be tried. */
async function usableLocales(): Promise<string[]> {
  const list = await run('locale', ['-a'], { cwd: '/', timeoutMs: 20_000 }).catch(() => '')
  const utf8 = list.split('\n').filter((locale) => /\.utf-?8$/i.test(locale))
  const first = utf8.find((locale) => !locale.startsWith('C.'))
  const last = utf8.find((locale) => locale.startsWith('C.'))
  return [first, last].filter((locale) => locale !== undefined)
}

async function speaksEnglish({ url }: Cluster): Promise<boolean> {
  const admin = connectAdmin(url)
  try {
    await admin.query('select 1/0')
    throw new Error('1/0 is something')
  } catch (error) {
    return error instanceof Error && error.message === 'division by zero'
  } finally {
    await admin.end()
  }
}
