// What every operation finds: the same rows and the same next ids, and an empty schema `scratch` for what it makes itself.

import type { Admin } from '../../../support/admin.js'

const statements = `
  truncate person, pet, account, link, booking, specimen, archive.person restart identity;
  insert into person (first_name, last_name, age, email, mood) values
    ('Jennifer', 'Aniston', 55, 'jennifer@example.com', 'happy'),
    ('Arnold', 'Schwarzenegger', 77, 'arnold@example.com', 'ok'),
    ('Sylvester', 'Stallone', 78, null, null),
    ('Moo', null, 3, 'moo@example.com', 'sad');
  insert into pet (owner_id, name, species, weight) values
    (1, 'Catto', 'cat', 4.5), (1, 'Doggo', 'dog', 20.125), (2, 'Hammo', 'hamster', null);
  insert into account (owner, balance) values ('a', 100), ('b', 50);
  insert into link values (1, null), (2, 1);
  insert into booking (room, during) values (1, '[10,20)');
  insert into archive.person values (1, 'Ada');
  drop schema if exists scratch cascade;
  create schema scratch;
`

export async function seed(admin: Admin): Promise<void> {
  await admin.query(statements)
}
