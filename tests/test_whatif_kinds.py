"""Kinds of index beside plain B-trees: each is advised for the statement that it serves, is used once it is built, and reads less."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from pgwatch_wed.sqltext.plan_trees import used_names
from pgwatch_wed.whatif.catalog import Catalog
from pgwatch_wed.whatif.choose import advise, alternatives, naming
from pgwatch_wed.whatif.choose.advise import Advice, AdviceOptions
from pgwatch_wed.whatif.choose.costs import Costs
from pgwatch_wed.whatif.choose.suggested import suggested
from pgwatch_wed.whatif.choose.time_left import TimeLeft
from pgwatch_wed.whatif.choose.varying import varying
from pgwatch_wed.whatif.lab import source
from pgwatch_wed.whatif.lab.lab import Lab
from pgwatch_wed.whatif.model import Candidate, Key, Query
from pgwatch_wed.whatif.workload import Workload
from tests import servers
from tests.planning import query
from tests.psql import psql

pytestmark = pytest.mark.pg("== 18")

LIBRARY = """
create extension pg_trgm;
create extension btree_gist;
create extension ltree;
create table books (id int primary key, title text, isbn varchar(20), path ltree, descr text);
insert into books select g, initcap((array['red','blue','dark','lost'])[1 + g % 4] || ' ' || substr(md5(g::text), 1, 8)),
    lpad((g * 7919 % 999983)::text, 13, '9'), ('top.r' || g % 20 || '.s' || g % 400 || '.n' || g)::ltree, repeat(md5(g::text), 4)
from generate_series(1, 20000) g;
create table places (id int primary key, loc point, lon float8, lat float8, ip inet, name text);
insert into places select g, point(x, y), x, y, ('10.' || g % 7 || '.' || g / 256 % 256 || '.' || g % 256)::inet, md5(g::text)
from (select g, (g * 7919 % 20011) / 200.0 as x, (g * 31 % 20011) / 200.0 as y from generate_series(1, 20000) g) x;
create table bookings (id int primary key, room int, starts timestamptz, ends timestamptz, during tstzrange, note text);
insert into bookings select g, g % 50, t, t + interval '2 hours', tstzrange(t, t + interval '2 hours'), repeat(md5(g::text), 3)
from (select g, timestamptz '2024-01-01' + g * 7919 % 20011 * interval '13 minutes' as t from generate_series(1, 20000) g) x;
create type step as enum ('new', 'retried', 'going', 'over', 'failed');
create table jobs (id int primary key, state text, queue text, run_at timestamptz, locked_by text, deleted_at timestamptz,
    flag boolean, tenant int, payload text, step step, watchers int[]);
insert into jobs select g, case when g % 400 = 0 then 'queued' when g % 900 = 1 then 'running' else 'done' end, 'q' || g % 7,
    timestamptz '2024-01-01' + g * 7919 % 30011 * interval '1 minute', case when g % 900 = 1 then 'host:' || g % 5 end,
    case when g % 5 < 3 then timestamptz '2024-06-01' end, g % 300 = 0, g % 40, repeat(md5(g::text), 4),
    case when g % 500 = 0 then 'new' when g % 700 = 0 then 'retried' else 'over' end::step, array[g % 977, g % 4999]
from generate_series(1, 30000) g;
alter table jobs add level int not null default 3;
create table pages (id int primary key, url text, body text);
alter table pages alter url set storage external, alter body set storage external;
insert into pages select g, 'https://' || md5(g::text) || case when g % 500 = 0 then (select string_agg(md5((g + i)::text), '')
    from generate_series(1, 180) i) else '/' || md5((g + 1)::text) end, null from generate_series(1, 20000) g;
create table messages (id int primary key, body text);
alter table messages alter body set storage external;
insert into messages select g, (select string_agg(md5((g * 7 + i)::text), '') from generate_series(1, 100) i)
from generate_series(1, 4000) g;
create table events (id int primary key, at timestamptz, data jsonb);
insert into events select g, timestamptz '2024-01-01' + g * interval '1 minute',
    jsonb_build_object('ref', 'R' || g % 9000, 'tags', jsonb_build_array('t' || g % 500, 'u' || g % 40), 'pad', repeat('x', 200))
from generate_series(1, 40000) g;
create table sales (id int primary key, data jsonb);
insert into sales select g, jsonb_build_object('code', 'c' || g, 'price', g + 0.5, 'tags', jsonb_build_array('t' || g % 500),
    'buyer', jsonb_build_object('name', 'n' || g % 15000), 'state', case g % 500 when 0 then 'held' else 'sold' end,
    'pad', repeat('x', 100)) from generate_series(1, 20000) g;
vacuum analyze;
"""

Statement = tuple[str, str]

# Each statement, and the end of the index that an expert would make.
SERVED: dict[str, Statement] = {
    "trigrams of an expression": (
        "select id from books where upper(title) like '%3F9A%'",
        "USING gin ((upper(title)) public.gin_trgm_ops)",
    ),
    "prefix of an expression": (
        "select descr from books where lower(title) like 'red 3f%'",
        "USING btree ((lower(title)) text_pattern_ops)",
    ),
    "starts_with": (
        "select descr from books where starts_with(isbn, '9999999123')",
        "USING btree (isbn varchar_pattern_ops)",
    ),
    "subtree": ("select descr from books where path <@ 'top.r7.s47'", "USING gist (path)"),
    "nearest": (
        "select name from places order by loc <-> point(10.5, 51.3) limit 5",
        "USING gist (loc)",
    ),
    "nearest by an expression": (
        "select name from places order by point(lon, lat) <-> point(10.5, 51.3) limit 5",
        "USING gist ((point(lon, lat)))",
    ),
    "network": ("select name from places where ip <<= '10.3.7.0/24'", "USING btree (ip)"),
    "range of an expression": (
        "select note from bookings where tstzrange(starts, ends) && tstzrange('2024-02-01 10:00', '2024-02-01 12:00')",
        "USING gist ((tstzrange(starts, ends)))",
    ),
    "range after equality": (
        "select note from bookings where room = 5 and during && tstzrange('2024-02-01', '2024-02-21')",
        "USING gist (room, during)",
    ),
    "part of a document": (
        "select id from events where data -> 'tags' ? 't77'",
        "USING gin ((data -> CAST('tags' AS text)))",
    ),
    "all but a state, in order": (
        "select payload from jobs where state <> 'done' order by run_at limit 20",
        "USING btree (run_at) WHERE state <> CAST('done' AS text)",
    ),
    "states before another one, in order": (
        "select payload from jobs where step < 'going' order by run_at limit 20",
        "USING btree (run_at) WHERE step < CAST('going' AS step)",
    ),
    "what is locked": (
        "select payload from jobs where locked_by is not null and run_at < '2024-01-08'",
        "USING btree (run_at) WHERE locked_by IS NOT NULL",
    ),
    "not deleted, newest of a tenant": (
        "select payload from jobs where deleted_at is null and tenant = 5 order by run_at desc limit 20",
        "USING btree (tenant, run_at) WHERE deleted_at IS NULL",
    ),
    "a state first, by CASE": (
        "select payload from jobs where tenant = 5 order by case when state = 'ready' then 0 else 1 end, id desc limit 20",
        "USING btree (tenant, (CASE WHEN state = CAST('ready' AS text) THEN 0 ELSE 1 END), id DESC)",
    ),
    "numbers of states last, by a list": (
        "select payload from jobs where tenant = 5 order by level not in (5, 6) desc, id desc limit 20",
        "USING btree (tenant, (level <> ALL(CAST('{5,6}' AS integer[]))), id)",
    ),
    "one value and a list, in an order of several columns": (
        "select payload from jobs where tenant = 5 and queue in ('q1', 'q2') order by flag desc, level desc, run_at desc limit 20",
        "USING btree (tenant, flag, level, run_at, queue)",
    ),
    "wide values": ("select id from pages where url = 'https://x'", "USING hash (url)"),
    "only wide values": ("select id from messages where body = 'x'", "USING hash (body)"),
    "page after a row": (
        "select payload from jobs where tenant = 7 and (run_at, id) < ('2024-01-10', 77) order by run_at desc, id desc limit 20",
        "USING btree (tenant, run_at, id)",
    ),
}

# What is known of the sizes of others than B-trees is less exact.
_SIZE = {"btree": 0.1, "hash": 0.02, "gin": 0.35, "gist": 0.5}


@pytest.fixture(scope="module")
def library(pg: servers.Server) -> Iterator[str]:
    with pg.database() as dsn:
        psql(dsn, LIBRARY)
        yield dsn


@pytest.fixture(scope="module")
def lab(library: str) -> Iterator[Lab]:
    with source.open_lab(library) as lab:
        yield lab


def advised(lab: Lab, *texts: str) -> Advice:
    options = AdviceOptions(seconds=20.0, budget_bytes=100_000_000)
    return advise.advise(lab, Workload(tuple(map(query, texts))), options)


def run(connection: psycopg.Connection[Any], text: str) -> tuple[int, set[str]]:
    """Return the blocks that a statement touches, and the indexes that it uses."""
    row = connection.execute(f"explain (analyze, buffers, format json) {text}".encode()).fetchone()
    assert row is not None
    tree = row[0][0]["Plan"]
    return tree["Shared Hit Blocks"] + tree["Shared Read Blocks"], set(used_names(tree))


@pytest.mark.parametrize("kind", SERVED)
def test_the_index_of_an_expert_is_advised_used_and_reads_less(
    library: str, lab: Lab, kind: str
) -> None:
    text, end = SERVED[kind]
    advice = advised(lab, text)
    (index,) = advice.indexes
    assert index.ddl.endswith(end) or f"{end} INCLUDE" in index.ddl
    with psycopg.connect(library) as connection:
        before, _ = run(connection, text)
        connection.execute(index.ddl.encode())
        connection.execute(f"analyze {index.index.table}".encode())
        after, used = run(connection, text)
        row = connection.execute(
            "select pg_relation_size(oid) from pg_class where relname = %s", [index.name]
        ).fetchone()
        connection.rollback()
    assert row is not None
    assert index.size_bytes == pytest.approx(row[0], rel=_SIZE[index.index.method])
    assert index.name in used
    assert after < 0.2 * before
    # the reason of a grade is told
    is_rough = any("index is only a rough estimate" in c for c in index.caveats)
    assert is_rough == (index.index.method in ("gin", "gist"))


def test_the_value_of_one_call_is_in_no_index(lab: Lab) -> None:
    advice = advised(
        lab,
        "select id from jobs where locked_by = 'host:1'",
        "select id from books order by (title = 'Red 1') desc, title limit 5",
        "update jobs set locked_by = null where locked_by = 'host:2'",
    )
    assert [i.ddl for i in advice.indexes if "host" in i.ddl or "Red" in i.ddl] == []
    assert [i.index.columns for i in advice.indexes if i.index.table == "jobs"] == [("locked_by",)]


def test_a_state_that_not_all_texts_of_a_statement_have_is_in_no_index(lab: Lab) -> None:
    text = "select payload from jobs where state = '{}' and deleted_at is null order by run_at limit 20"
    one, other = query(text.format("queued")), query(text.format("running"))

    def predicates(*texts: Query) -> set[str]:
        costs = Costs(lab, TimeLeft(60.0), guard=True)
        costs.begin(one, lab.plan(one))
        found = suggested(costs, [one], 3, varying(texts))
        return {i.predicate for i in found[one.name].indexes}

    assert any("queued" in p for p in predicates(one))
    assert {p for p in predicates(one, other) if p} == {"deleted_at IS NULL"}


def test_a_state_is_no_key_of_gin_beside_a_pattern(lab: Lab) -> None:
    one = query("select id from jobs where queue = $1 and tenant = $2 and payload like '%beef%'")
    costs = Costs(lab, TimeLeft(60.0), guard=True)
    costs.begin(one, lab.plan(one))
    found = suggested(costs, [one], 3, {})[one.name].indexes
    assert [i.columns for i in found if i.method == "gin"] == [("payload",)]


def test_a_subplan_that_is_hashed_does_not_cost_what_running_it_for_each_row_would(
    lab: Lab,
) -> None:
    head = "select payload from jobs where deleted_at is null or"
    exists = f"{head} exists (select from bookings b where b.room = jobs.id and b.note <> '')"
    within = f"{head} id in (select room from bookings b where b.note <> '')"
    for order in ("", " order by run_at limit 5"):
        one, other = lab.plan(query(exists + order)), lab.plan(query(within + order))
        assert one.cost > 20 * other.cost, "the planner decides too late that it is hashed"
        real = alternatives.as_hashed(one, lab.catalog)
        assert real.cost == real.tree["Total Cost"] == pytest.approx(other.cost, rel=0.2)
        assert alternatives.as_hashed(other, lab.catalog) is other
    joined = lab.plan(query(f"{exists} and exists (select from books where books.id = jobs.id)"))
    assert alternatives.as_hashed(joined, lab.catalog).cost < joined.cost / 5


def test_numbers_that_not_all_texts_of_a_statement_have_are_in_no_key(lab: Lab) -> None:
    text = "select payload from jobs where tenant = 5 order by {} limit 20"
    one, other = (query(text.format(f"level not in ({n}, 9) desc, id desc")) for n in (7, 8))
    reference = query(text.format("tenant not in (5, 6) desc, id desc"))

    def expressions(*texts: Query) -> set[str]:
        costs = Costs(lab, TimeLeft(60.0), guard=True)
        costs.begin(texts[0], lab.plan(texts[0]))
        found = suggested(costs, [texts[0]], 3, varying(texts))
        keys = (k for i in found[texts[0].name].indexes for k in i.keys)
        return {k.text for k in keys if k.column is None}

    assert any("{7,9}" in e for e in expressions(one))
    assert expressions(one, other) == expressions(reference) == set()


def test_the_key_of_a_document_is_inferred_from_the_rows_that_were_counted(lab: Lab) -> None:
    text = "select at from events where data->>$1 = $2"
    options = AdviceOptions(seconds=20.0, budget_bytes=100_000_000)
    for rows, keys in ((4.4, ["data ->> CAST('ref' AS text)"]), (30_000.0, []), (None, [])):
        advice = advise.advise(lab, Workload((query(text, rows=rows),)), options)
        assert [i.index.columns[0] for i in advice.indexes] == keys
        assert all("$1 is 'ref'" in i.doubts[0] for i in advice.indexes)
        assert all("with the key ref" in r.reason for r in advice.rejected if rows is None)
    for rows, is_inferred in ((20.0, False), (11.3, True)):  # 20 may be the limit
        first = query(f"{text} order by at limit $3", rows=rows)
        advice = advise.advise(lab, Workload((first,)), options)
        assert any("'ref'" in d for i in advice.indexes for d in i.doubts) is is_inferred


@pytest.mark.parametrize(
    ("rows", "keys"),
    [(1.2, ["code"]), (38.0, ["code", "state"]), (90.0, ["state"]), (3000.0, [])],
)
def test_a_rare_value_of_a_key_may_be_asked_for_and_of_two_keys_neither_is_preferred(
    lab: Lab, rows: float, keys: list[str]
) -> None:
    asked = query("select id from sales where data->>$1 = $2", rows=rows)
    advice = advise.advise(lab, Workload((asked,)))
    texts = sorted(i.index.columns[0] for i in advice.indexes)
    assert texts == [f"data ->> CAST('{key}' AS text)" for key in keys]
    if len(keys) == 2:
        said = "with code and with state, it would return as many rows"
        assert all(said in i.doubts[0] for i in advice.indexes)
        assert sum(g.weight for g in advice.per_query) == asked.weight
    if not keys:
        assert "with the key code" in advice.rejected[0].reason


def test_an_update_that_is_no_longer_hot_is_told(lab: Lab) -> None:
    advice = advised(
        lab,
        "select payload from jobs where run_at < '2024-01-02'",
        "update jobs set run_at = run_at + interval '1 hour' where id = 5",
    )
    (index,) = advice.indexes
    assert any(c.startswith("Updates of run_at change no index now") for c in index.caveats)
    assert index.write_cost > 0
    (other,) = advised(lab, "select payload from jobs where run_at < '2024-01-02'").indexes
    assert not any("HOT" in c for c in other.caveats)


def test_an_index_is_found_that_the_planner_leaves_for_an_order_since_it_does_not_know_the_value(
    lab: Lab,
) -> None:
    text = "select payload from jobs where watchers @> array[$1::int] order by id limit 20"
    few = query(text, rows=5.3)  # so that all of the table is read in order
    (index,) = advise.advise(lab, Workload((few,))).indexes
    assert index.ddl.endswith("USING gin (watchers)")
    many = query(text, rows=20.0)
    assert advise.advise(lab, Workload((many,))).indexes == ()


def test_of_two_ranges_of_unknown_times_the_one_of_late_times_is_a_key(lab: Lab) -> None:
    for text in (
        "ends > $2 and starts < $3",
        "starts < $2 and ends > $3",
        "starts > $2 and ends < $3",
    ):
        (index,) = advised(lab, f"select room from bookings where room = $1 and {text}").indexes
        late = text[: text.index(" >")].split()[-1]
        assert index.index.columns[:2] == ("room", late)


def test_the_beginning_of_a_value_that_is_assumed_is_told_to_nobody(lab: Lab) -> None:
    text = "select descr from books where starts_with(isbn, $1)"
    (index,) = advised(lab, text).indexes
    assert index.ddl.endswith("(isbn varchar_pattern_ops)")
    assert index.doubts[0] == "it is assumed that $1 is the beginning of a usual value"
    assert "99" not in " ".join((*index.doubts, *index.caveats))


def test_a_network_and_the_end_of_a_value_are_assumed_and_their_values_told_to_nobody(
    lab: Lab,
) -> None:
    texts = {
        "select name from places where ip <<= $1": "(ip)",
        "select name from places where reverse(name) like reverse($1)": "((reverse(name)) text_pattern_ops)",
    }
    advice = advised(lab, *texts)
    assert len(advice.indexes) == len(texts)
    for index in advice.indexes:
        assert texts[index.queries[0]] in index.ddl
        assert "10." not in " ".join((*index.doubts, *index.caveats))
    assert any("$1 is the end of a usual value" in i.doubts[0] for i in advice.indexes if i.doubts)


def test_a_moment_is_in_as_many_ranges_as_overlap(lab: Lab) -> None:
    (gain,) = advised(
        lab, "select note from bookings where tstzrange(starts, ends) @> $1::timestamptz"
    ).per_query
    assert gain.indexes
    # two hours, of which thirteen minutes are between two; the planner expects a two-hundredth of all
    assert 9 < (gain.blocks_after or 0.0) < 30


def test_what_is_near_is_found_on_several_paths_whatever_else_is_asked(lab: Lab) -> None:
    text = "select name from places where lon > $1 order by loc <-> $2::point limit 5"
    (gain,) = advised(lab, text).per_query
    assert gain.indexes
    # three times as many rows are near, as far as the planner knows, and a few pages of the index
    assert 15 < (gain.blocks_after or 0.0) < 25


def test_numbers_of_digits_are_looked_for_by_their_beginning_and_words_by_any_part(
    lab: Lab,
) -> None:
    texts = {
        "select descr from books where isbn like $1": "(isbn varchar_pattern_ops)",
        "select descr from books where title like $1": "(title public.gin_trgm_ops)",
    }
    found = {i.queries[0]: i.ddl for i in advised(lab, *texts).indexes}
    assert found.keys() == texts.keys()
    assert all(texts[text] in found[text] for text in texts)


def test_a_network_has_the_size_for_which_as_many_rows_would_be_found_as_were_counted(
    lab: Lab,
) -> None:
    text = "select name from places where ip <<= $1 order by id limit $2"
    for rows, columns in ((7.0, ("ip",)), (1900.3, ())):
        advice = advise.advise(lab, Workload((query(text, rows=rows),)), AdviceOptions(seconds=20))
        assert [i.index.columns for i in advice.indexes] == ([columns] if columns else [])


def test_a_constant_that_was_taken_out_is_assumed_and_told(lab: Lab) -> None:
    texts = {
        "select descr from books where to_tsvector($1, title) @@ plainto_tsquery($2, $3)": "to_tsvector(CAST('english' AS regconfig), title)",
        "select payload from jobs where coalesce(locked_by, $1) = $2": "COALESCE(locked_by, CAST('' AS text))",
        "select payload from jobs where state <> $1 and run_at < $2": "WHERE state <> CAST('done' AS text)",
        "select payload from jobs where step < $1 order by run_at limit 20": "WHERE step < CAST('over' AS step)",
    }
    advice = advised(lab, *texts)
    assert len(advice.indexes) == len(texts)
    for index in advice.indexes:
        assert texts[index.queries[0]] in index.ddl
        assert index.doubts[0].startswith("it is assumed that $1 is ")


def test_the_name_of_an_index_on_an_expression_says_what_is_looked_up_and_not_its_casts() -> None:
    keys = (Key("CAST(data ->> 'user' AS text)"), Key("lower(name)::text"))
    index = Candidate("public", "users", keys)
    (name,) = naming.names(Catalog({}, {}, ()), (index,), {}).values()
    assert name == "users_data_user_lower_name_idx"


@pytest.mark.parametrize(
    ("text", "rows", "key"),
    [
        ("data->$1 ? $2", 1.0, "data -> CAST('tags' AS text)"),
        ("(data->>$1)::numeric > $2", 20.0, "CAST(data ->> CAST('price' AS text) AS numeric)"),
        ("data->>$1 = $2", 1.2, "data ->> CAST('code' AS text)"),
        ("data#>>$1 = $2", 1.2, "data #>> CAST('{buyer,name}' AS text[])"),
    ],
)
def test_the_key_of_a_document_is_one_that_leads_to_such_values(
    lab: Lab, text: str, rows: float, key: str
) -> None:
    options = AdviceOptions(seconds=20.0, budget_bytes=100_000_000)
    order = " order by (data->>$3)::numeric limit $4" if "numeric" in text else ""
    asked = query(f"select data from sales where {text}{order}", rows=rows)
    advice = advise.advise(lab, Workload((asked,)), options)
    assert [i.index.columns[0] for i in advice.indexes] == [key]
