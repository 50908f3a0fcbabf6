"""The best rows of each group, the newest of each device, and ranks: window functions, LATERAL and DISTINCT ON."""

from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="top_sellers",
    about="greatest-n-per-group in its spellings over 500,000 sales, with few categories and many products",
    schema="""
create table categories (id int primary key, name text not null);
create table products (id int primary key, category_id int not null, name text not null, price numeric not null);
create table sales (
    id bigint primary key, product_id int not null, sold_at timestamptz not null, amount numeric not null, channel text not null,
    returned boolean
);
""",
    load="""
select setseed(0.45);
insert into categories select g, 'category ' || g from generate_series(1, 40) g;
insert into products
select g, 1 + (power(random(), 2) * 39)::int, 'product ' || g, (random() * random() * 500)::numeric(8, 2) from generate_series(1, 20000) g;
insert into sales
select g, 1 + (power(random(), 3) * 19999)::int, timestamptz '2024-01-01' + g * interval '1 minute', (random() * 100)::numeric(8, 2),
    (array['web', 'web', 'web', 'shop', 'partner'])[1 + (random() * 4)::int],
    case when random() < 0.01 then true when random() < 0.5 then false end
from generate_series(1, 500000) g;
""",
    statements=(
        Called(
            "dearest",
            "select c.name, p.id, p.price from categories c cross join lateral (select id, price from products"
            " where category_id = c.id order by price desc limit 3) p",
            calls=4,
        ),
        Called(
            "latest",
            "select distinct on (product_id) product_id, sold_at, amount from sales where product_id in ({a}, {b}, {c})"
            " order by product_id, sold_at desc",
            ({"a": 1, "b": 500, "c": 19000}, {"a": 12000, "b": 13000, "c": 14000}),
            6,
        ),
        Called(
            "ranked",
            "select * from (select product_id, amount, row_number() over (partition by product_id order by amount desc, id) as rank"
            " from sales where product_id between {low} and {high}) r where rank <= 3",
            ({"low": 15000, "high": 15020}, {"low": 7000, "high": 7005}),
            4,
        ),
        Called(
            "returned",
            "select id, product_id, amount from sales where returned is true and sold_at >= {since} order by sold_at desc limit 100",
            ({"since": "2024-11-01"}, {"since": "2024-06-01"}),
            4,
        ),
        Called(
            "last_sale",
            "select max(sold_at) from sales where product_id = {product} and channel = {channel}",
            ({"product": 1, "channel": "partner"}, {"product": 18000, "channel": "web"}),
            8,
        ),
        Called(
            "week",
            "with week as (select product_id, sum(amount) as total from sales where sold_at >= {a} and sold_at < {b} group by product_id)"
            " select p.name, w.total from week w join products p on p.id = w.product_id order by w.total desc limit 10",
            ({"a": "2024-05-01", "b": "2024-05-02"}, {"a": "2024-09-01", "b": "2024-09-02"}),
            3,
        ),
    ),
    expert=(
        "create index on products (category_id, price desc)",
        "create index on sales (product_id, sold_at desc) include (amount)",
        "create index on sales (product_id, channel, sold_at)",
        "create index on sales (sold_at) where returned is true",
        "create index on sales (sold_at)",
    ),
)
