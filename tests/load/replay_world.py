"""A small database with correlated columns, and what an application asks it."""

import psycopg

SCHEMA = """
create table tenants (id int primary key, region text);
insert into tenants select g, 'r' || g % 5 from generate_series(1, 200) g;
create table users (id int primary key, tenant int, email text, meta jsonb, tags text[]);
insert into users select g, 1 + g % 200, 'user' || g || '@t' || 1 + g % 200 || '.example',
    jsonb_build_object('plan', 'p' || g % 7, 'city', 'c' || g % 90), array['a' || g % 50, 'b' || g % 11]
from generate_series(1, 20000) g;
create index on users (tenant, email);
create index on users (lower(email));
create table orders (
    id int primary key, tenant int, customer int, status text, total numeric, created timestamptz,
    note text, words tsvector
);
insert into orders select g, 1 + c % 200, c, (array['open', 'paid', 'sent', 'gone'])[1 + (c + g / 1000) % 4],
    g % 1000 / 10.0, now() - g * interval '1 minute', 'note: of "' || md5(g::text) || E'"\\n:it''s',
    to_tsvector('simple', 'word' || g % 300 || ' all')
from generate_series(1, 40000) g
cross join lateral (select 1 + floor(19999 * power((g * 7919 % 40000) / 40000.0, 2))::int as c) x;
create index on orders (tenant, customer, status);
create index on orders (customer);
create index on orders (created);
create index on orders using gin (words);
create table items (order_id int, sku text, n int);
insert into items select 1 + g % 40000, 's' || g % 500, g % 5 from generate_series(1, 60000) g;
create index on items (order_id);
analyze;
"""

# Shapes of statements; the values in braces are those of a row that exists.
SHAPES = {
    "key": "select * from users where id = {customer}",
    "two columns": "select id from users where tenant = {tenant} and email = '{email}'",
    "three columns": "select * from orders where tenant = {tenant} and customer = {customer} and status = '{status}'",
    "skewed": "select id, total from orders where customer = {customer}",
    "range": "select count(*) from orders where created between now() - interval '3 days' and now() - interval '2 days'",
    "page": "select id from orders where tenant = {tenant} and created < now() - interval '1 day' order by created desc limit 20",
    "offset": "select id from orders order by id limit 10 offset 40",
    "list": "select * from users where id in ({customer}, 5, 9)",
    "group by": "select date_trunc('day', created), count(*) from orders where tenant = {tenant} group by date_trunc('day', created)",
    "coalesce": "select id from orders where coalesce(status, '') = '{status}' and customer = {customer}",
    "arithmetic": "select id from orders where total * 2 > 190 and tenant = {tenant}",
    "case": "select count(case when status = 'open' then 1 else null end) from orders where customer = {customer}",
    "interval": "select count(*) from orders where created > now() - interval '10 days'",
    "pattern": "select id from users where email like 'user1%' and tenant = {tenant}",
    "function": "select id from users where lower(email) = lower('{email}')",
    "join": "select o.id, i.sku from orders o join items i on i.order_id = o.id where o.tenant = {tenant} and i.n = {n}",
    "exists": "select u.id from users u where u.tenant = {tenant} and exists (select 1 from orders o where o.customer = u.id and o.status = '{status}')",
    "json": 'select count(*) from users where meta @> \'{{"plan": "p3"}}\' and tenant = {tenant}',
    "json key": "select id from users where meta ->> 'plan' = '{plan}' and tenant = {tenant}",
    "array": "select count(*) from users where tags @> array['a7']",
    "search": "select id from orders where words @@ plainto_tsquery('simple', 'word{n}')",
    "union": "select id from users where id = {customer} union all select id from orders where id = {customer}",
    "with": "with mine as (select * from orders where tenant = {tenant}) select m.id, i.sku from mine m join items i on i.order_id = m.id where m.total > 10",
    "in select": "select count(*) from orders where tenant in (select id from tenants where region = 'r{n}') and status = 'open'",
    "row": "select id from orders where (created, id) < ('{created}', {id}) order by created desc, id desc limit 10",
    "extract": "select count(*) from orders where extract(dow from created) = 3 and tenant = {tenant}",
    "none": "select max(id) from orders",
    "odd values": "select id from orders where note = '{note}' and tenant = {tenant}",
}


def ask(connection: psycopg.Connection, times: int = 40) -> None:
    """Do what the application does, each time with the values of another row."""
    names = (
        *("tenant", "customer", "status", "email", "n", "created", "id", "plan"),
        "note",
    )
    rows = connection.execute(
        "select o.tenant, o.customer, o.status, u.email, i.n, o.created, o.id, u.meta ->> 'plan', o.note from items i"
        " join orders o on o.id = i.order_id join users u on u.id = o.customer order by hashtext(o.id::text) limit %s",
        [times],
    ).fetchall()
    for row in rows:
        values = dict(zip(names, row, strict=True))
        values["note"] = values["note"].replace("'", "''")
        for text in SHAPES.values():
            connection.execute(text.format(**values).encode())
