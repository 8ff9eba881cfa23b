// The rows that every operation starts from, and the statement that brings a database back to them.

const tables = [
  'users',
  'posts',
  'comments',
  'tags',
  'posts_to_tags',
  'contacts',
  '"camelContacts"',
  'audit.events',
  'accounts',
  'transfers',
  'bookings',
  'numbers',
  'words',
  'moments',
  'documents',
  'places',
  'lists',
]

/** One simple query. The schema `scratch` is for what operations create; it is empty again afterwards. */
export const resetSql = `
set client_min_messages = warning;
drop schema if exists scratch cascade;
create schema scratch;
truncate ${tables.join(', ')} restart identity cascade;

insert into users (name, email, age, mood, manager_id, joined_at) values
  ('Ada', 'ada@example.org', 36, 'happy', null, '2024-01-01 10:00:00+00'),
  ('Grace', 'grace@example.org', 85, 'ok', 1, '2024-01-02 10:00:00.123456+00'),
  ('Edsger', 'edsger@example.org', 72, 'sad', 1, '2024-01-03 10:00:00+00'),
  ('Barbara', null, 84, 'happy', 2, '2024-01-04 10:00:00+00'),
  ('Niklaus', 'niklaus@example.org', null, 'ok', 2, '2024-01-05 10:00:00+00');

insert into posts (author_id, title, body, score, published, labels, details, published_at) values
  (1, 'Notes on the engine', 'It weaves patterns', 9.50, true, '{"maths","engines"}', '{"words": 120}', '2024-03-01 12:00:00'),
  (1, 'A second note', null, 7.25, false, '{}', null, null),
  (2, 'Nanoseconds', 'A foot of wire', 9.75, true, '{"hard, ware"}', '{"words": 12, "draft": false}', '2024-03-02 12:00:00.5'),
  (3, 'Goto', 'Considered', 8.00, true, null, '{"words": 1, "draft": true}', '2024-03-03 12:00:00'),
  (3, 'Shortest path', 'Twenty minutes', null, false, '{"graphs","trees"}', null, null),
  (4, 'Substitution', null, 9.75, true, '{"types"}', '{"words": 40}', '2024-03-04 12:00:00');

insert into comments (post_id, author_id, text, made_at) values
  (1, 2, 'Remarkable', '2024-04-01 08:00:00+00'),
  (1, 3, 'Elegant', '2024-04-01 09:00:00+00'),
  (3, 1, 'How long?', '2024-04-02 08:00:00.25+00'),
  (4, 5, 'I disagree', '2024-04-03 08:00:00+00'),
  (4, null, 'Anonymous', '2024-04-03 09:00:00+00');

insert into tags (name) values ('computing'), ('history'), ('logic'), ('unused');
insert into posts_to_tags (post_id, tag_id) values (1, 1), (1, 2), (3, 1), (4, 1), (4, 3);
insert into accounts (owner, balance) values ('left', 100), ('right', 50);
insert into contacts (first_name, last_name, home_town) values ('Alan', 'Turing', 'London'), ('Kurt', 'Gödel', null);
insert into "camelContacts" ("firstName", "lastName") values ('Alonzo', 'Church');
insert into bookings (room, during) values ('blue', '[2024-05-01 10:00+00,2024-05-01 12:00+00)');
refresh materialized view post_counts;
`
