// Whether a statement reads and does nothing else, as far as its text tells: for one that may be sent again although it may
// have been carried out. Asked for only when a connection was lost, so it need not be quick.
//
// It is less strict than reads.ts: that decides about an application's transactions without being asked to, this does what
// the application has opted in to, which knows what its own functions, views and operators do.

import { remembered } from './remembered.js'
import { bare } from './session-state.js'

/** Parentheses may stand around the parts of a UNION. */
const reading = /^[\s(]*(?:select|values|table|show|with)\b/i
/** Also FOR UPDATE, SELECT INTO and a writing part of WITH. */
const writing = /\b(?:insert|update|delete|merge|into|call|copy)\b/i
/** The server's own functions that leave something behind which another call would leave once more, or worse. */
const leaving =
  /\b(?:nextval|setval|set_config|pg_notify|pg_logical_emit_message|pg_(?:try_)?advisory_\w+|pg_(?:terminate|cancel)_backend|lo_\w+|dblink\w*|query_to_xml\w*)\b/i
const identifier = /"(?:[^"]|"")*"/g
/** What makes it unsure where a literal ends: a backslash may escape, and a dollar may quote. */
const unsure = /\\|\$(?!\d)/

/** Whether carrying it out twice does what carrying it out once does, but for what its functions do. */
export function readsOnly(text: string): boolean {
  if (unsure.test(text)) return false
  const plain = bare(text)
  // In quotes a function of the server's is called all the same.
  if (!reading.test(plain) || leaving.test(plain)) return false
  const words = plain.replaceAll(identifier, '""')
  return !writing.test(words) && !/;\s*[^\s;]/.test(words)
}

/** A lock on rows is written into them. */
const sharing = /\bfor\s+(?:key\s+)?share\b/i
/** Functions of the server's own that a standby refuses, that are about the server itself, or that tell of a primary only. */
const primarys =
  /\b(?:txid_current|pg_current_(?:xact_id|wal_\w+)|pg_walfile_\w+|pg_(?:switch|wal)_\w+|pg_promote|pg_reload_conf|pg_rotate_logfile|pg_stat_\w*reset\w*|pg_\w+_replication_slot\w*|pg_logical_slot_\w+|pg_replication_\w+|pg_create_restore_point|pg_(?:start_|stop_)?backup\w*|pg_log_backend_memory_contexts)\s*"?\s*\(/i

/**
 * Whether a standby can carry it out, as far as its text tells, and as well twice: if it is a read. What a function, a view
 * or an operator writes it refuses.
 */
export const standbyReads: (text: string) => boolean = remembered((text) => {
  if (!readsOnly(text)) return false
  const plain = bare(text)
  return !primarys.test(plain) && !sharing.test(plain.replaceAll(identifier, '""'))
})
