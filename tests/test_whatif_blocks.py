"""The blocks that a call is promised to touch, beside those that it touches once the index is built."""

import math
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from pgwatch_wed.sqltext.plan_trees import walk
from pgwatch_wed.whatif import usage
from pgwatch_wed.whatif.catalog import BeginningsSeen
from pgwatch_wed.whatif.choose import (
    beginnings,
    candidates,
    computed,
    counted_blocks,
    dependent,
    late,
    least,
    memberships,
    overlaps,
    precedence,
    sorted_whole,
    stored,
    without_value,
    writes,
)
from pgwatch_wed.whatif.choose.costs import Costs
from pgwatch_wed.whatif.choose.gains import Gains
from pgwatch_wed.whatif.choose.indexable import CandidateOptions
from pgwatch_wed.whatif.choose.time_left import TimeLeft
from pgwatch_wed.whatif.choose.touched import Touched
from pgwatch_wed.whatif.choose.written_blocks import most_written
from pgwatch_wed.whatif.lab import source
from pgwatch_wed.whatif.lab.lab import Lab
from pgwatch_wed.whatif.model import Candidate, Key, Plan
from pgwatch_wed.whatif.oracle import IndexShape
from tests import servers
from tests.planning import query
from tests.psql import psql

pytestmark = pytest.mark.pg("== 18")  # the lab's own major

# Orders come in the order of time; those of a customer are scattered, and few are open.
SHOP = """
create table orders (id int primary key, customer int not null, at timestamptz not null, is_open bool not null, note text not null);
insert into orders select g, g * 7919::bigint % 500, timestamptz '2024-01-01' + g * interval '1 minute', g % 200 = 7, repeat('x', 150)
    from generate_series(1, 40000) g;
create table customers (id int primary key, city int not null);
insert into customers select g, g % 40 from generate_series(0, 499) g;
create table parts (id int primary key, within int, is_gone bool not null, note text not null, seen int);
insert into parts select g, nullif(g / 8, 0), g % 50 = 7, repeat('x', 100), case when g % 2 = 0 then g end from generate_series(1, 20000) g;
create table seats (hall int not null, number int not null, note text not null);
insert into seats select h, g, repeat('x', 100) from generate_series(1, 12) h, generate_series(1, 1500) g order by h, g;
create table codes (code text not null);
insert into codes select md5(g::text) from generate_series(1, 8000) g;
create table tagged (tags text[] not null, note text not null);
insert into tagged select array['t' || g % 1000, 't' || (g * 7919 + 13) % 1000], repeat('x', 300) from generate_series(1, 20000) g;
create table drawn (customer int not null);
insert into drawn select case when g % 2 = 0 then g % 100 else 1 end from generate_series(1, 5000) g;
create table visits (customer int references customers, at int);
create function noted() returns trigger language plpgsql as 'begin return new; end';
create table watched (id int);
create trigger noted after update on watched for each row execute function noted();
create table stays (at date not null, note text) partition by range (at);
create table stays_1 partition of stays for values from ('2024-01-01') to ('2024-02-01');
create table stays_2 partition of stays for values from ('2024-02-01') to ('2024-03-01');
create table stays_3 partition of stays for values from ('2024-03-01') to ('2024-04-01');
create table stays_4 partition of stays for values from ('2024-04-01') to ('2024-05-01');
create table stays_5 partition of stays for values from ('2024-05-01') to ('2024-06-01');
create table stays_6 partition of stays for values from ('2024-06-01') to ('2024-07-01');
insert into stays select date '2024-01-01' + g / 5, case when g % 50 > 0 then 'note' end from generate_series(0, 900) g;
create table documents (body jsonb not null);
insert into documents select jsonb_build_object('group', g * 7919::bigint % 2000, 'at', g) from generate_series(1, 40000) g;
vacuum analyze documents;
create table coded (code text not null, filler text);
insert into coded select 'c' || g, repeat('x', 100) from generate_series(1, 9000) g;
create table jobs (at timestamptz not null, ended_at timestamptz, told_at timestamp, failed_on date, note text not null);
insert into jobs select at, case when g <= 15000 then at + interval '3 days' end, case when g > 5000 then at + interval '2 hours' end,
    case when g % 4 > 0 then at end, repeat('x', 100)
    from generate_series(1, 20000) g, lateral (select timestamptz '2024-01-01' + g * interval '30 minutes') t (at);
create table places (zip int not null, city int not null, state int not null, note text not null);
insert into places select z, z / 4, z / 20, repeat('x', 100)
    from (select g, g * 7919 % 500 as z from generate_series(1, 20000) g) as each;
create table shelves (path text not null, customer int not null, note text not null);
insert into shelves select '1/' || 10 + g % 30 || '/' || 100 + g % 900 || '/' || g, g % 500, repeat('x', 400) from generate_series(1, 20000) g;
vacuum analyze places;
create table posts (id int primary key, root int not null, kind int not null, deleted_at timestamptz, due_at timestamptz, note text not null);
insert into posts select g, case when g % 10 > 6 then g * 7919::bigint % 5000 else 0 end, g * 7919::bigint % 40, case when g < 5000 and g % 3 = 0 then at end,
    case when g % 100 = 0 then at end, repeat('x', 100)
    from generate_series(1, 20000) g, lateral (select timestamptz '2024-01-01' + g * interval '1 minute') t (at);
vacuum analyze posts;
create table networks (network inet not null, other inet not null);
insert into networks select network(set_masklen('1.0.0.0'::inet + g::bigint * 160000, 20 + g % 5)),
    set_masklen('1.0.0.0'::inet + (g::bigint * 7919 % 20000) * 160000, 20 + g % 5) from generate_series(1, 20000) g;
vacuum analyze networks;
vacuum analyze shelves;
create table spans (begun_at timestamptz not null, ended_at timestamptz not null, gone_at timestamptz);
insert into spans select at, at + case when g % 2000 = 0 then interval '90 days' else g % 20 * interval '1 hour' end, at + interval '1 day'
    from generate_series(1, 20000) g, lateral (select timestamptz '2024-01-01 00:00+00' + g * interval '10 minutes') t (at);
vacuum analyze spans;
vacuum analyze jobs;
vacuum analyze coded;
vacuum analyze stays;
vacuum analyze orders;
vacuum analyze customers;
vacuum analyze parts;
vacuum analyze seats;
vacuum analyze codes;
vacuum analyze drawn;
vacuum analyze tagged;
"""
CUSTOMER = Candidate("public", "orders", (Key.of("customer"),))
TIME = Candidate("public", "orders", (Key.of("at"),))
OPEN = Candidate("public", "orders", (Key.of("at"),), predicate="is_open")
COVERING = Candidate("public", "orders", (Key.of("customer"),), ("at",))
WITHIN = Candidate("public", "parts", (Key.of("within"),))
COVERED = Candidate("public", "orders", (Key.of("at"),), ("customer", "note"))
NEWEST = Candidate("public", "orders", (Key.of("customer"), Key.of("at")))
BEHIND = Candidate("public", "orders", (Key.of("customer"), Key.of("at"), Key.of("note")))
KEYS = Candidate("public", "documents", (Key.of("body"),), method="gin")
PATHS = Candidate("public", "documents", (Key.of("body", "jsonb_path_ops"),), method="gin")
PREFIX = Candidate("public", "coded", (Key.of("code", "text_pattern_ops"),))
SPAN = Candidate("public", "spans", (Key("(tstzrange(begun_at, ended_at))"),), method="gist")
SHELF = Candidate("public", "shelves", (Key.of("path", "text_pattern_ops"),))
STAY = Candidate("public", "stays", (Key.of("at"),))
UNNOTED = Candidate("public", "stays", (Key.of("at"),), predicate="note is null")
STATE = Candidate("public", "orders", (Key.of("is_open"),))
NUMBERED = Candidate("public", "orders", (Key.of("id"),), ("customer",))
PLACE = Candidate("public", "places", (Key.of("zip"), Key.of("city"), Key.of("state")))
NETWORK = Candidate("public", "networks", (Key.of("network", "inet_ops"),), method="gist")
OTHER = Candidate("public", "networks", (Key.of("other", "inet_ops"),), method="gist")
HASH = Candidate("public", "orders", (Key.of("at"),), method="hash")
BEHIND_STATE = Candidate("public", "orders", (Key.of("is_open"), Key.of("customer")))
IN_TIME = Candidate("public", "orders", (Key.of("customer"), Key.of("at")))
UNENDED = Candidate("public", "jobs", (Key.of("at"),), predicate="ended_at is null")
UNTOLD = Candidate("public", "jobs", (Key.of("at"),), predicate="told_at is null")
NOT_FAILED = Candidate("public", "jobs", (Key.of("at"),), predicate="failed_on is null")
SEAT = Candidate("public", "seats", (Key.of("hall"), Key.of("number")))
SEEN = Candidate("public", "parts", (Key.of("seen"),))
UNDELETED = Candidate("public", "posts", (Key.of("deleted_at"), Key.of("kind")))
DUE = Candidate("public", "posts", (Key.of("due_at"),), ("id",))
ROOT = Candidate("public", "posts", (Key.of("root"),))
CUSTOMER_LAST = Candidate("public", "orders", (Key.of("at"), Key.of("customer")))
CODE = Candidate("public", "codes", (Key.of("code"),))
TAGS = Candidate("public", "tagged", (Key.of("tags"),), method="gin")
LAST_SEEN = Candidate("public", "parts", (Key.of("within"), Key.of("seen")))
EVEN = Candidate("public", "orders", (Key("(customer % 2)"),))
COMPUTED = Candidate("public", "orders", (Key("(customer * 2)"),))
PARTS = """
    with recursive found as (select id, 1 as depth from parts where id = 5
        union all select p.id, f.depth + 1 from parts p join found f on p.within = f.id where not p.is_gone)
    select * from found
"""
DAY = "at >= '2024-01-10' and at < '2024-01-11'"
CASES = {
    "whole table": ("select count(*) from orders where note like '%y'", None),
    "scattered rows": ("select * from orders where customer = 11", CUSTOMER),
    "neighbors": (f"select * from orders where {DAY}", TIME),
    "a state among neighbors": (
        "select * from orders where is_open and at > '2024-01-14' and at < '2024-01-27'",
        OPEN,
    ),
    "a rare state, whose rows are anywhere": ("select * from orders where is_open", STATE),
    "nothing but the index": ("select at from orders where customer = 11", COVERING),
    "newest": ("select * from orders order by at desc limit 20", TIME),
    "newest of a materialized query": (
        "with o as materialized (select * from orders order by at desc limit 5000) select * from o limit 1",
        TIME,
    ),
    "newest by a value that is computed first, as for row security": (
        "select * from orders where customer = (select 11) order by at desc limit 20",
        NEWEST,
    ),
    "a customer's rows of some days, with those of others between them": (
        "select * from orders where customer = 11 and at > '2024-01-10' and at < '2024-01-19'",
        NEWEST,
    ),
    "newest of the last of six partitions": (
        "select * from stays order by at desc limit 3",
        STAY,
    ),
    "some of those that most rows are": (
        "select * from orders where at > '2024-01-05' order by customer limit 20",
        CUSTOMER,
    ),
    "many entries behind a key that is skipped": (
        "select customer from orders where customer between 100 and 300",
        BEHIND_STATE,
    ),
    "behind a key that is skipped": (
        "select * from orders where customer = 11 and note like '%x'",
        BEHIND_STATE,
    ),
    "a condition on an expression": (
        "select * from orders where customer * 2 = 22 and note like '%x'",
        COMPUTED,
    ),
    "a customer's first": (
        "select * from orders where customer = 11 and at > '2024-01-05' order by at limit 20",
        IN_TIME,
    ),
    "a range that comes first in the order": (
        "select * from orders where at >= '2024-01-27' order by id desc limit 20",
        None,
    ),
    "a range that comes last in the order": (
        "select * from orders where at >= '2024-01-27' order by id limit 20",
        None,
    ),
    "those without a value after all others": (
        "select * from (select * from parts order by seen) p where note like '%x'",
        SEEN,
    ),
    "those without a value, which are the newest": (
        "select * from jobs where ended_at is null order by at",
        UNENDED,
    ),
    "those without a value, which are the oldest": (
        "select * from jobs where told_at is null order by at",
        UNTOLD,
    ),
    "those without a value, which are anywhere": (
        "select * from jobs where failed_on is null order by at",
        NOT_FAILED,
    ),
    "one of few values, each with its rows in order": (
        "select * from seats where hall = 3 order by number limit 300",
        SEAT,
    ),
    "a subquery for each row that LIMIT returns": (
        "select c.*, (select count(*) from orders o where o.customer = c.id) from customers c order by c.id limit 3",
        CUSTOMER,
    ),
    "a subquery for each row that LIMIT returns of those of a group that may come late": (
        "select p.*, (select count(*) from customers c where c.city = p.kind) from posts p where p.kind = 7 order by p.id limit 10",
        None,
    ),
    "tables that are both read in an order until LIMIT": (
        "select * from orders o join parts p using (id) order by id limit 400",
        None,
    ),
    "a key that is unique, looked up where most rows have the value that stands for none": (
        "select p.id, (select count(*) from posts c where c.root = p.id and c.note like '%x') from posts p where p.id between 500 and 520",
        ROOT,
    ),
    "a range of a third of those that have a value": (
        "select id, due_at from posts where due_at <= '2024-01-05 15:00'",
        DUE,
    ),
    "those without a value, anywhere, of one kind": (
        "select * from posts where deleted_at is null and kind = 3",
        UNDELETED,
    ),
    "a subquery for each row that is compared with what it returns": (
        "select * from customers c where city = (select count(*) from orders o where o.customer = c.id)",
        CUSTOMER,
    ),
    "the last of each": (
        "select * from customers c where c.id < 90 and '2024-01-28' < (select max(o.at) from orders o where o.customer = c.id)",
        IN_TIME,
    ),
    "below a path that no bound of the histogram is below": (
        "select * from shelves where path like '1/12/102/%'",
        SHELF,
    ),
    "looked up for each row below a path": (
        "select o.* from shelves p join orders o on o.customer = p.customer where p.path like '1/12/102/%' and p.note <> 'y'",
        SHELF,
    ),
    "as often as the outer side has rows": (
        "select o.* from customers c join orders o on o.customer = c.id where c.id < 4",
        CUSTOMER,
    ),
}


@pytest.fixture(scope="module")
def shop(pg: servers.Server) -> Iterator[str]:
    with pg.database() as dsn:
        psql(dsn, SHOP)
        yield dsn


@pytest.fixture(scope="module")
def lab(shop: str) -> Iterator[Lab]:
    with source.open_lab(shop) as lab:
        lab.add(
            [
                CUSTOMER,
                TIME,
                OPEN,
                COVERING,
                WITHIN,
                STATE,
                HASH,
                BEHIND_STATE,
                IN_TIME,
                COMPUTED,
                SEEN,
                CODE,
                TAGS,
                LAST_SEEN,
                SEAT,
                UNENDED,
                UNTOLD,
                NOT_FAILED,
                UNDELETED,
                DUE,
                ROOT,
                CUSTOMER_LAST,
                EVEN,
                NEWEST,
                BEHIND,
                STAY,
                UNNOTED,
                COVERED,
                PREFIX,
                SHELF,
                SPAN,
                KEYS,
                PATHS,
                PLACE,
                NETWORK,
                OTHER,
            ]
        )
        yield lab


def measured(dsn: str, text: str, index: Candidate | None) -> float:
    """Return the blocks that a call touches with an index that is really built."""
    with psycopg.connect(dsn) as connection:
        if index is not None:
            connection.execute(index.ddl().encode())
        explain = f"explain (analyze, buffers, format json) {text}".encode()
        for _ in range(2):  # the first call reads catalogs
            row = connection.execute(explain).fetchone()
        assert row is not None
        connection.rollback()
        plan = row[0][0]["Plan"]
        return float(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


@pytest.mark.parametrize("name", CASES)
def test_promised_blocks_are_those_that_a_call_touches(lab: Lab, shop: str, name: str) -> None:
    text, index = CASES[name]
    plan = lab.plan(query(text), [] if index is None else [index])
    assert plan.used == (frozenset() if index is None else {index})
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting)
    promised, real = touched.blocks(plan.tree), measured(shop, text, index)
    assert real / 1.5 - 3 <= promised <= 1.5 * real + 3


def test_a_range_of_unknown_values_has_a_third_of_the_rows_that_have_one(lab: Lab) -> None:
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting)
    found = []
    for text in ("due_at <= $1", "due_at <= '2024-01-05 15:00'"):
        plan = lab.plan(query(f"select id, due_at from posts where {text}"), [DUE])
        assert plan.used == {DUE}
        found.append(touched.blocks(plan.tree))
    assert found[0] == pytest.approx(found[1], abs=2)


def test_rows_that_later_keys_exclude_may_be_those_that_limit_reads_first(lab: Lab) -> None:
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting)
    text = "select * from orders where customer = 11 order by at limit 5"
    plan = lab.plan(query(text), [CUSTOMER_LAST])
    assert plan.used == {CUSTOMER_LAST}
    assert "Filter" not in str(plan.tree)
    even, feared = (touched.blocks(plan.tree, is_even=each) for each in (True, False))
    # of 150 blocks of the index, in which a customer has 80 rows
    assert even + 3 < feared < 60


def test_a_value_beyond_all_others_is_looked_for_to_the_end(lab: Lab, shop: str) -> None:
    text = "select * from orders where customer = {} order by at limit 5"
    plans = [lab.plan(query(text.format(value)), [CUSTOMER_LAST]) for value in (1000, 400)]
    assert {plan.used for plan in plans} == {frozenset({CUSTOMER_LAST})}
    touched = Touched(
        lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting, lab.usual_values
    )
    beyond, within = (touched.blocks(plan.tree) for plan in plans)
    assert beyond == pytest.approx(measured(shop, text.format(1000), CUSTOMER_LAST), rel=0.1)
    assert within < beyond / 2


def test_rows_without_a_value_are_among_all_others_also_if_that_is_a_key(lab: Lab) -> None:
    posts = lab.catalog.by_name["public", "posts"]
    scan = {
        "Node Type": "Index Scan",
        "Alias": "posts",
        "Index Cond": "((posts.deleted_at IS NULL) AND (posts.kind = 3))",
    }
    shape = IndexShape(60, 20000, keys=("deleted_at", "kind"), texts=("deleted_at", "kind"))
    assert stored.heap_blocks(lab.catalog, posts, scan, shape, 450, 450) > 200
    # numbers follow the order of storage: those without one, such as what has yet to end, may be at its end
    parts = lab.catalog.by_name["public", "parts"]
    open_ = {**scan, "Alias": "parts", "Index Cond": "(parts.seen IS NULL)"}
    shape = IndexShape(60, 20000, keys=("seen",), texts=("seen",))
    assert stored.heap_blocks(lab.catalog, parts, open_, shape, 450, 450) < 50


@pytest.mark.parametrize(
    ("part", "reason"), [(0.5, "more values than rows in that time"), (0.99, "less than two bins")]
)
def test_where_rows_without_a_value_are_is_not_known(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, part: float, reason: str
) -> None:
    table = lab.catalog.by_name["public", "jobs"]
    column = table.columns["ended_at"]
    assert without_value.share_of_blocks(lab.catalog, table, column) == pytest.approx(
        0.25, abs=0.01
    )
    every = lab.catalog.times[table.oid, "at"]
    last = every.first + part * (every.last - every.first)
    own = replace(every, last=last)
    monkeypatch.setitem(lab.catalog.times, (table.oid, "ended_at"), own)
    assert without_value.share_of_blocks(lab.catalog, table, column) == 1, reason


TREE = tuple(f"top.d{n:02}.s{n * 397 % 400:03}.c{n}" for n in range(101))
CODES = tuple(f"978-{n * 9900:06}-{n % 10}" for n in range(101))
WORDS = tuple(f"{chr(97 + n // 10)}{chr(97 + n % 10)}nderson" for n in range(101))


@pytest.mark.parametrize(
    ("bounds", "condition", "least", "most"),
    [
        # 21 of the second of 4 labels, so 441 of the third
        (
            tuple(f"top.d{n // 5:02}.s{n}.c{n}" for n in range(101)),
            "<@ 'top.d07.s999'::ltree",
            44,
            47,
        ),
        (
            tuple(f"top.d{n // 5:02}.s{n}.c{n}" for n in range(101)),
            "<@ 'top.d07.s9.c9'::ltree",
            1,
            1,
        ),
        (TREE, "<@ 'top'::ltree", None, None),  # each bound is below it
        (CODES, "~~ '978-1234%'::text", 1.9, 2.1),  # ten of a digit, so 10,000 of four
        (WORDS, "~~ 'aandz%'::text", 5, 20),  # ten of a letter, but 20,000 of nine, not of five
        (WORDS, "~~ 'aand%s'::text", None, None),
        (WORDS[:50], "~~ 'aandz%'::text", None, None),  # the planner does not rely on so few
    ],
)
def test_how_many_rows_begin_with_something_is_told_by_how_many_beginnings_there_are(
    lab: Lab,
    monkeypatch: pytest.MonkeyPatch,
    bounds: tuple[str, ...],
    condition: str,
    least: float | None,
    most: float | None,
) -> None:
    table = lab.catalog.by_name["public", "shelves"]
    seen = BeginningsSeen(bounds, (), ())
    monkeypatch.setitem(lab.catalog.beginnings, (table.oid, "path"), seen)
    scan = {"Node Type": "Seq Scan", "Alias": "shelves", "Filter": f"(shelves.path {condition})"}
    found = beginnings.beginning(lab.catalog, table, scan)
    if least is None or most is None:
        assert found is None
    else:
        assert found is not None
        assert least <= found.share * table.rows <= most


def test_periods_that_overlap_the_latest_one_have_begun_shortly_before(lab: Lab, shop: str) -> None:
    def times(period: str, columns: str = "begun_at, spans.ended_at") -> tuple[float | None, float]:
        text = f"select * from spans where tstzrange(begun_at, ended_at) {period}"
        plan = lab.plan(query(text), [SPAN])
        scan = next(n for n in walk(plan.tree) if "Index Cond" in n)
        known = {
            **scan,
            "Index Cond": scan["Index Cond"].replace("begun_at, spans.ended_at", columns),
        }
        rows = float(scan["Plan Rows"])
        table = lab.catalog.by_name["public", "spans"]
        return overlaps.times_overlapping(lab.catalog, table, known, rows), rows

    last = "2024-05-18 21:20:00+00"  # of those that begin
    for period in (f"&& tstzrange('{last}', '2024-05-19')", f"@> timestamptz '{last}'"):
        with psycopg.connect(shop) as connection:
            asked = f"select count(*) from spans where tstzrange(begun_at, ended_at) {period}"
            row = connection.execute(asked.encode()).fetchone()
        assert row is not None
        found, rows = times(period)
        assert rows > 2 * row[0], "the planner spreads the latest ones over 90 days"
        assert found is not None
        assert row[0] / 1.5 < found * rows < 1.5 * row[0]
    # in the middle, the planner knows; where one may not have ended, when it begins does not tell
    assert times("&& tstzrange('2024-03-01', '2024-03-02')")[0] is None
    assert times(f"@> timestamptz '{last}'", "begun_at, spans.gone_at")[0] is None
    assert times(f"@> timestamptz '{last}'", "begun_at, spans.begun_at")[0] is None


@pytest.mark.parametrize(
    ("pattern", "blocks"), [("top.*.blue", 205), ("*.blue", 205), ("top.d3.*", 10), ("top.d3", 10)]
)
def test_a_pattern_of_a_path_reads_all_pages_unless_it_begins_with_labels(
    lab: Lab, pattern: str, blocks: float
) -> None:
    shape = IndexShape(200.0, 20000.0, "gist")
    touched = Touched(lab.catalog, lab.rows_in_order, lambda _name: shape)
    condition = f"(shelves.path ~ '{pattern}'::lquery)"
    table = {"Schema": "public", "Relation Name": "shelves", "Alias": "shelves", "Plan Rows": 4}
    named = {"Index Name": "i", "Index Cond": condition}
    index = {"Node Type": "Bitmap Index Scan", **named, "Plan Rows": 4, "Total Cost": 12.0}
    tree = {"Node Type": "Bitmap Heap Scan", **table, "Recheck Cond": condition}
    assert touched.blocks({**tree, "Plans": [index]}) == pytest.approx(blocks, abs=4)
    scan = {"Node Type": "Index Scan", **table, **named}
    if blocks > 100:
        known = Touched(lab.catalog, lambda _: 4.0, lambda _name: shape)
        assert known.blocks(scan) == pytest.approx(blocks, abs=4)


def learned(lab: Lab, text: str, *indexes: Candidate) -> Plan:
    plan = lab.plan(query(text), indexes)
    computed.learn(lab, plan.tree)
    return plan


def test_values_tell_how_many_rows_meet_a_condition_on_their_bits(lab: Lab, shop: str) -> None:
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting)
    # of forty values, the planner expects a hundred rows of 20,000 to meet the one, and nearly all the other
    for condition in ("kind & 63 = 63", "kind & 64 <> 0"):
        text = f"select * from posts where {condition} order by id limit 20"
        plan = learned(lab, text)
        assert touched.blocks(plan.tree) == pytest.approx(measured(shop, text, None), rel=0.1)
        costs = Costs(lab, TimeLeft(20.0, lambda: 0.0), guard=True)
        costs.begin(query(text), plan)
        assert costs.total > 4 * plan.cost


def test_what_an_index_told_of_bits_is_not_corrected(lab: Lab) -> None:
    bits = Candidate("public", "posts", (Key("(kind & 63)"),))
    lab.add([bits])
    table = lab.catalog.by_name["public", "posts"]
    text = "select * from posts where kind & 63 <> 40 order by note || note"
    scans = [
        next(n for n in walk(learned(lab, text, *some).tree) if "Filter" in n)
        for some in ((), (bits,))
    ]
    assert scans[0]["Plan Rows"] == pytest.approx(19900, abs=10)
    assert computed.times_filtered(lab.catalog, table, scans[0], 20000) > 1
    assert computed.times_filtered(lab.catalog, table, {**scans[0], "Plan Rows": 900}, 20000) == 1
    assert computed.times_filtered(lab.catalog, table, scans[1], 15000) == 1


def test_an_index_of_rows_with_a_bit_is_tried_with_as_many_rows_as_have_it(lab: Lab) -> None:
    plan = learned(lab, "select * from posts where root = 7 and kind & 32 <> 0 order by id")
    (use,) = usage.uses(plan.tree, lab.catalog)
    found = candidates.candidates(use, lab.catalog, CandidateOptions())
    partial = [i for i in found if " & " in i.predicate]
    assert {tuple(k.text for k in i.keys) for i in partial} >= {("root",), ("root", "id")}
    lab.add(partial[:1])
    plan = lab.plan(query("select * from posts where root = 7 and kind & 32 <> 0"), partial[:1])
    assert plan.used
    (name,) = (n["Index Name"] for n in walk(plan.tree) if "Index Name" in n)
    shape = lab.index_shape(name)
    assert shape is not None
    assert shape.rows == pytest.approx(4000, rel=0.05)  # eight of forty values
    # what most rows have is no predicate, nor is a condition whose values are too many
    for condition in ("kind & 31 <> 0", "root & 32 <> 0"):
        plan = learned(lab, f"select * from posts where due_at > '2024-01-01' and {condition}")
        (use,) = usage.uses(plan.tree, lab.catalog)
        every = candidates.candidates(use, lab.catalog, CandidateOptions())
        assert not [i for i in every if " & " in i.predicate]


def test_common_values_that_begin_with_it_are_known(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = lab.catalog.by_name["public", "shelves"]
    seen = BeginningsSeen(CODES, ("978-123456-7", "978-999999-9"), (0.1, 0.2))
    monkeypatch.setitem(lab.catalog.beginnings, (table.oid, "path"), seen)
    scan = {"Node Type": "Seq Scan", "Filter": "(shelves.path ~~ '978-1234%'::text)"}
    found = beginnings.beginning(lab.catalog, table, scan)
    assert found is not None
    assert found.share == pytest.approx(0.1001, abs=0.0001)
    assert found.times == pytest.approx(1, abs=0.01)  # the planner knows them, too


def test_a_partial_index_of_a_partitioned_table_has_the_rows_of_its_predicate(lab: Lab) -> None:
    plan = lab.plan(query("select * from stays where note is null order by at limit 3"), [UNNOTED])
    names = [node["Index Name"] for node in walk(plan.tree) if "Index Name" in node]
    assert names
    for name in names:
        shape = lab.index_shape(name)
        assert shape is not None
        assert shape.rows == pytest.approx(19, abs=4)  # each fiftieth, rounded in each partition


def test_a_hash_is_not_descended(lab: Lab, shop: str) -> None:
    text = "select * from orders where at = '2024-01-10 00:07'"
    plan = lab.plan(query(text), [HASH])
    assert plan.used == {HASH}
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting)
    assert touched.blocks(plan.tree) == pytest.approx(measured(shop, text, HASH), abs=0.2)


def test_a_list_is_searched_for_only_if_the_keys_before_it_are_given(lab: Lab) -> None:
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting)
    for condition, searches in (
        ("customer = 11 and note in ('a', 'b', 'c', 'd', 'e', 'f', 'g')", 1),
        ("customer in (1, 2, 3, 4, 5, 6, 7) and at = '2024-01-10'", 7),
    ):
        plan = lab.plan(query(f"select customer, at, note from orders where {condition}"), [BEHIND])
        assert plan.used == {BEHIND}
        assert "ANY" in str(plan.tree)
        assert 2 * searches <= touched.blocks(plan.tree) <= 3 * searches + 3


def test_rows_that_were_counted_replace_those_that_the_planner_guesses(lab: Lab) -> None:
    # a third of the table, as far as the planner knows
    plan = lab.plan(query("select * from orders where at > $1"), [TIME])
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting)
    assert touched.blocks(plan.tree, counted=20) < 10 < 200 < touched.blocks(plan.tree)


def test_as_many_rows_are_fetched_as_all_calls_returned(lab: Lab) -> None:
    asked = query(
        "select * from orders where customer = $1 and at > $2 and at < $3 order by at limit 20"
    )
    plan = lab.plan(asked, [CUSTOMER])
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting)
    assert touched.blocks(plan.tree, counted=200.0) >= 200 > 2 * touched.blocks(plan.tree)


@pytest.mark.parametrize(
    "columns", ["o.note from", "o.id, count(*) from"], ids=("joined", "grouped")
)
def test_a_join_begins_with_as_many_rows_as_it_returned(lab: Lab, columns: str) -> None:
    grouped = " group by o.id" * ("count" in columns)
    text = (
        f"select {columns} customers c join orders o on o.customer = c.id where c.id < 4{grouped}"
    )
    plan = lab.plan(query(text), [CUSTOMER])
    assert plan.used == {CUSTOMER}
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting)
    # as if the planner, which expects the orders of 4 customers, had assumed another value than the one whose were returned
    assert 70 < touched.blocks(plan.tree, counted=80.0) < 100 < 250 < touched.blocks(plan.tree)


@pytest.mark.parametrize(
    ("joins", "order", "looked_up"),
    [
        ("customers c on c.id = o.customer and c.city <> 3", "c.city", 1),
        ("customers c on c.id = o.customer left join parts p on p.id = o.id", "c.city, p.seen", 2),
        ("parts p on p.within = o.customer", "p.seen", 0),  # there are several for each
    ],
)
def test_counted_rows_are_the_least_that_drive_a_loop_that_looks_one_row_up_each(
    lab: Lab, joins: str, order: str, looked_up: int
) -> None:
    text = f"select o.note from orders o join {joins} where o.at = $1 order by {order} limit 100"
    plan = lab.plan(query(text), [TIME, WITHIN])
    assert TIME in plan.used
    assert plan.tree["Node Type"] == "Limit"
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting)
    one = touched.blocks(plan.tree)  # it begins with one row, as far as the planner knows
    assert touched.blocks(plan.tree, counted=0.5) == one
    counted = touched.blocks(plan.tree, counted=14.5)
    if looked_up:
        assert one <= 3 * (1 + looked_up)
        assert 14.5 * 2 * looked_up < counted < 14.5 * 3 * (1 + looked_up)
    else:
        assert counted == one


def test_rows_that_exists_keeps_may_come_last(lab: Lab, shop: str) -> None:
    """Only the first parts have others within them; the planner expects those that have to be anywhere."""
    text = (
        "select * from parts p where {} (select from parts q where q.within = p.id and q.is_gone)"
        " order by p.id desc limit 20"
    )
    plan = lab.plan(query(text.format("exists")), [WITHIN])
    assert plan.used == {WITHIN}
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting)
    even, promised = touched.blocks(plan.tree, is_even=True), touched.blocks(plan.tree)
    assert 2 * even < promised < measured(shop, text.format("exists"), WITHIN)
    most = lab.plan(query(text.format("not exists")), [WITHIN])
    assert touched.blocks(most.tree) == touched.blocks(most.tree, is_even=True)


@pytest.mark.parametrize("limit", ["", " limit 100"])
def test_values_that_hardly_meet_by_chance_depend_on_each_other(
    lab: Lab, shop: str, limit: str
) -> None:
    """All rows of a zip are of a city and a state, where the planner expects one."""
    text = f"select * from places where zip = 77 and city = 19 and state = 3{limit}"
    plan = lab.plan(query(text), [PLACE])
    assert plan.used == {PLACE}
    assert plan.tree["Plan Rows"] == 1
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting)
    assert 6 < touched.blocks(plan.tree) < measured(shop, text, PLACE)
    assert touched.blocks(plan.tree, counted=1.0) < 5
    table = lab.catalog.by_name["public", "places"]
    (scan,) = (node for node in walk(plan.tree) if "Index Cond" in node)
    fewer = {**scan, "Index Cond": "((places.zip = 77) AND (places.state = 3))"}  # four by chance
    assert dependent.times_least(fewer, table, 1.0, lab.catalog) == 1
    assert dependent.times_least(scan, table, 2.0, lab.catalog) == 1


@pytest.mark.parametrize(("index", "times"), [(NETWORK, 2.0), (OTHER, 1.5)])
def test_pages_of_networks_that_came_in_order_overlap(
    lab: Lab, shop: str, index: Candidate, times: float
) -> None:
    text = f"select * from networks where {index.keys[0].text} >>= inet '11.22.33.44'"
    plan = lab.plan(query(text), [index])
    assert plan.used == {index}
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting)
    promised, real = touched.blocks(plan.tree), measured(shop, text, index)
    assert (real > 4) is (index == NETWORK)
    assert real / times - 1 <= promised <= times * real + 1
    assert (promised > 6) is (index == NETWORK)


def test_a_loop_over_many_values_reads_what_they_take_on_average(lab: Lab) -> None:
    """The middle is that of one; but of many, those that come late take most."""
    even, last = 0.004, 1.0
    parts = [even ** (1 - (n + 0.5) / 1000) * last ** ((n + 0.5) / 1000) for n in range(1000)]
    mean = sum(parts) / len(parts)
    assert late.part_of_many(even, 0.0, 1.0) == pytest.approx(mean, rel=0.01)
    assert late.part_of_many(even, 0.0, 0.0) == late.part_of_many(even, 1.0, 1.0) == even
    assert late.part_of_many(1.0, 0.5, 1.0) == 1
    newest = (
        "select at from orders o where o.customer = {} and o.note <> 'y' order by at desc limit 1"
    )
    each = f"select c.city, n.at from customers c left join lateral ({newest.format('c.id')}) n on true"
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting)
    one, many = (lab.plan(query(text), [TIME]) for text in (newest.format(11), each))
    assert one.used == many.used == {TIME}
    assert touched.blocks(many.tree) > 2000 * touched.blocks(one.tree)


def test_fewer_blocks_than_planned_do_not_make_counted_rows_fewer(lab: Lab) -> None:
    text = (
        "select o.note from orders o join parts p on p.id = o.id"
        " where o.at = $1 order by p.seen limit 100"
    )
    # with another plan than the lab's, which looks each up
    pages = lab.catalog.by_name["public", "orders"].pages
    asked = query(text, blocks=pages + 7.0, rows=14.5)
    costs = Costs(lab, TimeLeft(20.0, lambda: 0.0), guard=True)
    costs.begin(asked, costs.plan(asked))
    now = costs.blocks(asked, frozenset())
    assert now is not None
    assert now > pages + 2 * 14.5
    (gain,) = Gains(costs, {TIME: "time"}).of_queries()
    assert gain.indexes == ("time",)
    assert 2 * 14.5 < (gain.blocks_after or 0.0) < 6 * 14.5


def test_rows_of_a_function_are_as_many_as_the_groups_of_them(lab: Lab) -> None:
    """The planner expects 1,000 days between two parameters."""
    text = (
        "select {} from generate_series($1::date, $2, interval '1 day') as day left join orders o"
        " on o.customer = 7 and o.at >= day and o.at < day + interval '1 hour' group by {}"
    )
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting)

    def blocks(columns: str, counted: float | None) -> float:
        plan = lab.plan(query(text.format(columns, columns)), [IN_TIME])
        assert plan.used == {IN_TIME}
        return touched.blocks(plan.tree, counted=counted)

    assert blocks("day", 20.0) == pytest.approx(blocks("day", None) / 50, rel=0.1)
    assert blocks("day, o.is_open", 20.0) == blocks("day, o.is_open", None)


@pytest.mark.parametrize(
    ("condition", "groups"),
    [("customer in (3, 4, 5)", 3), ("customer in ($1, $2)", 2), ("customer = any($1)", 10)],
)
def test_there_are_no_more_groups_than_values_of_a_list(
    lab: Lab, condition: str, groups: int
) -> None:
    """The planner takes as many as the rows found would have if they were of all customers."""
    text = (
        "select o.customer, o.note from orders o join (select customer, max(at) as at from orders"
        f" where {condition} and at < '2024-01-05' group by customer) l on o.customer = l.customer and o.at = l.at"
    )
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting)
    plan = lab.plan(query(text), [IN_TIME])
    (group,) = (node for node in walk(plan.tree) if "Group Key" in node)
    assert plan.tree["Node Type"] == "Nested Loop"
    assert float(group["Plan Rows"]) > 3 * groups
    # an order of each is looked up, in two blocks of the index and one of the table, after reading those of each in the index
    assert 3 * groups < touched.blocks(plan.tree) < 7 * groups + 3


def test_what_a_call_touched_less_or_more_than_planned_is_also_so_with_an_index(lab: Lab) -> None:
    lab.add([NUMBERED])
    text = "select customer from orders where id > $1"
    for touched, fewest, most in ((None, 30.0, 60.0), (20.0, 4.0, 6.0), (900.0, 70.0, 200.0)):
        asked = query(text, blocks=touched, rows=None)
        costs = Costs(lab, TimeLeft(20.0, lambda: 0.0), guard=True)
        costs.begin(asked, costs.plan(asked))
        (gain,) = Gains(costs, {NUMBERED: "numbered"}).of_queries()
        assert gain.indexes == ("numbered",)
        assert fewest <= (gain.blocks_after or 0.0) <= most


def test_what_is_looked_up_beside_a_table_that_is_read_whole_is_more(lab: Lab) -> None:
    text = (
        "select sum(n) from (select customer as n from orders where id > $1 and id < $2"
        " union all select seen from parts where within = $3 offset 0) found"
    )
    after = []
    pages = lab.catalog.by_name["public", "parts"].pages
    for touched in (pages + 7.0, pages + 70.0):
        asked = query(text, blocks=touched, rows=1.0)
        costs = Costs(lab, TimeLeft(20.0, lambda: 0.0), guard=True)
        costs.begin(asked, costs.plan(asked))
        (gain,) = Gains(costs, {WITHIN: "within"}).of_queries()
        assert gain.indexes == ("within",)
        after.append(gain.blocks_after or 0.0)
    assert after[0] < 15 < 20 < after[1] < 100


def test_what_is_looked_up_by_a_unique_key_is_not_more(lab: Lab) -> None:
    pages = lab.catalog.by_name["public", "parts"].pages
    text = "select p.seen from orders o join parts p on p.within = o.customer where o.id = $1"
    asked = query(text, blocks=pages + 70.0, rows=None)
    costs = Costs(lab, TimeLeft(20.0, lambda: 0.0), guard=True)
    costs.begin(asked, costs.plan(asked))
    (gain,) = Gains(costs, {WITHIN: "within"}).of_queries()
    assert gain.indexes == ("within",)
    assert (gain.blocks_after or 0.0) < 12


def test_a_list_that_is_looped_over_is_as_long_as_blocks_tell(lab: Lab) -> None:
    text = (
        "select r.id, p.id from unnest(array[$1 /*, ... */]::int[]) r(id),"
        " lateral (select id from parts where within = r.id order by seen limit 1) p"
    )
    pages = lab.catalog.by_name["public", "parts"].pages
    after = []
    for number in (2, 6):
        asked = query(text, blocks=float(number * pages), rows=float(number))
        costs = Costs(lab, TimeLeft(20.0, lambda: 0.0), guard=True)
        costs.begin(asked, costs.plan(asked))
        (gain,) = Gains(costs, {LAST_SEEN: "last_seen"}).of_queries()
        assert gain.indexes == ("last_seen",)
        after.append(gain.blocks_after or 0.0)
    assert after[1] == pytest.approx(3 * after[0])


def test_rows_before_a_bound_that_is_no_condition_of_the_index_are_read_first(lab: Lab) -> None:
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting)
    found = {}
    for operator, direction in (("<", ""), (">", ""), (">", "desc")):
        text = f'select code from codes where code collate "C" {operator} $1 order by code {direction} limit 5'
        plan = lab.plan(query(text), [CODE])
        assert plan.used == {CODE}
        found[operator, direction] = touched.blocks(plan.tree)
    whole = lab.index_shape(next(n["Index Name"] for n in walk(plan.tree) if "Index Name" in n))
    assert whole is not None
    assert found["<", ""] == found[">", "desc"] < 6 < whole.pages / 2 < found[">", ""]


def test_an_element_that_is_not_known_is_in_as_many_rows_as_an_average_one(lab: Lab) -> None:
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting)
    found = {}
    for text in ("tags && array[$1]", "tags @> array[$1]", "tags && array[$1, $1]"):
        plan = lab.plan(query(f"select * from tagged where {text}"), [TAGS])
        assert plan.used == {TAGS}
        found[text] = touched.blocks(plan.tree)
    one, all_, two = found.values()
    assert one == pytest.approx(all_, abs=5)
    # of 200 or 100 rows, as far as the planner knows
    assert 40 <= one <= 55 < 75 <= two <= 95


def test_calls_that_return_few_rows_on_average_seldom_return_a_page(lab: Lab) -> None:
    found = [late.least_short(*each) for each in ((3.5, 0.5), (8.5, 0.5), (20.0, 0.0), (None, 0.5))]
    assert found == [0.65, 0.5, 0.0, 0.5]
    text = "select * from orders where customer = $1 order by at limit 20"
    costs = Costs(lab, TimeLeft(20.0, lambda: 0.0), guard=True)
    asked = query(text, blocks=1026.0, rows=2.5)
    costs.begin(asked, costs.plan(asked))
    assert costs.ask(asked, frozenset({CUSTOMER})) < costs.ask(asked, frozenset())
    # of 80 rows that the planner expects, nearer to 2.5
    assert 5 < (costs.blocks(asked, frozenset({CUSTOMER})) or 0.0) < 10


def test_nothing_is_feared_of_a_filter_that_most_rows_pass(lab: Lab) -> None:
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting)
    text = "select * from orders where at <= $1 or {} order by customer limit 100"
    most, few = (
        lab.plan(query(text.format(other)), [CUSTOMER]) for other in ("at > $2", "note = 'y'")
    )
    assert most.used == few.used == {CUSTOMER}
    # of 180 or 300 rows, as far as the planner knows, each in another block
    assert 150 < touched.blocks(most.tree) < 250 < 600 < touched.blocks(few.tree)
    assert 250 < touched.blocks(few.tree, is_even=True) < 400


@pytest.mark.parametrize(
    ("touched", "fewest", "most"), [(1450.0, 550.0, 750.0), (1150.0, 100.0, 200.0)]
)
def test_a_join_that_may_have_read_all_tables_does_not_tell_that_there_are_fewer_rows(
    lab: Lab, touched: float, fewest: float, most: float
) -> None:
    # 200 rows of orders, for each of which 3 blocks are looked up, or all of parts is read; OFFSET keeps the lab from the latter
    text = (
        "select sum(p.seen) from orders o cross join lateral (select seen from parts where id = o.id offset 0) p"
        " where o.at > $1 and o.at < $2"
    )
    asked = query(text, blocks=touched, rows=None)
    costs = Costs(lab, TimeLeft(20.0, lambda: 0.0), guard=True)
    costs.begin(asked, costs.plan(asked))
    (gain,) = Gains(costs, {TIME: "time"}).of_queries()
    assert gain.indexes == ("time",)
    assert fewest <= (gain.blocks_after or 0.0) <= most


def test_a_table_that_was_read_whole_has_no_fewer_rows_of_the_values_that_an_index_finds(
    lab: Lab,
) -> None:
    pages = lab.catalog.by_name["public", "orders"].pages
    for text, counted, is_whole in (
        ("select note from orders where customer = $1", pages + 1.0, True),
        ("select note from orders where customer = $1", 0.9 * pages, False),
        ("select note from orders where note like $1", float(pages), False),
    ):
        tree = lab.plan(query(text), [CUSTOMER]).tree
        assert counted_blocks.may_have_read_all(tree, counted, lab.catalog) is is_whole, text


def test_rows_of_a_value_in_documents_are_looked_up_among_those_of_its_key(
    lab: Lab, shop: str
) -> None:
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting)
    text = """select * from documents where body @> '{"group": 7}'"""
    promised = {}
    for index in (KEYS, PATHS):
        plan = lab.plan(query(text), [index])
        assert plan.used == {index}
        promised[index] = touched.blocks(plan.tree, counted=20.0)
        assert abs(promised[index] - measured(shop, text, index)) <= 5
    assert promised[KEYS] > promised[PATHS] + 5


def test_what_it_takes_to_look_a_row_up_in_each_partition_is_not_more(lab: Lab) -> None:
    plan = lab.plan(query("select * from stays where at > $1 order by at limit 3"), [STAY])
    assert plan.used == {STAY}
    assert counted_blocks.lookups(plan.tree) == 6
    assert counted_blocks.lookups(lab.plan(query("select * from parts where id = 1")).tree) == 1
    assert counted_blocks.more(24.0, 10.0, 6) == 24
    assert counted_blocks.more(24.0, 10.0) == 24 + 20 * 9


def test_what_limit_ends_is_not_less_because_all_is_read_now_and_is_less_than_planned(
    lab: Lab,
) -> None:
    text = "select * from orders where customer = $1 order by at desc limit 20"
    asked = query(text, blocks=100.0, rows=20.0)  # of 1026: as if partitions were left out
    costs = Costs(lab, TimeLeft(20.0, lambda: 0.0), guard=True)
    costs.begin(asked, costs.plan(asked))
    (gain,) = Gains(costs, {IN_TIME: "in_time"}).of_queries()
    assert gain.indexes == ("in_time",)
    assert 20 < (gain.blocks_after or 0.0) < 25


def test_an_order_that_ends_early_tells_nothing_of_another_plan(lab: Lab) -> None:
    text = "select * from orders where customer = $1 order by id limit 20"
    asked = query(text, blocks=12.0, rows=20.0)
    costs = Costs(lab, TimeLeft(20.0, lambda: 0.0), guard=True)
    costs.begin(asked, costs.plan(asked))
    (gain,) = Gains(costs, {CUSTOMER: "customer"}).of_queries()
    assert gain.indexes == ("customer",)
    assert gain.blocks_after == 12.0


def test_a_table_that_limit_reads_a_part_of_stops_somewhere(lab: Lab) -> None:
    asked = query("select * from orders where note like $1 limit 1", blocks=1.0, rows=1.0)
    costs = Costs(lab, TimeLeft(20.0, lambda: 0.0), guard=True)
    costs.begin(asked, costs.plan(asked))
    assert costs.stops_somewhere(asked, frozenset()) is True


@pytest.mark.parametrize(
    ("counted", "expected"),
    [
        (None, 0.1),
        (190.0, 0.1),
        (550.0, 0.5),
        (100.0, 0.0),
        (90.0, 0.0),
        (2000.0, 0.1),
        (10.0, 0.1),
    ],
)
def test_calls_of_frequent_values_are_as_many_as_blocks_tell(
    counted: float | None, expected: float
) -> None:
    found = counted_blocks.shares([10.0, 90.0], [1000.0, 100.0], counted)
    assert found == pytest.approx([expected, 1 - expected])


def test_calls_touch_more_than_is_planned_of_frequent_values() -> None:
    # all of the others' calls are left out only if what is planned of frequent values explains what was counted
    for counted, lowest, highest in ((1000.0, 1, 1), (1100.0, 0.89, 0.91), (1900.0, 0.8, 0.83)):
        found = counted_blocks.shares([10.0, 90.0], [1000.0, 100.0], counted, counted_blocks.BEYOND)
        assert lowest <= found[0] <= highest
        assert sum(found) == pytest.approx(1)
    beyond = counted_blocks.shares([10.0, 90.0], [1000.0, 100.0], 2100.0, counted_blocks.BEYOND)
    assert beyond == pytest.approx([0.1, 0.9])
    usual = counted_blocks.shares([90.0, 10.0], [1000.0, 100.0], 1900.0, counted_blocks.BEYOND)
    assert usual == pytest.approx([0.9, 0.1]), "no fewer than there were"


def test_calls_of_likely_parts_move_before_those_of_unlikely_ones() -> None:
    weights, planned = [30.0, 68.0, 0.5, 1.5], [60.0, 130.0, 10.0, 4.0]
    found = counted_blocks.shares(weights, planned, 90.0)
    assert counted_blocks.mean(found, planned) == pytest.approx(90)
    assert found[0] > 0.45, "they were a third, and it takes them no more blocks than were counted"
    assert found[2] + found[3] < 0.07
    dearer = counted_blocks.shares(weights, planned, 120.0)
    assert counted_blocks.mean(dearer, planned) == pytest.approx(120)
    assert all(share < weight / 100 for share, weight in zip(dearer[2:], weights[2:], strict=True))
    # those that cannot be told from the cheapest, or the dearest, keep their parts of the calls
    for counted in (3.6, 4.0):
        found = counted_blocks.shares([1.0, 49.0, 50.0], [4.0, 4.4, 900.0], counted)
        assert found[:2] == pytest.approx([0.02, 0.98], rel=0.02)
    found = counted_blocks.shares([50.0, 49.0, 1.0], [4.0, 880.0, 900.0], 880.0)
    assert found[1:] == pytest.approx([0.98, 0.02], abs=0.01)


def test_blocks_also_tell_of_parts_for_which_there_was_no_sign() -> None:
    found = counted_blocks.shares([1.0, 0.0], [10.0, 100.0], 55.0)
    assert found == pytest.approx([0.5, 0.5])
    assert counted_blocks.shares([1.0, 3.0], [0.0, 0.0], 0.0) == [0.25, 0.75]


def test_parts_that_take_the_same_blocks_are_as_many_as_before() -> None:
    assert counted_blocks.shares([1.0, 3.0], [1000.0, 900.0], 1000.0) == [0.25, 0.75]
    assert counted_blocks.shares([0.0, 0.0], [None, 1.0], 5.0) == [0.5, 0.5]


def test_limit_ends_the_scan_of_rows_of_which_more_match_than_planned(lab: Lab) -> None:
    plan = lab.plan(query("select * from orders where customer = $1 limit 50"), [CUSTOMER])
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting)
    assert 40 <= touched.blocks(plan.tree, counted=50.0, matching=400.0) < 65
    assert touched.blocks(plan.tree, counted=10.0, matching=10.0) < 20


def test_limit_is_not_below_the_rows_that_calls_return(lab: Lab) -> None:
    # one row, as far as the planner knows, so that the plan of LIMIT has one row, too
    text = "select * from orders where customer = $1 and at > $2 and at < $3 limit 500"
    tree = lab.plan(query(text), [IN_TIME]).tree
    assert [node["Node Type"] for node in walk(tree)] == ["Limit", "Index Scan"]
    assert tree["Plan Rows"] < 5
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting)
    assert 30 <= touched.blocks(tree, counted=50.0) <= 60


def test_a_filter_that_repeats_the_prefix_that_is_searched_for_excludes_nothing(lab: Lab) -> None:
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting)
    for condition, is_less in (
        ("code like 'c1%'", True),
        ("code like 'c1%' and code <> 'c11'", False),
        ("code like 'c1%0%'", False),
    ):
        plan = lab.plan(query(f"select code from coded where {condition}"), [PREFIX])
        assert plan.used == {PREFIX}
        assert "Filter" in str(plan.tree)
        assert (touched.blocks(plan.tree, counted=3.0) < 5) is is_less


def test_the_part_of_an_order_that_calls_read_tells_how_many_rows_match(lab: Lab) -> None:
    text = "select * from orders where customer = $1 order by id limit 3"
    plan = lab.plan(query(text))
    pages = lab.catalog.by_name["public", "orders"].pages
    for blocks, few, most in ((pages, 3, 7), (pages / 10, 25, 40)):
        measured = query(text, calls=9.0, total_ms=9.0, rows=2.5, blocks=float(blocks))
        costs = Costs(lab, TimeLeft(20.0, lambda: 0.0), guard=True)
        costs.begin(measured, plan)
        costs.pool.plan(measured, frozenset({CUSTOMER}))
        found = costs.blocks(measured, frozenset({CUSTOMER}))
        assert found is not None
        assert few < found < most


def test_rows_in_the_order_of_an_index_are_known_for_a_list_of_parameters(lab: Lab) -> None:
    text = "select customer, at from orders where customer in ($1, $2) and at > $3 and note <> 'y'"
    plan = lab.plan(query(text), [BEHIND])
    (scan,) = [n for n in walk(plan.tree) if "Index Cond" in n]
    assert lab.rows_in_order(scan) == pytest.approx(40_000 * 2 / 500 / 3, rel=0.1)


def test_tables_that_are_read_whole_do_not_depend_on_values(lab: Lab) -> None:
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape)
    pages = lab.catalog.by_name["public", "orders"].pages
    for text, certain in (
        ("select count(*) from orders where note like $1", pages),
        ("select * from orders where note like $1 limit 3", 0),
        ("select * from orders where customer = $1", 0),
        ("delete from orders where customer = $1", 2),
    ):
        plan = lab.plan(query(text), [CUSTOMER])
        assert touched.certain(plan.tree, 2.0, {}) == certain, text
    # of 100 + 2400 blocks, 100 + 24 were counted: of 100 + 300, there are 103
    assert counted_blocks.fewer(400.0, 124.0, 2500.0, 100.0, 100.0) == pytest.approx(104)
    # fewer than the tables have: they are not read as planned
    assert counted_blocks.fewer(400.0, 50.0, 2500.0, 100.0, 100.0) == pytest.approx(8)


def test_rows_of_a_few_members_are_no_half_of_all_rows(lab: Lab) -> None:
    mine = "select id from customers where city = 3"
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape)
    found = {}
    for word in ("in", "not in"):
        text = f"select * from orders where (customer {word} ({mine})) is true order by at limit 20"
        tree = lab.plan(query(text), [TIME]).tree
        assert "hashed SubPlan" in str(tree)
        found[word] = touched.blocks(tree)
    # 20 of those of 12 or 13 of 500 customers are in about 16 blocks
    assert 1.5 * found["not in"] < found["in"] < 25


def test_members_are_those_of_whom_there_are_many_rows(lab: Lab) -> None:
    lab.add([Candidate("public", "drawn", (Key.of("customer"),))])  # so that values are read
    table = lab.catalog.by_name["public", "drawn"]
    assert lab.catalog.common(table, table.columns["customer"])
    scan = {
        "Filter": "(ANY (drawn.customer = (hashed SubPlan 1).col1))",
        "Plans": [{"Subplan Name": "SubPlan 1", "Plan Rows": 2}],
    }
    # two values of 51: one that half of the rows have is asked for in half of the calls
    assert memberships.members(lab.catalog, table, scan) == pytest.approx(2 * 0.255 / 0.5, rel=0.1)


def test_fewer_rows_were_found_by_the_index_unless_the_filter_excludes_many(lab: Lab) -> None:
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting)
    for condition, is_less in (("not is_open", True), ("is_open", False)):
        plan = lab.plan(
            query(f"select * from orders where customer = $1 and {condition}"), [CUSTOMER]
        )
        assert plan.used == {CUSTOMER}
        assert (touched.blocks(plan.tree, counted=1) < touched.blocks(plan.tree) / 2) is is_less


def test_rows_that_were_counted_are_those_that_are_deleted(lab: Lab) -> None:
    plan = lab.plan(query("delete from orders where at < $1"), [TIME])
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting)
    assert 20 < touched.blocks(plan.tree, counted=20) < 30 < 200 < touched.blocks(plan.tree)


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("update orders set is_open = false where customer = $1", 10 * 8),
        ("delete from orders where at < $1", 10 * 3),
        ("insert into visits values ($1)", 10 * 6),
        ("update customers set city = 1 where id = $1", 10 * 8),
        ("delete from customers where id = $1", math.inf),
        ("update watched set id = $1", math.inf),
        ("with gone as (delete from orders returning id) select * from gone", math.inf),
    ],
)
def test_a_write_touches_no_more_than_its_rows_take(lab: Lab, text: str, most: float) -> None:
    assert most_written(lab.catalog, lab.plan(query(text)).tree, 10.0) == most


def test_what_a_write_read_beyond_its_plan_is_not_read_with_an_index(lab: Lab) -> None:
    asked = query("delete from orders where customer = $1", blocks=20_000.0, rows=10.0)
    costs = Costs(lab, TimeLeft(20.0, lambda: 0.0), guard=True)
    costs.begin(asked, costs.plan(asked))
    (gain,) = Gains(costs, {CUSTOMER: "customer"}).of_queries()
    assert gain.indexes == ("customer",)
    assert gain.blocks_before == 20_000
    assert gain.blocks_after is not None
    assert 30 < gain.blocks_after < 200


def test_a_write_saves_no_larger_share_than_of_the_blocks_that_were_counted(lab: Lab) -> None:
    shares = {}
    for blocks in (20_000.0, 25.0):
        asked = query("delete from orders where customer = $1", blocks=blocks, rows=10.0)
        costs = Costs(lab, TimeLeft(20.0, lambda: 0.0), guard=True)
        costs.begin(asked, costs.plan(asked))
        shares[blocks] = costs.ask(asked, frozenset({CUSTOMER})) / costs.base[asked.name]
    # the server, which knows the value, has found them in few blocks; an index does not delete rows for it
    assert shares[20_000.0] < 0.2 < 0.7 < shares[25.0] <= 1


def test_a_write_takes_at_most_its_new_entries_more_than_now(lab: Lab) -> None:
    found = "select id from orders where customer = $1 order by at limit 30"
    text = f"update orders set customer = 1 where id in ({found})"
    asked = query(text, blocks=300.0, rows=20.0)
    costs = Costs(lab, TimeLeft(20.0, lambda: 0.0), guard=True)
    costs.begin(asked, costs.plan(asked))
    assert costs.newly_written(asked, frozenset({TIME})) == 0
    # an entry in the new index and one in that of the primary key, and the row is no longer in its place
    assert costs.newly_written(asked, frozenset({CUSTOMER})) == 20 * (2 + 2 * 3)
    (gain,) = Gains(costs, {TIME: "at"}).of_queries()
    assert gain.indexes
    assert (costs.blocks(asked, frozenset({TIME})) or 0) > 500  # of a usual value
    assert gain.blocks_after == gain.blocks_before == 300


def test_more_rows_than_planned_are_all_sorted_unless_an_index_has_their_order(lab: Lab) -> None:
    text = "select * from orders where customer = $1 order by at limit 200"
    asked = query(text, rows=100.0, blocks=800.0)
    present = lab.plan(query(text), [CUSTOMER])
    costs = Costs(lab, TimeLeft(20.0, lambda: 0.0), guard=True)
    costs.begin(asked, present)
    sorting, ordered = (costs.ask(asked, frozenset({i})) for i in (CUSTOMER, NEWEST))
    # for the planner, which expects 80 rows, both are as good; but calls touch ten times as many blocks
    assert sorting == pytest.approx(costs.base[asked.name])
    assert ordered < 0.3 * sorting
    assert costs.looks_up(asked, frozenset({CUSTOMER}), 80.0, 800.0)
    assert not costs.looks_up(asked, frozenset({NEWEST}), 80.0, 800.0)


@pytest.mark.parametrize(
    ("text", "returned", "is_told"),
    [
        ("customer = $1 order by at limit 200", 100.0, True),
        ("customer = $1 order by at limit 200", 20.0, False),  # it found no more than planned
        ("customer = $1 order by at", 100.0, False),
        ("customer = $1 limit 200", 100.0, False),
        ("note = $1 order by at limit 200", 90_000.0, False),  # it reads the whole table
    ],
)
def test_what_is_sorted_for_limit_is_told_by_rows(
    lab: Lab, text: str, returned: float, is_told: bool
) -> None:
    tree = lab.plan(query(f"select * from orders where {text}"), [CUSTOMER]).tree
    more = sorted_whole.more_rows(tree, returned, 800.0, 80.0, 1e6)
    assert (more is not None) is is_told
    if more is not None:
        assert more.matching == pytest.approx(10)
        assert more.returned == pytest.approx(100 / 80, rel=0.1)


def test_deleting_reads_no_referring_table_whole_once_an_index_serves_its_foreign_key(
    lab: Lab,
) -> None:
    serving = Candidate("public", "visits", (Key.of("customer"), Key.of("at")))
    lab.add([serving, CUSTOMER])
    asked = query("delete from customers where id = $1", blocks=5_000.0, rows=10.0)
    costs = Costs(lab, TimeLeft(20.0, lambda: 0.0), guard=True)
    costs.begin(asked, costs.plan(asked))
    for chosen, is_less in (({serving: "serving"}, True), ({CUSTOMER: "other"}, False)):
        (gain,) = Gains(costs, chosen).of_queries()
        assert gain.blocks_after is not None
        assert (gain.blocks_after < 200) is is_less


def test_a_recursive_query_looks_up_each_row_once(lab: Lab, shop: str) -> None:
    plan = lab.plan(query(PARTS), [WITHIN])
    assert plan.used == {WITHIN}
    with psycopg.connect(shop) as connection:
        rows = len(connection.execute(PARTS.encode()).fetchall())
    touched, real = (
        Touched(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting),
        measured(shop, PARTS, WITHIN),
    )
    assert rows > 500
    assert real / 1.5 < touched.blocks(plan.tree, counted=rows) < 1.5 * real
    assert touched.blocks(plan.tree) < 100, (
        "how many rows is not known: not a hundred times those of the first part"
    )


def test_an_entry_at_the_end_of_an_index_is_one_block(lab: Lab) -> None:
    asked = query("insert into orders values (0, 1, now(), true, 'x')")
    (insert,) = writes.writes(asked, lab.plan(asked).tree, lab.catalog)
    for index, blocks in ((TIME, 1), (CUSTOMER, 3)):
        found = writes.entries([index], lab.catalog, [insert])
        assert 3 * found["public", "orders"] == pytest.approx(blocks)


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("is_open and at > '2024-01-25'", 500),
        ("is_open", 200),
        ("customer > 11 and at > '2024-01-01'", 500),
    ],
)
def test_a_batch_is_full_unless_fewer_rows_are_certain(
    lab: Lab, condition: str, rows: float
) -> None:
    text = f"update orders set note = '' where id in (select id from orders where {condition} order by at limit 500)"
    costs = Costs(lab, TimeLeft(20.0, lambda: 0.0), guard=True)
    asked = query(text)
    costs.begin(asked, costs.plan(asked))
    (write,) = writes.writes(asked, costs.plan(asked).tree, lab.catalog)
    assert write.rows == pytest.approx(rows, rel=0.3)
    assert 4 * rows < (costs.blocks(asked, frozenset()) or 0.0) < 6 * rows + 1500
    assert costs.newly_written(asked, frozenset({BEHIND})) > 6 * rows
    counted = replace(asked, rows=20.0)
    assert writes.writes(counted, costs.plan(asked).tree, lab.catalog)[0].rows == 20


def test_entries_in_new_indexes_are_written(lab: Lab) -> None:
    plan = lab.plan(query("insert into orders values (0, 1, now(), true, 'x')"))
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting)
    more = touched.blocks(plan.tree, added={("public", "orders"): 2.0})
    assert more == touched.blocks(plan.tree) + 6


def test_an_update_that_is_not_hot_writes_to_every_index(lab: Lab) -> None:
    for column, entries in (("id", 1.0), ("note", 0.0)):
        asked = query(f"update orders set {column} = {column} where id = 5")
        changes = writes.writes(asked, lab.plan(asked).tree, lab.catalog)
        assert writes.entries([], lab.catalog, changes) == {("public", "orders"): entries}


def test_blocks_of_now_are_those_of_a_server_that_knows_nothing_of_an_expression(lab: Lab) -> None:
    asked = query("select * from orders where customer % 2 = 0 order by id limit 5")
    costs = Costs(lab, TimeLeft(20.0, lambda: 0.0), guard=True)
    costs.begin(asked, lab.plan(asked))
    now = costs.blocks(asked, frozenset())
    told = costs.pool.plan(asked, frozenset({EVEN}))
    assert not told.used  # since half of the rows are known to match
    assert costs.blocks(asked, frozenset()) == now
    assert now is not None
    with_it = costs.blocks(asked, frozenset({EVEN}))
    assert with_it is not None
    assert with_it < now / 5


def test_blocks_of_now_are_those_of_as_many_rows_as_an_expression_is_then_known_to_have(
    lab: Lab,
) -> None:
    asked = query("select * from orders where customer * 2 = 1001 order by id limit 100")
    costs = Costs(lab, TimeLeft(20.0, lambda: 0.0), guard=True)
    costs.begin(asked, lab.plan(asked))
    told = frozenset({COMPUTED})
    costs.pool.plan(asked, told)
    whole = lab.catalog.by_name["public", "orders"].pages
    blind, now = costs.blocks(asked, frozenset()), costs.blocks(asked, frozenset(), told)
    assert blind is not None
    assert blind < 0.8 * whole  # since half a percent of the rows are taken to match
    assert now is not None
    assert now >= whole


def test_a_plan_may_change_with_what_an_index_that_it_does_not_use_tells(lab: Lab) -> None:
    asked = query("select * from orders where customer % 2 = 0 order by id limit 200")
    costs = Costs(lab, TimeLeft(20.0, lambda: 0.0), guard=True)
    costs.begin(asked, lab.plan(asked))
    assert not costs.pool.plan(asked, frozenset({EVEN})).used
    gain = next(iter(Gains(costs, {EVEN: "even"}).of_queries()))
    assert gain.blocks_before is not None
    assert gain.blocks_after is not None
    assert gain.blocks_after < gain.blocks_before / 2


def test_what_hardly_anything_begins_with_is_less_than_the_planner_expects(lab: Lab) -> None:
    parts, orders = (lab.catalog.by_name["public", name] for name in ("parts", "orders"))
    scan = {"Node Type": "Index Scan", "Filter": "(note ~~ 'y%'::text)"}
    assert least.times_planned(lab.catalog, parts, scan, 2.0) == pytest.approx(1 / math.sqrt(2))
    # one value, if something matches, which has two thousandths of the rows
    scan = {"Node Type": "Seq Scan", "Filter": "(orders.customer ~~ '9%'::text)"}
    assert 4 * least.times_planned(lab.catalog, orders, scan, 4.0) == pytest.approx(80, rel=0.1)


def test_rows_of_either_of_two_conditions_are_feared_to_come_late_as_those_of_each(
    lab: Lab,
) -> None:
    def promised(condition: str) -> float:
        text = f"select at from orders where {condition} order by at limit 5"
        plan = lab.plan(query(text), [COVERED])
        assert plan.used == {COVERED}
        touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting)
        return touched.blocks(plan.tree)

    # nothing is known of where a product of customers is
    either, open_ = "customer = 11 or customer > 497", "customer = 11 or customer * 3 = 7"
    assert promised(either) < promised(open_) / 2


def test_a_value_whose_rows_are_spread_evenly_as_correlation_tells_is_feared_less_than_a_state(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders, shares = lab.catalog.by_name["public", "orders"], (0.4, 0.3, 0.2, 0.1)
    monkeypatch.setitem(lab.catalog.common_shares, (orders.oid, "customer"), shares)

    def fear(correlation: float, condition: str, share: float = 0.1, nulls: float = 0.0) -> float:
        states = replace(orders.columns["customer"], distinct=4.0, null_fraction=nulls)
        column = replace(states, correlation=correlation)
        table = replace(orders, columns={**orders.columns, "customer": column})
        scan = {"Node Type": "Index Scan", "Index Name": "orders_pkey", "Filter": condition}
        shape = IndexShape(100, orders.rows, keys=("id",), texts=("id",))
        return precedence.precedence(
            lab.catalog,
            table,
            scan,
            lambda _: shape,
            lambda node: orders.rows * (share if "customer" in str(node["Index Cond"]) else 1),
        ).fear

    known = "(orders.customer = 7)"
    assert fear(0.3, known) == pytest.approx(0.5)
    assert fear(0.5, known) == fear(0.2, known) == 1.0
    # where few rows are does not change the correlation, nor do those without a value
    assert fear(0.3, known, 0.01) == fear(0.6, known, nulls=0.3) == 1.0
    assert fear(0.3, "(orders.customer = $1)") == 1.0


def test_a_list_of_many_values_reads_no_page_twice_that_has_several_since_17(
    lab: Lab, shop: str
) -> None:
    values = ", ".join(str(n * 7919 % 40000) for n in range(1, 301))
    text = f"select count(*) from orders where id in ({values})"
    plan, real = lab.plan(query(text)), measured(shop, text, None)

    def of_15(name: str) -> IndexShape | None:
        shape = lab.index_shape(name)
        return shape and replace(shape, steps=False)

    now, then = (
        Touched(lab.catalog, lab.rows_in_order, shape, lab.rows_meeting).blocks(plan.tree)
        for shape in (lab.index_shape, of_15)
    )
    # some pages that follow each other are read without another search
    assert real <= now <= 1.6 * real < then / 2


def test_a_pattern_that_hardly_anything_matches_is_searched_for_to_the_end(lab: Lab) -> None:
    # the planner takes no pattern to match less than four of the rows
    plan = lab.plan(
        query("select * from orders where customer::text like '%rarely found%' order by id limit 3")
    )
    assert plan.tree["Plans"][0]["Plan Rows"] == 4
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape, lab.rows_meeting)
    assert touched.blocks(plan.tree) >= lab.catalog.by_name["public", "orders"].pages
