// pg-cursor brings no types. This is what kysely's dialect asks of it.

declare module 'pg-cursor' {
  export default class Cursor<Row> {
    constructor(sql: string, parameters: unknown[])
    read(rowsCount: number): Promise<Row[]>
    close(): Promise<void>
  }
}
