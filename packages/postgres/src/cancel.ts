// Asks a server to stop what a session is doing. That takes a connection of its own, which the server closes when it has
// read the request; it never says whether there was anything to stop.

import type { ServerAddress } from './options.js'
import { openSocket, type SocketSettings } from './socket.js'
import { type BackendKey, cancelRequest } from './wire.js'

/**
 * Sends a CancelRequest and waits until the server has taken it, so that what is sent to the session afterwards is not
 * what gets cancelled. Encrypted like the session itself. Ends with the signal at the latest, and never rejects: the
 * session's own answer shows what came of it.
 */
export async function sendCancel(
  endpoint: ServerAddress,
  parsed: SocketSettings,
  key: BackendKey,
  signal: AbortSignal,
): Promise<void> {
  try {
    const socket = await openSocket(endpoint, parsed, signal)
    await new Promise<void>((resolve) => {
      const done = () => {
        signal.removeEventListener('abort', done)
        socket.destroy()
        resolve()
      }
      if (signal.aborted || socket.destroyed) {
        done()
        return
      }
      signal.addEventListener('abort', done)
      socket.once('end', done).once('close', done)
      socket.resume()
      socket.write(cancelRequest(key.pid, key.secret))
    })
  } catch {
    // Unreachable, refused or given up: nothing was cancelled, which the caller's own limit deals with.
  }
}
