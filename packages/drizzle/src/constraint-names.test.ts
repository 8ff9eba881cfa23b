// Names that nobody has given: as drizzle-kit and the server make them up.

import { describe, expect, it } from '@jest/globals'
import { clipped, foreignKeyNames, primaryKeyNames, uniqueIndexNames, uniqueNames } from './constraint-names.js'

describe('a name that is too long for the server', () => {
  it('is cut after 63 bytes', () => {
    expect(clipped('x'.repeat(63))).toBe('x'.repeat(63))
    expect(clipped(`${'x'.repeat(63)}y`)).toBe('x'.repeat(63))
  })

  it('is not cut inside of a character', () => {
    expect(clipped('ä'.repeat(40))).toBe('ä'.repeat(31))
    expect(clipped(`${'x'.repeat(60)}🛟`)).toBe('x'.repeat(60))
  })
})

const unique = (table: string, columns: string[]) => uniqueNames(table, columns, columns)

describe('the names that a constraint may have got', () => {
  it('are those of drizzle-kit 0.31 and 1.0 and of PostgreSQL', () => {
    expect(unique('users', ['email'])).toEqual(expect.arrayContaining(['users_email_unique', 'users_email_key']))
    expect(uniqueIndexNames('users', ['a', 'b'])).toEqual(expect.arrayContaining(['users_a_b_index', 'users_a_b_idx']))
    expect(primaryKeyNames('users', ['a', 'b'])).toEqual(expect.arrayContaining(['users_a_b_pk', 'users_pkey']))
    expect(foreignKeyNames('orders', ['user_id'], 'users', ['id'])).toEqual(
      expect.arrayContaining(['orders_user_id_users_id_fk', 'orders_user_id_users_id_fkey', 'orders_user_id_fkey']),
    )
  })

  it('have the keys of columns that get their names by casing, too, as 0.45’s have', () => {
    expect(uniqueNames('users', ['user_id'], ['userId'])).toEqual(
      expect.arrayContaining(['users_userId_unique', 'users_user_id_unique', 'users_user_id_key']),
    )
  })

  it('are cut by PostgreSQL where table or columns are longest', () => {
    const long = 'x'.repeat(50)
    expect(unique(long, ['email'])).toContain(`${long}_email_key`)
    expect(unique(long, ['y'.repeat(50)])).toContain(`${'x'.repeat(29)}_${'y'.repeat(29)}_key`)
    expect(unique('users', ['y'.repeat(40), 'z'.repeat(40)])).toContain(`users_${'y'.repeat(40)}_${'z'.repeat(12)}_key`)
    expect(foreignKeyNames(long, ['y'.repeat(50)], 'p', ['id'])).toContain(`${'x'.repeat(29)}_${'y'.repeat(28)}_fkey`)
    expect(uniqueIndexNames(long, ['y'.repeat(20)])).toContain(`${'x'.repeat(38)}_${'y'.repeat(20)}_idx`)
    expect(primaryKeyNames('x'.repeat(60), ['id'])).toContain(`${'x'.repeat(58)}_pkey`)
  })

  it('are cut at their end where a drizzle-kit has made them', () => {
    expect(primaryKeyNames('x'.repeat(60), ['id'])).toContain(`${'x'.repeat(60)}_pk`)
    expect(unique('x'.repeat(60), ['id'])).toContain(`${'x'.repeat(60)}_id`)
    expect(uniqueIndexNames('x'.repeat(56), ['id'])).toContain(`${'x'.repeat(56)}_id_ind`)
  })

  it('are hashed by drizzle-kit 1.0 where they are too long for a foreign key', () => {
    const project = ['project_tenant', 'project_number']
    expect(foreignKeyNames('memberships_of_people_in_projects', project, 'projects', ['tenant', 'number'])).toContain(
      'memberships_of_people_in_projects_x9VjRvF7jNlR_fkey',
    )
    expect(
      foreignKeyNames(
        'memberships_of_people_in_projects_of_all_the_tenants_there_are',
        ['project_tenant'],
        'projects',
        ['tenant'],
      ),
    ).toContain('FzyabhquPnCz_fkey')
  })
})
