// The API as a program: DATABASE_URL=postgres://user:password@host/database PORT=3000 node dist/main.js

import { serve } from '@hono/node-server'
import { MooringsError } from '@moorings/core'
import { createApp } from './app.js'
import { createTables, fillShelves, openShop } from './shop.js'

const url = process.env.DATABASE_URL
if (!url) throw new Error('Set DATABASE_URL, for example to postgres://me:secret@localhost/shop')

const shop = openShop(url)
await createTables(shop)
await fillShelves(shop)

// Printed with its causes, an error of the database may show values of rows; as JSON it does not.
const report = (error: unknown) => console.error(error instanceof MooringsError ? JSON.stringify(error) : error)
const { fetch } = createApp(shop, report)
const server = serve({ fetch, port: Number(process.env.PORT ?? 3000) }, ({ port }) => {
  console.log(`http://localhost:${port}`)
})

// Requests under way are answered; then the pool has nothing left to do.
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => server.close(() => shop.pool.close()))
