// A certificate for a test server, made by openssl, and the question whether the server speaks TLS yet.

import { chmod, chown } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { type ProcessUser, run } from './processes.js'
import { until } from './until.js'

export interface ServerTls {
  /** The self-signed certificate in PEM, to be trusted by the client: `ssl: { ca }`. */
  ca: string
}

export interface Certificate {
  certFile: string
  keyFile: string
}

/** Writes `server.crt` and `server.key` for localhost and 127.0.0.1 into `folder`. */
export async function makeCertificate(folder: string, owner: ProcessUser | undefined): Promise<Certificate> {
  const [certFile, keyFile] = [join(folder, 'server.crt'), join(folder, 'server.key')]
  const args = ['req', '-x509', '-nodes', '-days', '3650', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']
  args.push('-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1')
  args.push('-keyout', keyFile, '-out', certFile)
  try {
    await run('openssl', args, { cwd: '/', timeoutMs: 30_000 })
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`tests of TLS need the program openssl to make a certificate: ${reason}`, { cause })
  }
  // PostgreSQL refuses a key that others can read.
  await chmod(keyFile, 0o600)
  if (owner) for (const file of [certFile, keyFile]) await chown(file, owner.uid, owner.gid)
  return { certFile, keyFile }
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
