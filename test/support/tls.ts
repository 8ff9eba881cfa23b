// A certificate for a test server, and the question whether the server speaks TLS yet.

import { chown, readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { ProcessUser } from './processes.js'
import { until } from './until.js'

export interface ServerTls {
  /** The self-signed certificate in PEM, to be trusted by the client: `ssl: { ca }`. */
  ca: string
}

export interface Certificate {
  certFile: string
  keyFile: string
}

// The compiled file lies in dist/, the certificates do not.
const certificates = new URL(
  import.meta.url.includes('/dist/') ? '../../support/certificates/' : 'certificates/',
  import.meta.url,
)

/** Writes `server.crt` and `server.key` for localhost and 127.0.0.1 into `folder`. */
export async function writeCertificate(folder: string, owner: ProcessUser | undefined): Promise<Certificate> {
  const write = async (name: string): Promise<string> => {
    const file = join(folder, name)
    // PostgreSQL refuses a key that others can read.
    await writeFile(file, await readFile(new URL(name, certificates)), { mode: 0o600 })
    if (owner) await chown(file, owner.uid, owner.gid)
    return file
  }
  return { certFile: await write('server.crt'), keyFile: await write('server.key') }
}

/** A reload is asynchronous; resolves when new connections are offered TLS. */
export async function untilTlsIsOn(host: string, port: number): Promise<void> {
  await until(() => offersTls(host, port), { what: `${host}:${port} to offer TLS` })
}

/** Sends an SSLRequest (length 8, code 80877103): the answer is one byte, S or N. */
function offersTls(host: string, port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, host, () => socket.write(Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])))
    socket.once('data', (answer) => {
      socket.destroy()
      resolve(answer.toString() === 'S')
    })
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('closed instead of answering the SSLRequest')))
  })
}
