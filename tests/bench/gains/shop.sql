-- Skewed data: a few customers, tenants and products have most of the rows.
create extension if not exists pg_stat_statements;
create extension if not exists pg_freespacemap;
select setseed(0.42);

create table customers (
    id int primary key, email text not null, city text not null, parent_id int, created_at timestamptz not null);
insert into customers
select g, 'Customer.' || g || '@example.com', (array['Berlin', 'Köln', 'Ulm', 'Jena'])[1 + floor(4 * random() ^ 2)::int],
    nullif(g / 50, 0), now() - g * interval '3 minutes'
from generate_series(1, 40000) g;

create table orders (
    id int primary key, customer_id int not null, status text not null, placed_at timestamptz not null,
    shipped_at timestamptz, total numeric(10, 2) not null, reference text not null, note text not null);
insert into orders
select g, 1 + floor(40000 * random() ^ 4)::int,
    (array['delivered', 'delivered', 'delivered', 'delivered', 'returned', 'open', 'paid'])[1 + floor(7 * random() ^ 2)::int],
    now() - (200000 - g) * interval '2 minutes' - random() * interval '1 day',
    case when g % 50 <> 0 then now() end, (random() * 500)::numeric(10, 2), md5(g::text), repeat('n', 40)
from generate_series(1, 200000) g;

create table items (
    order_id int not null, product_id int not null, quantity int not null, price numeric(10, 2) not null);
insert into items
select 1 + g / 2, 1 + floor(5000 * random() ^ 3)::int, 1 + g % 7, (random() * 90)::numeric(10, 2)
from generate_series(1, 399998) g;

create table events (
    id bigint primary key, tenant_id int not null, kind int not null, at timestamptz not null, seconds int not null,
    payload jsonb not null, tags text[] not null, body text not null);
insert into events
select g, t, (t * 7 + floor(3 * random()))::int % 20, now() - (150000 - g) * interval '1 minute', floor(1000 * random())::int,
    jsonb_build_object('user', floor(20000 * random() ^ 2)::int, 'ok', g % 9 <> 0),
    array['tag' || floor(400 * random() ^ 2)::int, 'tag' || floor(400 * random())::int],
    'word' || floor(3000 * random() ^ 2)::int || ' some text of event word' || floor(3000 * random())::int
from (select g, 1 + floor(300 * random() ^ 3)::int as t from generate_series(1, 150000) g) as events;
