"""What Hibernate sends: outer joins, lists of identifiers, states that are not final, and texts in any case."""

from tests.bench.index_advice.wild.wild_case import Called, Wild

CASE = Wild(
    name="erp_lists",
    about="Hibernate: fetch by IN of thirty keys, left joins, status <> 'DONE', exists, upper(name) like a prefix, pages with a count",
    schema="""
create table customer (id bigint primary key, name varchar(100) not null, vat_id varchar(20), region varchar(10) not null);
create table sales_order (
    id bigint primary key, customer_id bigint not null references customer, status varchar(20) not null, ordered_on date not null,
    promised_on date, total numeric(12, 2) not null, version int not null
);
create table order_line (
    id bigint primary key, order_id bigint not null references sales_order, product_id bigint not null, quantity int not null,
    price numeric(12, 2) not null, text varchar(200)
);
""",
    load="""
select setseed(0.35);
insert into customer
select g, initcap(substr(md5((g * 3)::text), 1, 6)) || ' ' || (array['GmbH', 'AG', 'Ltd', 'Inc'])[1 + g % 4],
    case when random() < 0.6 then 'DE' || lpad((g * 7919::bigint % 100000000)::text, 9, '0') end,
    (array['NORTH', 'NORTH', 'SOUTH', 'EAST', 'WEST'])[1 + (random() * 4)::int]
from generate_series(1, 40000) g;
insert into sales_order
select g, 1 + (power(random(), 2) * 39999)::int, case when g < 195000 then (case when random() < 0.999 then 'DONE' else 'OPEN' end)
    else (array['OPEN', 'PICKING', 'SHIPPED', 'DONE'])[1 + (random() * 3)::int] end,
    date '2020-01-01' + g / 110, date '2020-01-15' + g / 110, (random() * random() * 5000)::numeric(12, 2), 1
from generate_series(1, 200000) g;
insert into order_line
select g, 1 + (g * 7919::bigint) % 200000, 1 + (power(random(), 3) * 5000)::int, 1 + (random() * 9)::int, (random() * 100)::numeric(12, 2),
    case when random() < 0.1 then repeat('t', 60) end
from generate_series(1, 600000) g;
""",
    statements=(
        Called(
            "lines",
            "select l1_0.order_id, l1_0.id, l1_0.price, l1_0.product_id, l1_0.quantity, l1_0.text from order_line l1_0"
            " where l1_0.order_id in ({a}, {b}, {c}, {d}, {e}, {f}, {g}, {h})",
            tuple(
                {n: 1000 * k + 37 * i for i, n in enumerate("abcdefgh", 1)} for k in (1, 50, 180)
            ),
            10,
        ),
        Called(
            "open_orders",
            "select so1_0.id, so1_0.ordered_on, c1_0.name, so1_0.total from sales_order so1_0 left join customer c1_0"
            " on c1_0.id = so1_0.customer_id where so1_0.status <> 'DONE' and so1_0.promised_on < {today}"
            " order by so1_0.promised_on, so1_0.id fetch first 50 rows only",
            ({"today": "2025-01-01"}, {"today": "2025-01-10"}),
            6,
        ),
        Called(
            "of_customer",
            "select so1_0.id, so1_0.ordered_on, so1_0.status, so1_0.total from sales_order so1_0"
            " where so1_0.customer_id = {customer} order by so1_0.ordered_on desc offset {skip} rows fetch first {n} rows only",
            ({"customer": 1, "skip": 0, "n": 20}, {"customer": 30000, "skip": 0, "n": 20}),
            10,
        ),
        Called(
            "by_name",
            "select c1_0.id, c1_0.name, c1_0.vat_id from customer c1_0 where upper(c1_0.name) like upper({prefix})"
            " order by c1_0.name fetch first 20 rows only",
            ({"prefix": "a87f%"}, {"prefix": "Cf%"}),
            8,
        ),
        Called(
            "sold",
            "select count(*) from customer c where c.region = {region} and exists (select 1 from sales_order o join order_line l"
            " on l.order_id = o.id where o.customer_id = c.id and l.product_id = {product})",
            ({"region": "SOUTH", "product": 4000}, {"region": "EAST", "product": 4800}),
            2,
        ),
        Called(
            "revenue",
            "select c.region, sum(o.total), count(distinct o.customer_id) from sales_order o join customer c on c.id = o.customer_id"
            " where o.ordered_on >= {a} and o.ordered_on < {b} group by c.region",
            ({"a": "2024-11-01", "b": "2024-11-08"}, {"a": "2022-05-01", "b": "2022-05-15"}),
            3,
        ),
        Called(
            "ship",
            "update sales_order set status = {status}, version = {next} where id = {id} and version = {version}",
            ({"status": "SHIPPED", "next": 2, "id": 196000, "version": 1},),
            10,
        ),
    ),
    expert=(
        "create index on order_line (order_id)",
        "create index on order_line (product_id, order_id)",
        "create index on sales_order (promised_on, id) where status <> 'DONE'",
        "create index on sales_order (customer_id, ordered_on)",
        "create index on sales_order (ordered_on)",
        "create index on customer (upper(name) text_pattern_ops)",
    ),
)
