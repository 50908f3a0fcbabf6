"""Documents in jsonb: a key as text, a number in it, containment, an array in it."""

from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="json_orders",
    about="orders of a shop's API kept as jsonb: ->> and #>> with equality, a cast number, @> and ?, beside plain columns",
    schema="""
create table orders (id bigint primary key, shop_id int not null, doc jsonb not null, received_at timestamptz not null);
""",
    load="""
select setseed(0.7);
insert into orders
select g, 1 + (power(random(), 2) * 200)::int, jsonb_build_object(
        'number', 'R' || lpad((g * 7919::bigint % 1000000)::text, 6, '0'), 'state', case when random() < 0.985 then 'complete'
            when random() < 0.5 then 'payment' else 'canceled' end,
        'customer', jsonb_build_object('email', 'user' || (power(random(), 2) * 30000)::int || '@example.org', 'vip', random() < 0.02),
        'total', (random() * random() * 1000)::numeric(10, 2),
        'tags', (array['["web"]', '["web", "gift"]', '["phone"]', '["web", "fraud-check"]'])[1 + (random() * random() * 3.2)::int]::jsonb,
        'note', repeat('n', 150)),
    timestamptz '2024-06-01' + g * interval '2 minutes'
from generate_series(1, 150000) g;
""",
    statements=(
        Called(
            "by_number",
            "select * from orders where doc ->> 'number' = {number}",
            ({"number": "R004711"}, {"number": "R123456"}, {"number": "R999999"}),
            10,
        ),
        Called(
            "of_customer",
            "select id, doc ->> 'number' from orders where doc #>> '{customer,email}' = {email} order by received_at desc limit 20",
            ({"email": "user0@example.org"}, {"email": "user20000@example.org"}),
            6,
        ),
        Called(
            "waiting",
            "select id, received_at from orders where doc @> {what} order by received_at limit 50",
            (
                {"what": {"state": "payment"}},
                {"what": {"state": "canceled", "customer": {"vip": True}}},
            ),
            5,
        ),
        Called(
            "fraud",
            "select count(*) from orders where doc -> 'tags' ? {tag}",
            ({"tag": "fraud-check"}, {"tag": "none"}),
            3,
        ),
        Called(
            "large",
            "select id from orders where (doc ->> 'total')::numeric > {least} order by (doc ->> 'total')::numeric desc limit 20",
            ({"least": 900}, {"least": 990}),
            3,
        ),
    ),
    expert=(
        "create index on orders ((doc ->> 'number'))",
        "create index on orders ((doc #>> '{customer,email}'), received_at)",
        "create index on orders using gin (doc jsonb_path_ops)",
        "create index on orders using gin ((doc -> 'tags'))",
        "create index on orders (((doc ->> 'total')::numeric))",
    ),
)
