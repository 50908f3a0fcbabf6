"""Is the lab like the real thing? Sizes and costs, against indexes that were really built."""

from collections.abc import Iterator

import psycopg
import pytest

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.whatif.choose import advise
from pgwatch_wed.whatif.lab import source
from pgwatch_wed.whatif.lab.lab import Lab
from pgwatch_wed.whatif.model import Candidate, Key, Query
from pgwatch_wed.whatif.workload import Workload, query_of
from tests import servers
from tests.planning import query, real_plan
from tests.psql import psql

pytestmark = pytest.mark.pg("== 18")  # the lab's own major

SCALE = 0.1
MB = 1_000_000

# Words by Zipf's law, numbers evenly, order lines as neighbours, and a few large groups.
THINGS = """
create extension pg_trgm;
select setseed(0.5);
create table even as
select string_agg('w' || hashint4(g * 31 + n)::bigint % 1000 + 1000, ' ') as body
from generate_series(1, 5000) g, generate_series(1, 20) n group by g;
create table words as
select g as id, md5(g::text)::varchar(8) as word, 1.0 / g as weight from generate_series(1, 5000) g;
create table documents as
with drawn as (
  select id, (5000 ^ random())::int as rank from generate_series(1, 30000) id,
       lateral generate_series(1, 3 + id % 20) n
)
select id, array_agg(distinct 'tag' || rank % 400) as tags,
       array_agg((random() * 50000)::int) as numbers,
       string_agg(left(md5(rank::text), 3 + rank % 5), ' ') as body,
       to_tsvector('simple', string_agg(left(md5(rank::text), 3 + rank % 5), ' ')) as search,
       left(md5(id::text), 6) || '.' || left(md5((id % 900)::text), 5) || '@example.org' as email,
       jsonb_build_object('status', (array['new', 'paid', 'sent'])[1 + id % 3],
                          'customer', (random() * 5000)::int, 'tags', jsonb_agg(distinct rank % 200)) as data
from drawn group by id;
create table order_lines (order_id int, line int, product_id int, shipped timestamp, status text)
  with (fillfactor = 10);
insert into order_lines
select g / 3, g % 3, (random() * 2000)::int, timestamp '2024-01-01' + g * interval '4 minutes',
       case when g % 9 < 3 then 'open' else 'done' end
from generate_series(1, 120000) g;
create table people (id int, email text, town text, born date, balance numeric, note text);
insert into people
select g, 'Name' || g || '@Example.org', 'town ' || (900 ^ random())::int, date '1940-01-01' + g % 20000,
       round((random() * 9999)::numeric, 2), repeat('x', (random() * 60)::int)
from generate_series(1, 60000) g;
create table stays (id int, starts timestamp, ends timestamp, planned timestamp, guest text, room text);
insert into stays
select g, at, case when g < 19000 then at + g % 30 * interval '1 hour' end, at - interval '1 day',
       case when g % 4 > 0 then 'guest ' || g % 3000 end, 'room ' || (40 ^ random())::int
from generate_series(1, 20000) g, lateral (select timestamp '2024-01-01' + sqrt(g) * interval '1 day' as at);
vacuum analyze;
set default_statistics_target = 10;
analyze order_lines;
"""

# Names that formatting could take for its own, and columns that have little to tell.
ODD = """
create schema "s %d {x}";
create type "s %d {x}"."mo{o}d %s" as enum ('a', 'b');
create domain "s %d {x}".code as text check (value <> 'zz');
create table "s %d {x}"."t{a} %s" (id int, "c{o}l %d" text, mood "s %d {x}"."mo{o}d %s", nothing text, at date,
    pair int[], doc jsonb, code "s %d {x}".code, twice int generated always as (id * 2) stored, level float8);
insert into "s %d {x}"."t{a} %s" (id, "c{o}l %d", mood, at, pair, doc, code, level)
select g, 'Na' || g, (array['a', 'b'])[1 + g % 2]::"s %d {x}"."mo{o}d %s",
       case g % 3 when 0 then 'infinity' when 1 then '-infinity' else date '2024-01-01' + g % 500 end,
       array[g % 10, g % 77], jsonb_build_object('k{%s}', g % 100, 'l', array[1, 2]), 'd' || g % 400,
       case g % 5 when 0 then 'NaN'::float8 else g end
from generate_series(1, 20000) g;
create table nothing_yet (id int, name text, tags text[]);
create table unknown (id int, name text);
insert into unknown select null, null from generate_series(1, 5000);
analyze;
"""
HERE = ("s %d {x}", "t{a} %s")
ODD_INDEXES = (
    Candidate(*HERE, (Key('lower("c{o}l %d")'),)),
    Candidate(*HERE, (Key.of("c{o}l %d"),), ("mood",)),
    Candidate(*HERE, (Key.of("mood"), Key.of("code"))),
    Candidate(*HERE, (Key.of("nothing"),)),
    Candidate(*HERE, (Key.of("at"),)),
    Candidate(*HERE, (Key("date_trunc('month'::text, (at)::timestamp)"),)),
    Candidate(*HERE, (Key("upper((code)::text)"),)),
    Candidate(*HERE, (Key("(level * 2)"),)),
    Candidate(*HERE, (Key("(doc ->> 'k{%s}')"),)),
    Candidate(*HERE, (Key.of("twice"),)),
    Candidate(*HERE, (Key.of("id"),), (), "mood = 'a'"),
    Candidate(*HERE, (Key.of("pair"),), method="gin"),
    Candidate(*HERE, (Key.of("doc"),), method="gin"),
    Candidate(*HERE, (Key.of("doc", "jsonb_path_ops"),), method="gin"),
    Candidate("public", "nothing_yet", (Key("lower(name)"),)),
    Candidate("public", "nothing_yet", (Key.of("tags"),), method="gin"),
    Candidate("public", "unknown", (Key.of("id"), Key.of("name"))),
    Candidate("public", "unknown", (Key("lower(name)"),)),
)

GIN = {
    "array of words": (Key.of("tags"), 0.1),
    "array of numbers": (Key.of("numbers"), 0.1),
    "tsvector": (Key.of("search"), 0.2),
    "tsvector expression": (Key("to_tsvector('simple'::regconfig, body)"), 0.25),
    "trigrams of long texts": (Key.of("body", "public.gin_trgm_ops"), 0.1),
    "trigrams of short texts": (Key.of("email", "public.gin_trgm_ops"), 0.15),
    # how many values stand behind a key of a document is a guess
    "jsonb": (Key.of("data"), 0.3),
    "jsonb paths": (Key.of("data", "jsonb_path_ops"), 0.3),
}
TREES = {
    "few values": ("people", ("town",), (), "", 0.05),
    "neighbours": ("order_lines", ("order_id",), (), "", 0.2),
    "neighbours, a part of them": ("order_lines", ("order_id",), (), "status = 'open'", 0.3),
    "two columns": ("people", ("town", "born"), (), "", 0.05),
    "varying width": ("people", ("id",), ("note",), "", 0.05),
    "numbers of many widths": ("people", ("balance",), ("town",), "", 0.05),
    "almost unique": ("people", ("balance",), (), "", 0.05),
}
# An expression, the question that it answers, and how far the lab may be from what ANALYZE finds.
EXPRESSIONS = {
    "lower(email)": ("people", "= 'name77@example.org'", 3.0),
    "upper(town)": ("people", "= 'TOWN 1'", 1.3),
    "length(town)": ("people", "= 6", 1.3),
    "date_trunc('month'::text, shipped)": ("order_lines", "= '2024-05-01'", 1.3),
    "COALESCE(ends, planned)": ("stays", "< '2024-01-21'", 1.3),
    "((room || ' '::text) || guest)": ("stays", "= 'room 2 guest 5'", 3.0),
}
RANGES = {
    "a moment": ("@> timestamp '2024-02-10 12:00'", 1.5),
    "a period": ("&& tsrange('2024-03-01', '2024-03-04')", 1.5),
    "a period long ago": ("&& tsrange('2020-03-01', '2020-03-04')", 1.5),
}


@pytest.fixture(scope="module")
def things(pg: servers.Server) -> Iterator[str]:
    with pg.database() as dsn:
        psql(dsn, THINGS)
        yield dsn


@pytest.fixture(scope="module")
def lab(things: str) -> Iterator[Lab]:
    with source.open_lab(things) as lab:
        yield lab


def assert_size(dsn: str, lab: Lab, index: Candidate, rel: float) -> None:
    lab.add([index])
    assert lab.refusal(index) is None
    with psycopg.connect(dsn) as connection:
        connection.execute(index.ddl("real").encode())  # rolled back
        row = connection.execute("select pg_relation_size('public.real')").fetchone()
        connection.rollback()
    assert row is not None
    assert lab.size(index) == pytest.approx(row[0], rel=rel)


@pytest.mark.parametrize("kind", GIN)
def test_a_gin_index_is_as_large_as_the_statistics_tell(things: str, lab: Lab, kind: str) -> None:
    key, rel = GIN[kind]
    assert_size(things, lab, Candidate("public", "documents", (key,), method="gin"), rel)


@pytest.mark.parametrize("kind", TREES)
def test_a_tree_is_as_large_as_the_real_one(things: str, lab: Lab, kind: str) -> None:
    table, keys, include, predicate, rel = TREES[kind]
    index = Candidate("public", table, tuple(map(Key.of, keys)), include, predicate)
    assert_size(things, lab, index, rel)


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_an_expression_has_the_statistics_that_it_will_have(
    things: str, lab: Lab, text: str
) -> None:
    table, condition, factor = EXPRESSIONS[text]
    index = Candidate("public", table, (Key(text),))
    question = f"select * from {table} where {text} {condition}"
    lab.add([index])
    plan = lab.plan(query(question), [index])
    with psycopg.connect(things) as connection:
        without = real_plan(connection, question)["Plan Rows"]
        connection.execute(index.ddl("real").encode())  # rolled back
        connection.execute(f"analyze {table}".encode())
        real = real_plan(connection, question)["Plan Rows"]
        connection.rollback()
    assert plan.used == {index}
    assert real / factor <= plan.tree["Plan Rows"] <= real * factor
    # what the planner takes for granted without statistics is far off
    assert not real / factor <= without <= real * factor
    assert_size(things, lab, index, 0.1)


@pytest.mark.parametrize("kind", RANGES)
def test_a_range_of_two_columns_has_the_bounds_that_it_will_have(
    things: str, lab: Lab, kind: str
) -> None:
    condition, factor = RANGES[kind]
    index = Candidate("public", "stays", (Key("tsrange(starts, ends)"),), method="gist")
    question = f"select * from stays where tsrange(starts, ends) {condition}"
    lab.add([index])
    plan = lab.plan(query(question), [index])
    with psycopg.connect(things) as connection:
        connection.execute(index.ddl("real").encode())  # rolled back
        connection.execute("analyze stays")
        real = real_plan(connection, question)["Plan Rows"]
        connection.rollback()
    assert real / factor <= plan.tree["Plan Rows"] <= real * factor


@pytest.mark.parametrize(("rank", "factor"), [(1, 1.3), (4000, 3.0)])
def test_a_word_has_as_many_rows_as_once_it_is_indexed(
    things: str, lab: Lab, rank: int, factor: float
) -> None:
    index = Candidate(
        "public", "documents", (Key("to_tsvector('simple'::regconfig, body)"),), method="gin"
    )
    lab.add([index])
    with psycopg.connect(things) as connection:
        row = connection.execute(f"select left(md5('{rank}'), {3 + rank % 5})".encode()).fetchone()
        assert row is not None
        question = f"select * from documents where to_tsvector('simple', body) @@ '{row[0]}'"
        plan = lab.plan(query(question), [index])
        connection.execute(index.ddl("real").encode())  # rolled back
        connection.execute("analyze documents")
        real = real_plan(connection, question)["Plan Rows"]
        connection.rollback()
    assert real / factor <= plan.tree["Plan Rows"] <= real * factor


def test_words_that_are_all_as_frequent_are_not_rare_because_few_values_are_known(lab: Lab) -> None:
    """A hundred values have each of 2,000 words once, on average: as often as it is expected of those that none has."""
    index = Candidate(
        "public", "even", (Key("to_tsvector('simple'::regconfig, body)"),), method="gin"
    )
    lab.add([index])
    for word in ("w7", "w901", "w1234", "w1777"):  # in about 50 rows each
        question = f"select * from even where to_tsvector('simple', body) @@ '{word}'"
        assert 20 < lab.plan(query(question), [index]).tree["Plan Rows"] < 250


@pytest.mark.parametrize(
    ("table", "text", "least", "most"),
    [("people", '"right"(email, 3)', 5, 100), ("order_lines", "upper(status)", 1, 1)],
    ids=["of some values", "of all values"],
)
def test_a_value_that_was_not_tried_may_be_that_of_few_rows(
    lab: Lab, table: str, text: str, least: float, most: float
) -> None:
    index = Candidate("public", table, (Key(text),))
    lab.add([index])
    plan = lab.plan(query(f"select * from {table} where {text} = 'com'"), [index])
    assert plan.used == {index}
    assert least <= plan.tree["Plan Rows"] <= most


def test_an_expression_that_fails_for_a_value_is_left_as_it_is(things: str, lab: Lab) -> None:
    index = Candidate("public", "people", (Key("(1 / (length(town) - 6))"),))
    lab.add([index])
    assert lab.refusal(index) is None
    assert lab.size(index) > 0


def test_odd_names_types_and_statistics_make_no_difference(pg: servers.Server) -> None:
    with pg.database() as dsn:
        psql(dsn, ODD)
        with source.open_lab(dsn) as lab, psycopg.connect(dsn) as connection:
            assert lab.notes == []
            lab.add(ODD_INDEXES)
            for number, index in enumerate(ODD_INDEXES):
                assert lab.refusal(index) is None, index
                connection.execute(index.ddl(f"odd_{number}").encode())  # rolled back
                size = connection.execute(
                    "select pg_relation_size(oid) from pg_class where relname = %s",
                    [f"odd_{number}"],
                ).fetchone()
                assert size is not None
                assert lab.size(index) == pytest.approx(size[0], rel=0.1, abs=3 * 8192), index
            connection.rollback()
            for text in ("lower(\"c{o}l %d\") = 'na5'", "pair @> array[5]"):
                asked = query(f'select * from "s %d {{x}}"."t{{a}} %s" where {text}')
                assert advise.advise(lab, Workload((asked,))).indexes


# TPC-H: schema, data and queries of others


@pytest.fixture(scope="module")
def tpch() -> Iterator[str]:
    pytest.importorskip("duckdb", reason="duckdb 0.10.3, which makes the data, has no wheel here")
    from tests.bench.index_advice import tpch

    # so many values that ANALYZE reads all rows, and statistics do not depend on its sample
    with embedded.start({**tpch.SETTINGS, "default_statistics_target": "2100"}) as server:
        yield tpch.load(server, SCALE)


def test_tpch_costs_are_those_of_really_built_indexes(tpch: str) -> None:
    from tests.bench.index_advice import measure
    from tests.bench.index_advice.tpch import queries

    every = tuple(query_of(name, text) for name, text in queries(frozenset()).items())
    asked = tuple(q for q in every if isinstance(q, Query))
    assert len(asked) == 22
    with source.open_lab(tpch) as lab:
        options = advise.AdviceOptions(int(1000 * MB * SCALE), seconds=60)
        advice = advise.advise(lab, Workload(asked), options)
        like = measure.likeness(tpch, lab, asked, [i.index for i in advice.indexes])
    assert len(advice.indexes) >= 5
    assert like.same_plans >= 21
    assert like.near_costs >= 19
    assert like.close_costs >= 20
    far = {ddl: ratio for ddl, ratio in like.sizes.items() if abs(ratio - 1) > 0.1}
    assert len(far) <= 1, far
