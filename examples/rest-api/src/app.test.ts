// What a client of the API is told, over HTTP.

import { beforeEach, describe, expect, test } from '@jest/globals'
import { PoolSuspendedError } from '@moorings/core'
import { useApi } from './testing/use-api.js'

const api = useApi({ min: 1, max: 3, overflow: 0, acquireTimeoutMs: 250 })

const ada = { email: 'ada@lovelace.example', name: 'Ada' }
const type = (code: string) => `https://shop.example/problems/${code}`

/** The one user and the one product that there are. */
async function open(stock = 3): Promise<void> {
  expect(await api.ask('POST', '/users', ada)).toMatchObject({ status: 201, body: { id: 1 } })
  await api.shop.sales.insertInto('products').values({ sku: 'anchor', stock }).execute()
}

describe('a user', () => {
  test('is created, read and deleted', async () => {
    const created = await api.ask('POST', '/users', ada)
    expect(created).toMatchObject({ status: 201, body: { id: 1, ...ada, ordersPlaced: 0 } })
    expect(await api.ask('GET', '/users/1')).toMatchObject({ status: 200, body: created.body })
    expect(await api.ask('DELETE', '/users/1')).toMatchObject({ status: 204, body: '' })
    expect(await api.ask('GET', '/users/1')).toMatchObject({ status: 404 })
    expect(await api.ask('DELETE', '/users/1')).toMatchObject({ status: 404 })
  })

  test('whose address is taken is a conflict, at that field', async () => {
    await api.ask('POST', '/users', ada)
    const { status, body } = await api.ask('POST', '/users', { ...ada, name: 'Another' })
    expect(status).toBe(409)
    expect(body).toEqual({
      type: type('EMAIL_TAKEN'),
      title: 'Conflict',
      status: 409,
      detail: 'Somebody has this address already',
      instance: '/users',
      code: 'EMAIL_TAKEN',
      errors: [{ detail: 'Somebody has this address already', pointer: '#/email' }],
    })
  })

  test('who checks do not allow is unprocessable, at the field as the API calls it', async () => {
    const errors = (detail: string, pointer: string) => ({ status: 422, body: { errors: [{ detail, pointer }] } })
    expect(await api.ask('POST', '/users', { ...ada, name: '' })).toMatchObject(
      errors('Please tell us your name', '#/name'),
    )
    expect(await api.ask('POST', '/users', { ...ada, email: 'lovelace' })).toMatchObject(
      errors('This is no address', '#/email'),
    )
  })

  test('of another form is unprocessable, with all its fields', async () => {
    expect(await api.ask('POST', '/users', { email: 7, name: 'N\0', id: 99 })).toMatchObject({
      status: 422,
      body: {
        code: 'INVALID_INPUT',
        errors: [
          { detail: 'This has to be a text', pointer: '#/email' },
          { detail: 'This cannot be stored', pointer: '#/name' },
        ],
      },
    })
  })

  test('who has placed orders is not deleted: a conflict of no field', async () => {
    await open()
    await api.ask('POST', '/orders', { userId: 1, sku: 'anchor', quantity: 1 })
    const { status, body } = await api.ask('DELETE', '/users/1')
    expect(status).toBe(409)
    expect(body).toMatchObject({ code: 'USER_HAS_ORDERS', detail: 'This user has placed orders' })
    expect(body).not.toHaveProperty('errors')
    expect(await api.ask('GET', '/users/1')).toMatchObject({ status: 200 })
  })
})

describe('a list of users', () => {
  const grace = { email: 'grace@hopper.example', name: 'Grace' }

  test('is imported', async () => {
    expect(await api.ask('POST', '/users/import', [ada, grace])).toMatchObject({ status: 201, body: { imported: 2 } })
    expect(await api.ask('GET', '/users/2')).toMatchObject({ body: grace })
  })

  test('is refused as a whole, with what is wrong with each of them', async () => {
    const list = [ada, { ...grace, email: 'hopper' }, grace, { ...ada, name: 'Another' }]
    expect(await api.ask('POST', '/users/import', list)).toMatchObject({
      status: 422,
      body: {
        errors: [
          { detail: 'This is no address', pointer: '#/1/email' },
          { detail: 'Somebody has this address already', pointer: '#/3/email' },
        ],
      },
    })
    expect(await api.shop.accounts.query.users.findMany()).toEqual([])
  })
})

describe('an order', () => {
  beforeEach(() => open())

  const order = { userId: 1, sku: 'anchor', quantity: 2 }
  const stockAndOrders = async () => {
    const { stock } = await api.shop.sales.selectFrom('products').select('stock').executeTakeFirstOrThrow()
    const [user] = await api.shop.accounts.query.users.findMany()
    return [stock, user?.ordersPlaced, (await api.shop.sales.selectFrom('orders').selectAll().execute()).length]
  }

  test('is placed, taken from the stock and counted, whichever ORM does it', async () => {
    const placed = { id: 1, user_id: 1, sku: 'anchor', quantity: 2 }
    expect(await api.ask('POST', '/orders', order)).toMatchObject({ status: 201, body: placed })
    expect(await api.ask('GET', '/orders/1')).toMatchObject({ status: 200, body: placed })
    expect(await stockAndOrders()).toEqual([1, 1, 1])
  })

  test.each([
    ['of a user who is not there', { userId: 99 }, 'USER_UNKNOWN', 'There is no such user', '#/userId'],
    ['of a product that is not there', { sku: 'ballast' }, 'PRODUCT_UNKNOWN', 'We do not sell this', '#/sku'],
    ['of nothing', { quantity: 0 }, 'QUANTITY_INVALID', 'Order at least one', '#/quantity'],
    ['without a quantity', { quantity: undefined }, 'not-null-violation', 'Please fill this in', '#/quantity'],
    ['without a user', { userId: null }, 'not-null-violation', 'Please fill this in', '#/userId'],
  ])('%s is unprocessable, at that field', async (_what, change, code, detail, pointer) => {
    const { status, body } = await api.ask('POST', '/orders', { ...order, ...change })
    expect(status).toBe(422)
    expect(body).toEqual({
      type: type(code),
      title: 'Unprocessable Content',
      status: 422,
      detail,
      instance: '/orders',
      code,
      errors: [{ detail, pointer }],
    })
    expect(await stockAndOrders()).toEqual([3, 0, 0])
  })

  test('of more than there are is undone in both ORMs', async () => {
    expect(await api.ask('POST', '/orders', { ...order, quantity: 4 })).toMatchObject({
      status: 422,
      body: { code: 'OUT_OF_STOCK', errors: [{ detail: 'There are not so many left', pointer: '#/quantity' }] },
    })
    expect(await stockAndOrders()).toEqual([3, 0, 0])
  })

  test('is placed as often as the stock allows, when many come at once', async () => {
    const one = { ...order, quantity: 1 }
    const answers = await Promise.all(Array.from({ length: 8 }, () => api.ask('POST', '/orders', one)))
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 201, 201, 422, 422, 422, 422, 422])
    expect(await stockAndOrders()).toEqual([0, 3, 3])
  })
})

describe('a request that the database cannot be asked for', () => {
  test('while the pool is suspended is to come again', async () => {
    await open()
    const order = { userId: 1, sku: 'anchor', quantity: 1 }
    api.shop.pool.suspend({ refuseAfterMs: 0 })
    try {
      for (const [method, path, body] of [
        ['GET', '/users/1'],
        ['POST', '/users', ada],
        ['POST', '/users/import', [ada]],
        ['DELETE', '/users/1'],
        ['POST', '/orders', order],
      ] as const) {
        const answer = await api.ask(method, path, body)
        expect(answer).toMatchObject({ status: 503, body: { code: 'unavailable', title: 'Service Unavailable' } })
        expect(answer.headers.get('retry-after')).toBe('5')
      }
    } finally {
      api.shop.pool.resume()
    }
    expect(api.reported).toHaveLength(5)
    expect(api.reported[0]).toBeInstanceOf(PoolSuspendedError)
    expect(await api.ask('POST', '/orders', order)).toMatchObject({ status: 201 })
  })

  test('while others hold all connections is to come again', async () => {
    await open()
    const leases = await Promise.all(Array.from({ length: 3 }, () => api.shop.pool.acquire()))
    try {
      const answer = await api.ask('GET', '/users/1')
      expect(answer).toMatchObject({ status: 503, body: { code: 'overloaded' } })
      expect(answer.headers.get('retry-after')).toBe('2')
    } finally {
      for (const lease of leases) await lease.release()
    }
    expect(await api.ask('GET', '/users/1')).toMatchObject({ status: 200 })
  })
})

describe('a request is answered with a problem, too,', () => {
  test('when its body is not JSON', async () => {
    expect(await api.ask('POST', '/users', '{"email": ')).toMatchObject({ status: 400, body: { code: 'MALFORMED' } })
  })

  test.each(['/boats', '/users/0', '/users/one', '/users/4294967297', '/orders/7'])(
    'when %s is not there',
    async (path) => {
      expect(await api.ask('GET', path)).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } })
    },
  )

  test('when something is wrong on our side, which is reported', async () => {
    await api.shop.sales.schema.alterTable('users').renameColumn('full_name', 'gone').execute()
    try {
      expect(await api.ask('GET', '/users/1')).toMatchObject({ status: 500, body: { code: 'internal-error' } })
    } finally {
      await api.shop.sales.schema.alterTable('users').renameColumn('gone', 'full_name').execute()
    }
    expect(api.reported).toMatchObject([{ code: '42703' }])
  })
})
