// RST, and nothing but RST.

import type { Socket } from 'node:net'

/**
 * Node's own `resetAndDestroy` shuts the socket down first, so that a FIN goes ahead of the RST and the peer may read an
 * orderly end. Destroying with the mark that it sets sends the RST alone. The mark is internal: should it go, tests here
 * that expect ECONNRESET fail.
 */
export function reset(socket: Socket): void {
  if (socket.connecting || socket.destroyed) {
    socket.resetAndDestroy()
    return
  }
  ;(socket as Socket & { resetAndClosing: boolean }).resetAndClosing = true
  socket.destroy()
}
