-- What the shop keeps. Its constraints are the API's rules; src/messages.ts says them in words, by their names.

create table if not exists users (
  id integer primary key generated always as identity,
  email text not null unique check (email like '_%@_%'),
  full_name text not null check (full_name <> ''),
  orders_placed integer not null default 0
);

create table if not exists products (
  sku text primary key,
  stock integer not null check (stock >= 0)
);

create table if not exists orders (
  id integer primary key generated always as identity,
  user_id integer not null references users,
  sku text not null references products,
  quantity integer not null check (quantity > 0)
);
