import { describe, expect, it } from '@jest/globals'
import { detailOf, directionOf } from './violation-detail.js'

const reported = (message: string, given: object = {}) => ({
  ...{ code: '23503', routine: 'ri_ReportViolation', constraint_name: 'fk', table_name: 'books', message },
  ...given,
})

/** As PostgreSQL 15 says it: on the child, and on the parent. */
const languages: [string, child: string, parent: string][] = [
  [
    'English',
    'insert or update on table "books" violates foreign key constraint "fk"',
    'update or delete on table "users" violates foreign key constraint "fk" on table "books"',
  ],
  [
    'German',
    'Einfügen oder Aktualisieren in Tabelle »books« verletzt Fremdschlüssel-Constraint »fk«',
    'Aktualisieren oder Löschen in Tabelle »users« verletzt Fremdschlüssel-Constraint »fk« von Tabelle »books«',
  ],
  [
    'French',
    'une instruction insert ou update sur la table « books » viole la contrainte de clé\nétrangère « fk »',
    'UPDATE ou DELETE sur la table « users » viole la contrainte de clé étrangère « fk » de la table « books »',
  ],
  [
    'Spanish',
    'inserción o actualización en la tabla «books» viola la llave foránea «fk»',
    'update o delete en «users» viola la llave foránea «fk» en la tabla «books»',
  ],
  [
    'Japanese',
    'テーブル"books"への挿入、更新は外部キー制約"fk"に違反しています',
    'テーブル"users"の更新または削除は、テーブル"books"の外部キー制約"fk"に違反します',
  ],
  [
    'Korean',
    '"books" 테이블에서 자료 추가, 갱신 작업이 "fk" 참조키(foreign key) 제약 조건을 위배했습니다',
    '"users" 테이블의 자료 갱신, 삭제 작업이 "fk" 참조키(foreign key) 제약 조건 - "books" 테이블 - 을 위반했습니다',
  ],
  [
    'Chinese',
    '插入或更新表 "books" 违反外键约束 "fk"',
    '在 "users" 上的更新或删除操作违反了在 "books" 上的外键约束 "fk"',
  ],
]

describe('the direction of a foreign key', () => {
  it.each(languages)('is seen in %s', (_language, child, parent) => {
    expect(directionOf(reported(child))).toBe('missing-parent')
    expect(directionOf(reported(parent))).toBe('still-referenced')
    // The same table on both sides.
    expect(directionOf(reported(parent.replace('users', 'books')))).toBe('still-referenced')
    // A constraint called as its table, or as the other one.
    const called = (message: string, name: string) =>
      directionOf(reported(message.replace(/\bfk\b/, name), { constraint_name: name }))
    expect([called(child, 'books'), called(parent, 'books')]).toEqual(['missing-parent', 'still-referenced'])
    expect([called(child, 'users'), called(parent, 'users')]).toEqual(['missing-parent', 'still-referenced'])
  })

  it('is seen through names that hold quotes', () => {
    const odd = { constraint_name: 'the "fk" of', table_name: 'a "b"' }
    const child = 'insert or update on table "a "b"" violates foreign key constraint "the "fk" of"'
    const parent = 'update or delete on table "c" violates foreign key constraint "the "fk" of" on table "a "b""'
    expect(directionOf(reported(child, odd))).toBe('missing-parent')
    expect(directionOf(reported(parent, odd))).toBe('still-referenced')
  })

  it('is known of RESTRICT by its code, and of a partition that is still referred to', () => {
    expect(directionOf({ code: '23001' })).toBe('still-referenced')
    expect(directionOf(reported('removing partition "users_1" violates foreign key constraint "fk"'))).toBe(
      'still-referenced',
    )
  })

  it('is known of a key that is null in part', () => {
    expect(directionOf(reported(languages[0]?.[1] ?? '', { routine: 'RI_FKey_check' }))).toBe('missing-parent')
  })

  it('is not made up of what a trigger raises, or of less than all there should be', () => {
    const child = languages[0]?.[1] ?? ''
    for (const given of [
      { routine: 'exec_stmt_raise' },
      { routine: undefined },
      { constraint_name: undefined },
      { constraint_name: 'another' },
      { table_name: undefined },
      { message: '' },
    ]) {
      expect(directionOf(reported(child, given))).toBeUndefined()
    }
    for (const nothing of [undefined, null, 'text', hostile]) expect(directionOf(nothing)).toBeUndefined()
  })
})

const hostile = new Proxy(
  {},
  {
    get() {
      throw new Error('no')
    },
  },
)

const unique = (detail: unknown) => detailOf({ routine: '_bt_check_unique', detail })
const foreign = (detail: string) => detailOf({ routine: 'ri_ReportViolation', detail })
const exclusion = (detail: string) => detailOf({ routine: 'check_exclusion_or_unique_constraint', detail })

describe('what DETAIL tells', () => {
  it('is the columns of a key and its values', () => {
    expect(unique('Key (email)=(a@b) already exists.')).toEqual({ columns: ['email'], values: { email: 'a@b' } })
    expect(unique('Key (a, b)=(1, ) already exists.')).toEqual({ columns: ['a', 'b'], values: { a: '1', b: '' } })
    expect(foreign('Key (a)=(1) is not present in table "t".')).toEqual({ columns: ['a'], values: { a: '1' } })
    expect(exclusion('Key (a, b)=(1, x) conflicts with existing key (a, b)=(1, y).')).toEqual({
      columns: ['a', 'b'],
      values: { a: '1', b: 'x' },
    })
  })

  it('is not the columns of the parent where others refer to it', () => {
    for (const words of ['is still referenced from', 'is referenced from']) {
      expect(foreign(`Key (id)=(1) ${words} table "books".`)).toEqual({ columns: undefined, values: { id: '1' } })
    }
  })

  it('is a value as a whole, whatever it holds, if the key is one column', () => {
    for (const value of ['a, b', ') already exists.', 'x) is not present in table "y', '(', '']) {
      expect(unique(`Key (a)=(${value}) already exists.`)?.values).toEqual({ a: value })
    }
    expect(exclusion('Key (a)=([1,2)) conflicts with existing key (a)=([1,3)).')?.values).toEqual({ a: '[1,2)' })
  })

  it('is no value where one cannot be told from the other', () => {
    expect(unique('Key (a, b)=(1, 2, 3) already exists.')).toEqual({ columns: ['a', 'b'], values: undefined })
    const twice = 'Key (a)=(1) conflicts with existing key (a)=(2) conflicts with existing key (a)=(3).'
    expect(exclusion(twice)).toEqual({ columns: ['a'], values: undefined })
  })

  it('is nothing where there is more in it than columns, in another language, or from somebody else', () => {
    expect(unique('Key (lower(email))=(a@b) already exists.')).toBeUndefined()
    expect(unique('Key ("Odd, name")=(a) already exists.')).toBeUndefined()
    expect(unique('Schlüssel »(email)=(a@b)« existiert bereits.')).toBeUndefined()
    expect(unique('Key (email)=(a@b) existe déjà.')).toBeUndefined()
    expect(foreign('Key is not present in table "t".')).toBeUndefined()
    expect(foreign('MATCH FULL does not allow mixing of null and nonnull key values.')).toBeUndefined()
    expect(detailOf({ routine: 'exec_stmt_raise', detail: 'Key (email)=(a@b) already exists.' })).toBeUndefined()
    for (const nothing of [undefined, {}, hostile]) expect(detailOf(nothing)).toBeUndefined()
    expect(unique(7)).toBeUndefined()
  })

  it('is told of a column of any name', () => {
    const { values } = unique('Key (__proto__)=(1) already exists.') ?? {}
    expect(Object.entries(values ?? {})).toEqual([['__proto__', '1']])
  })
})
