-- A small shop with typical faults: at least one in every area that db-analyze judges.
create extension if not exists pg_stat_statements;
create schema shop;
set search_path = shop;

create table customers (
    id bigint generated always as identity primary key,
    email text not null,
    city text not null,
    created_at timestamptz not null default now(),
    profile jsonb not null default '{}'
);
create table products (
    id bigint generated always as identity primary key,
    sku text not null unique,
    title text not null,
    price numeric(10, 2) not null
);
create table orders (
    id bigint generated always as identity primary key,
    customer_id bigint not null references customers on delete cascade,
    status text not null,
    placed_at timestamptz not null,
    total numeric(10, 2) not null
);
create table order_items (
    order_id bigint not null references orders on delete cascade,
    product_id bigint not null references products,
    quantity int not null,
    primary key (order_id, product_id)
);
create table sessions (
    id bigint generated always as identity primary key,
    token text not null,
    customer_id bigint,
    seen_at timestamptz not null default now()
);
-- fault: a key that is almost exhausted
create table audit_log (
    id serial primary key,
    what text not null,
    at timestamptz not null default now()
);
-- fault: no primary key
create table page_views (
    path text not null,
    session_id bigint,
    at timestamptz not null default now()
);

insert into customers (email, city, created_at, profile)
select
    'customer' || g || '@example.com',
    (array['Berlin', 'Hamburg', 'Köln', 'München', 'Leipzig'])[1 + g % 5],
    now() - g * interval '1 minute',
    jsonb_build_object('newsletter', g % 3 = 0)
from generate_series(1, 30000) g;
insert into products (sku, title, price)
select 'SKU-' || g, 'Product ' || g, (g % 500) + 0.99 from generate_series(1, 2000) g;
insert into orders (customer_id, status, placed_at, total)
select
    1 + (g * 7919) % 30000,
    (array['open', 'paid', 'sent', 'sent', 'sent', 'returned'])[1 + g % 6],
    now() - (g % 500) * interval '1 day',
    (g % 900) + 0.5
from generate_series(1, 150000) g;
insert into order_items (order_id, product_id, quantity)
select o, 1 + (o * 31 + k * 977) % 2000, 1 + k from generate_series(1, 150000) o, generate_series(0, 1) k
on conflict do nothing;
insert into sessions (token, customer_id) select md5(g::text), 1 + g % 30000 from generate_series(1, 100000) g;
insert into page_views (path, session_id) select '/p/' || g % 2000, g from generate_series(1, 50000) g;
select setval('audit_log_id_seq', 2040000000);
insert into audit_log (what) select 'login ' || g from generate_series(1, 5000) g;

-- faults: the same index twice, a prefix of another one, an unused one, a failed build
create index orders_placed_at_idx on orders (placed_at);
create index orders_placed_at_copy on orders (placed_at);
create index orders_status_idx on orders (status);
create index orders_status_placed_idx on orders (status, placed_at);
create index customers_profile_idx on customers using gin (profile);
create index sessions_seen_idx on sessions (seen_at);
\set ON_ERROR_STOP off
create unique index concurrently page_views_path_key on page_views (path);
\set ON_ERROR_STOP on

-- fault: autovacuum is off where it is needed most
alter table sessions set (autovacuum_enabled = off);
analyze;
update sessions set seen_at = now() where id % 2 = 0;
update sessions set seen_at = now() where id % 3 = 0;
delete from sessions where id % 10 = 0;
