// The names of PostgreSQL's messages, by their type bytes.
// https://www.postgresql.org/docs/current/protocol-message-formats.html

import type { Direction } from './framing.js'

export const messageNames: Readonly<Record<Direction, Readonly<Record<string, string>>>> = {
  'to-server': {
    B: 'Bind',
    C: 'Close',
    d: 'CopyData',
    c: 'CopyDone',
    f: 'CopyFail',
    D: 'Describe',
    E: 'Execute',
    H: 'Flush',
    F: 'FunctionCall',
    P: 'Parse',
    // Passwords and the steps of SASL share one type byte.
    p: 'PasswordMessage',
    Q: 'Query',
    S: 'Sync',
    X: 'Terminate',
  },
  'to-client': {
    R: 'Authentication',
    K: 'BackendKeyData',
    2: 'BindComplete',
    3: 'CloseComplete',
    C: 'CommandComplete',
    d: 'CopyData',
    c: 'CopyDone',
    G: 'CopyInResponse',
    H: 'CopyOutResponse',
    W: 'CopyBothResponse',
    D: 'DataRow',
    I: 'EmptyQueryResponse',
    E: 'ErrorResponse',
    V: 'FunctionCallResponse',
    v: 'NegotiateProtocolVersion',
    n: 'NoData',
    N: 'NoticeResponse',
    A: 'NotificationResponse',
    t: 'ParameterDescription',
    S: 'ParameterStatus',
    1: 'ParseComplete',
    s: 'PortalSuspended',
    Z: 'ReadyForQuery',
    T: 'RowDescription',
  },
}

/** Packets without a type byte carry a code where a StartupMessage has its protocol version. */
export const untypedNames: Readonly<Record<number, string>> = {
  80877102: 'CancelRequest',
  80877103: 'SSLRequest',
  80877104: 'GSSENCRequest',
}
