-- One of everything that a fact can be about, so that no query is tested on emptiness.
create extension pg_stat_statements;
create schema app;
create table app.customers (
    id int generated always as identity primary key,
    email text not null,
    score numeric(6, 2),
    tags text[],
    constraint customers_email_key unique (email),
    constraint score_is_positive check (score > 0) not valid
);
create table app.orders (
    id bigserial primary key,
    customer_id int references app.customers on delete cascade,
    placed_at timestamptz not null default now(),
    status text,
    note text
);
create index orders_lower_idx on app.orders (lower(status)) where status is not null;
create index orders_include_idx on app.orders (customer_id) include (status) with (fillfactor = 80);
create unlogged table app.unlogged_one (id serial primary key);
create table app.events (at timestamptz not null, kind int) partition by range (at);
create table app.events_2024 partition of app.events for values from ('2024-01-01') to ('2025-01-01');
create table app.events_rest partition of app.events default;
create index events_at_idx on app.events (at);
create table app.base (id int);
create table app.child (more int) inherits (app.base);
create function app.touch() returns trigger language plpgsql as 'begin new.note := null; return new; end';
create trigger touch before update of status on app.orders for each row execute function app.touch();
create domain app.percent as int;
alter domain app.percent add constraint percent_range check (value <= 100) not valid;
create table app.shares (part app.percent);
create extension file_fdw;
create server files foreign data wrapper file_fdw;
create foreign table app.version_file (version_text text) server files options (filename 'PG_VERSION');
create view app.paying as select * from app.customers;
create domain app.positive as int default 1 constraint is_positive check (value > 0);
create domain app.even as app.positive not null check (value % 2 = 0);
create materialized view app.totals as select status, count(*) from app.orders group by status;
create unique index totals_status_idx on app.totals (status);
create statistics app.order_stats (dependencies) on customer_id, status from app.orders;
create sequence app.loose as smallint increment -1 minvalue -100 maxvalue 100 start 100 cycle;
create table app.uses_loose (
    id int default nextval('app.loose'), n app.even, twice int generated always as (2 * n) stored
);
create publication pub for table app.orders;
create subscription sub connection 'host=127.0.0.1 port=1' publication pub
    with (connect = false, enabled = false, slot_name = none);
select lo_from_bytea(0, decode(md5('zoo'), 'hex'));
insert into app.customers (email, score) select g || '@x', g from generate_series(1, 300) g;
insert into app.orders (customer_id, status, note) select 1 + g % 300, 'new', repeat('x', 1500) from generate_series(1, 500) g;
analyze;
create table app.uncounted as select generate_series(1, 40) as numbered;
