"""The remedies that are tried: a load, the rule that is expected to find it, and what is different in the data."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Load:
    """A statement, and a query whose rows are its parameters: rows as frequent as in the data."""

    sql: str
    draw: str = "select generate_series(1, 1000) where false"
    calls: int = 40


@dataclass(frozen=True, slots=True)
class Case:
    """What is run on a copy of the shop. ``before`` changes it first."""

    name: str
    rules: tuple[str, ...]
    loads: tuple[Load, ...]
    before: str = ""
    settings: str = ""
    measures_reuse: bool = False
    instead: str = ""  # what a comment in the remedy suggests, which a program cannot choose


def _index(name: str, *loads: Load, before: str = "", settings: str = "") -> Case:
    return Case(name, ("index-missing",), loads, before, settings)


_CUSTOMER = "select customer_id from orders order by random()"
_WRITES = Load(
    "insert into orders select 300000 + nextval('more'), %s, 'open', now(), null, 1, md5(random()::text), 'n'",
    _CUSTOMER,
    4000,
)

CASES = (
    _index("equality", Load("select id, note from orders where customer_id = %s", _CUSTOMER)),
    _index(
        "equality and range, few columns",
        Load(
            "select sum(total) from orders where customer_id = %s and placed_at >= %s",
            "select customer_id, placed_at from orders order by random()",
        ),
    ),
    _index(
        "range",
        Load(
            "select sum(seconds) from events where at between %s and %s",
            "select at, at + interval '1 day' from events order by random()",
        ),
    ),
    _index(
        "two columns that depend on each other",
        Load(
            "select sum(seconds) from events where tenant_id = %s and kind = %s",
            "select tenant_id, kind from events order by random()",
        ),
    ),
    _index(
        "rare NULL (partial)",
        Load(
            "select id, note from orders where shipped_at is null and placed_at < %s order by placed_at desc limit 20",
            "select placed_at from orders order by random()",
        ),
    ),
    _index(
        "skewed status, newest first",
        Load(
            "select id, note from orders where status = %s order by placed_at desc limit 20",
            "select status from orders order by random()",
        ),
    ),
    _index(
        "newest rows",
        Load(
            "select id, note from orders order by placed_at desc limit %s",
            "select 10 + floor(50 * random())::int from orders order by random()",
        ),
    ),
    _index(
        "newest rows of a customer",
        Load(
            "select id, note from orders where customer_id = %s order by placed_at desc limit 10",
            _CUSTOMER,
        ),
    ),
    _index(
        "sort by two columns",
        Load(
            "select id from orders where total > %s order by total, placed_at limit 30",
            "select total from orders order by random()",
        ),
    ),
    _index(
        "expression",
        Load(
            "select id, city from customers where lower(email) = %s",
            "select lower(email) from customers order by random()",
        ),
    ),
    _index(
        "join to the larger table",
        Load(
            "select o.total, i.product_id, i.quantity from orders o join items i on i.order_id = o.id where o.id = %s",
            "select id from orders order by random()",
        ),
    ),
    _index(
        "join from both sides",
        Load(
            "select o.id, sum(i.quantity) from orders o join items i on i.order_id = o.id where o.customer_id = %s group by o.id",
            _CUSTOMER,
        ),
    ),
    _index(
        "either of two conditions",
        Load(
            "select count(note) from orders where customer_id = %s or reference = %s",
            "select o.customer_id, p.reference from orders o join orders p on p.id = 1 + o.id / 2 order by random()",
        ),
    ),
    _index(
        "list of values",
        Load(
            "select sum(price) from items where product_id = any(array[%s, %s, %s]::int[])",
            "select product_id, 1 + product_id / 2, 5000 - product_id / 3 from items order by random()",
        ),
    ),
    _index(
        "greatest value of a group",
        Load(
            "select max(at) from events where tenant_id = %s",
            "select tenant_id from events order by random()",
        ),
    ),
    _index(
        "aggregate of a period by status",
        Load(
            "select status, count(*) from orders where placed_at >= %s group by status",
            "select placed_at from orders where placed_at > now() - interval '30 days' order by random()",
        ),
    ),
    _index(
        "self-join of a hierarchy",
        Load(
            "select c.id, p.city from customers c join customers p on p.id = c.parent_id where c.parent_id = %s",
            "select parent_id from customers where parent_id is not null order by random()",
        ),
    ),
    _index(
        "skewed value, many of its rows returned",
        Load(
            "select id, total from orders where status = %s",
            "select status from orders order by random()",
        ),
    ),
    _index(
        "skewed value, all of its rows added up",
        Load(
            "select sum(total) from orders where status = %s",
            "select status from orders order by random()",
        ),
    ),
    _index(
        "skewed tenant, all of its rows read",
        Load(
            "select count(body) from events where tenant_id = %s",
            "select tenant_id from events order by random()",
        ),
    ),
    _index(
        "wide range, rows returned",
        Load(
            "select id, seconds, body from events where at between %s and %s",
            "select at, at + interval '40 days' from events where id < 90000 order by random()",
        ),
    ),
    _index(
        "wide range, rows added up",
        Load(
            "select sum(seconds), count(body) from events where at between %s and %s",
            "select at, at + interval '40 days' from events where id < 90000 order by random()",
        ),
    ),
    _index(
        "skewed join, scattered rows",
        Load(
            "select sum(i.quantity * o.total) from items i join orders o on o.id = i.order_id where i.product_id = %s",
            "select product_id from items order by random()",
        ),
    ),
    _index(
        "conditions on both sides of a join",
        Load(
            "select count(o.note) from orders o join customers c on c.id = o.customer_id where c.city = %s and o.status = %s",
            "select c.city, o.status from orders o join customers c on c.id = o.customer_id order by random()",
            20,
        ),
    ),
    _index(
        "window over all rows",
        Load(
            "select customer_id, id, row_number() over (partition by customer_id order by total desc, placed_at) from orders "
            "order by 3 desc, 1 limit %s",
            "select 10 + floor(50 * random())::int from generate_series(1, 100)",
            10,
        ),
    ),
    _index(
        "not exists",
        Load(
            "select count(*) from customers c where c.created_at > %s and not exists (select 1 from orders o where o.customer_id = c.id)",
            "select created_at from customers where id < 1000 order by random()",
            20,
        ),
    ),
    _index(
        "update without an index on its key",
        Load(
            "update orders set status = 'returned' where reference = %s",
            "select reference from orders order by random()",
        ),
    ),
    _index(
        "delete by age",
        Load(
            "delete from events where at < %s",
            "select at from events where id <= (select min(id) + 400 from events) order by at",
        ),
    ),
    _index(
        "read and written",
        Load("select count(note) from orders where customer_id = %s", _CUSTOMER),
        _WRITES,
        before="create sequence more",
    ),
    _index(
        "jsonb containment (GIN)",
        Load(
            "select count(*) from events where payload @> %s::jsonb",
            "select jsonb_build_object('user', payload -> 'user')::text from events order by random()",
        ),
    ),
    _index(
        "array containment (GIN)",
        Load(
            "select count(*) from events where tags @> array[%s]",
            "select tags[1] from events order by random()",
        ),
    ),
    Case(
        "sort that spills (work_mem)",
        ("query-temp-spill",),
        (
            Load(
                "select count(*) from (select id, total from orders where placed_at > %s order by total, note offset 0) as o",
                "select placed_at from orders where id < 100000 order by random()",
                20,
            ),
        ),
        settings="work_mem = '1MB'",
    ),
    Case(
        "JIT of short statements",
        ("query-jit-overhead",),
        (
            Load(
                "select status, count(*), sum(total), avg(total) from orders where customer_id between %s and %s group by status",
                "select customer_id, (customer_id + 100)::int from orders order by random()",
            ),
        ),
        settings="jit = on; jit_above_cost = 1000; jit_optimize_above_cost = 2000; jit_inline_above_cost = 2000",
    ),
    Case(
        "foreign key without an index",
        ("index-missing-fk",),
        (
            Load(
                "delete from customers where id = %s",
                "select id from customers where not exists (select 1 from orders where customer_id = customers.id) order by random()",
            ),
        ),
        before="alter table orders add foreign key (customer_id) references customers",
    ),
    Case(
        "unused index",
        ("index-unused",),
        (_WRITES,),
        before="create sequence more; create index orders_unused on orders (reference, note)",
    ),
    Case(
        "duplicate index",
        ("index-duplicate",),
        (_WRITES,),
        before="create sequence more; create index orders_one on orders (customer_id); create index orders_two on orders (customer_id)",
    ),
    Case(
        "redundant index",
        ("index-redundant",),
        (_WRITES,),
        before="create sequence more; create index orders_one on orders (customer_id); create index orders_two on orders (customer_id, placed_at)",
    ),
    Case(
        "bloated index",
        ("index-bloat",),
        (
            Load(
                "select count(*) from items where order_id = %s",
                "select order_id from items order by random()",
                400,
            ),
        ),
        before="create index items_order on items (order_id); update items set order_id = order_id + 1; vacuum items; "
        "delete from items where order_id % 10 <> 0; vacuum analyze items",
    ),
    Case(
        "bloated table",
        ("table-bloat",),
        (
            Load(
                "select sum(quantity) from items where price > %s",
                "select price from items order by random()",
                20,
            ),
        ),
        before="delete from items where order_id % 10 <> 0; vacuum analyze items",
        instead="vacuum full items",
    ),
    Case(
        "dead rows",
        ("vacuum-dead-tuples",),
        (
            Load(
                "select sum(quantity) from items where price > %s",
                "select price from items order by random()",
                20,
            ),
        ),
        before="alter table items set (autovacuum_enabled = off); update items set quantity = quantity + 1",
        measures_reuse=True,
    ),
)
