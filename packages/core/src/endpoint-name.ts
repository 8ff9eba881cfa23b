// Which server, as one writes it.

import type { Endpoint } from './driver.js'

/** `db.internal:5432`, `[::1]:5432`, or the path of a socket. */
export function endpointName({ host, port }: Pick<Endpoint, 'host' | 'port'>): string {
  if (host.startsWith('/')) return host
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}
