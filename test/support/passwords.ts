// A server of the developer's own may let everybody in; then nothing can be learnt about wrong passwords there.

import pg from 'pg'

/** Whether the server refuses a wrong password. Where it does not, says loudly that a test is left out. */
export async function refusesWrongPasswords(url: string): Promise<boolean> {
  const wrong = new URL(url)
  wrong.password = 'certainly-not-the-password'
  const client = new pg.Client({ connectionString: wrong.href })
  try {
    await client.connect()
  } catch {
    return true
  }
  await client.end()
  console.warn('SKIPPED: this server lets everybody in, so a wrong password cannot be tested on it')
  return false
}
