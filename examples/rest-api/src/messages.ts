// What the constraints of schema.sql mean to whoever sends a request: in words, where in the request, and as a code.

import type { ResilienceOptions } from '@moorings/core'

export const errors: ResilienceOptions['errors'] = {
  constraints: {
    users_email_key: { message: 'Somebody has this address already', code: 'EMAIL_TAKEN' },
    users_email_check: { message: 'This is no address', code: 'EMAIL_INVALID' },
    users_full_name_check: { message: 'Please tell us your name', code: 'NAME_EMPTY' },
    // No Drizzle schema knows this table: without a path, the pointer would have the column's name.
    orders_user_id_fkey: {
      message: 'There is no such user',
      path: 'userId',
      code: 'USER_UNKNOWN',
      stillReferenced: { message: 'This user has placed orders', code: 'USER_HAS_ORDERS' },
    },
    orders_sku_fkey: { message: 'We do not sell this', path: 'sku', code: 'PRODUCT_UNKNOWN' },
    orders_quantity_check: { message: 'Order at least one', path: 'quantity', code: 'QUANTITY_INVALID' },
    // The table is another one than the request is about.
    products_stock_check: { message: 'There are not so many left', path: 'quantity', code: 'OUT_OF_STOCK' },
    // NOT NULL goes by the column's name.
    'orders.user_id': { path: 'userId' },
  },
  messages: { 'not-null': 'Please fill this in' },
}
