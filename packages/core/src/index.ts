export type {
  Connection,
  ConnectRequest,
  Driver,
  Endpoint,
  ErrorSite,
  ExecuteOptions,
  Result,
  Statement,
  TransactionSettings,
  TransactionStatus,
} from './driver.js'
export * from './errors.js'
