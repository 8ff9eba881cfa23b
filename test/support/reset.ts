// RST to whoever is at the other end, in whatever state the socket is.

import type { Socket } from 'node:net'

/**
 * `resetAndDestroy`, but for the moment between `end` and its FIN: libuv refuses to reset a socket that is shutting down
 * (EINVAL), and Node then never closes it, nor says so. Measured on Node 20.20 and 24.
 */
export function reset(socket: Socket): void {
  const shuttingDown = socket.writableEnded && !socket.writableFinished && !socket.destroyed
  if (!shuttingDown) socket.resetAndDestroy()
  // The FIN waits for bytes that the peer may never take.
  else if (socket.writableLength > 0) socket.destroy()
  else socket.once('finish', () => socket.resetAndDestroy())
}
