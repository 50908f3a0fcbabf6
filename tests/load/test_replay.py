"""Replay: statements of production on a copy, with values that exist, and nothing that has an effect."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pgwatch_wed.errors import CollectError, DeltaError, UsageError
from pgwatch_wed.facts import file
from pgwatch_wed.load.engine.block_runner import runner
from pgwatch_wed.load.engine.pgbench_program import options_of
from pgwatch_wed.load.load_model import Ground, Order, QueryProtocol
from pgwatch_wed.load.replay import mixing, replay_window
from pgwatch_wed.load.replay.effects_reached import EffectsReached, UnsafeError
from pgwatch_wed.load.replay.replay_ground import ReplaySource, replay_ground, without_texts_of
from pgwatch_wed.load.replay.replay_mix import ReplayMix
from pgwatch_wed.load.replay.replay_role import PREFIX
from pgwatch_wed.load.replay.replay_text import (
    NotSentError,
    on_one_line,
    script,
)
from pgwatch_wed.load.replay.replay_window import ReplayWindow
from pgwatch_wed.sqltext import trees
from pgwatch_wed.sqltext.repairs import with_values
from pgwatch_wed.target import collect
from pgwatch_wed.whatif.proof.call_trial import FACTOR, CallWork, deviation
from pgwatch_wed.whatif.proof.parameter_uses import ValueUse, uses_of
from pgwatch_wed.whatif.proof.sampled_rows import constant
from tests.load.replay_world import SCHEMA, SHAPES, ask
from tests.load.stress_samples import block
from tests.load.test_stress_report import stress_schema
from tests.servers import Server
from tests.test_cli import PROGRAM

FACTS = ("statements", "statements_info", "tables", "databases")

# Pure


def uses(text: str) -> dict[int, tuple[ValueUse, str]]:
    found = uses_of(trees.parse(text)[0])
    return {u.number: (u.use, u.expression) for block in found.blocks for u in block.uses}


@pytest.mark.parametrize(
    ("condition", "use", "expression"),
    [
        ("a = $1", ValueUse.EQUAL, "t.a"),
        ("$1 < a", ValueUse.ABOVE, "t.a"),
        ("lower(a) = lower($1::text)", ValueUse.EQUAL, "t.a"),
        ("a > now() - $1::interval", ValueUse.BELOW, "(now()) - (t.a)"),
        ("a < b + $1", ValueUse.BELOW, "(t.a) - (t.b)"),
        ("a in ($1)", ValueUse.ELEMENT, "t.a"),
        ("a = any($1)", ValueUse.LIST, "t.a"),
        ("$1 = any(a)", ValueUse.MEMBER, "t.a"),
        ("a @> array[$1]", ValueUse.EQUAL, "(t.a)[1]"),
        ("a like $1 || '%'", ValueUse.PATTERN, "t.a"),
        ("not (a = $1 or b is null)", ValueUse.EQUAL, "t.a"),
        ("(a, b) > ($1, 3)", ValueUse.EQUAL, "t.a"),
        ("exists (select from u where u.b = t.b and u.c = $1)", ValueUse.EQUAL, "u.c"),
        ("a in (select b from u where c = $1)", ValueUse.EQUAL, "u.c"),
        ("a @@ to_tsquery('simple', $1)", ValueUse.SEARCH, "t.a"),
    ],
)
def test_a_parameter_is_compared_with(condition: str, use: ValueUse, expression: str) -> None:
    assert uses(f"select from t where {condition}") == {1: (use, expression)}


def test_pgbench_finds_no_variable_and_no_command_in_a_text() -> None:
    value = constant(r"a:b \ 'c'" + "\n:d", "text")
    given = with_values("select $1 /* :x */,\n  a[b:c] -- :y\n from t", lambda *_: value)
    text = on_one_line(given)
    assert text == r"select (E'a\072b \\ ''c''\n\072d'::text) , a[b: c] from t"
    assert on_one_line("select 'x:y', a::int") == r"select E'x\072y', a::int"
    for refused in ('select "a:b" from t', "select $$x:y$$", "select a \\ b"):
        with pytest.raises(NotSentError):
            on_one_line(refused)


def test_rows_and_blocks_are_compared_by_their_factor() -> None:
    there = CallWork(10, 100, 1)
    assert deviation(CallWork(10.4, 102, 9), there) == 1
    assert deviation(CallWork(20, 100, 1), there) == FACTOR
    assert deviation(CallWork(10, 10, 1), there) == 10
    assert deviation(CallWork(0, 0, 1), there) == float("inf")


def test_what_a_server_says_of_values_is_not_repeated() -> None:
    said = 'query 7: ERROR: invalid input syntax for type integer: "secret"'
    found = without_texts_of(replace(block(), errors=(said,)))
    assert found.errors == ("query 7: an error, whose text may contain values",)


# Real servers

TRAPS = """
create sequence counted;
create function vol() returns int language sql volatile as 'select 1';
create function lies() returns int language sql stable as 'select nextval(''counted'')::int';
create function built() returns int language plpgsql stable as
    'declare x int; begin execute ''select 1'' into x; return x; end';
create function waits(a int, b int) returns bool language plpgsql volatile as
    'begin perform pg_advisory_lock(1); return true; end';
create operator === (function = waits, leftarg = int, rightarg = int);
create table t (id int primary key, v int, j jsonb);
create view hidden as select id, vol() from t;
create view twice as select id from hidden;
create function reads() returns bigint language sql stable as 'select count(*) from twice';
create domain checked as int check (value > vol());
create table guarded (id int);
alter table guarded enable row level security;
create policy p on guarded using (vol() = 1);
create type pair as (a int);
create function to_pair(int) returns pair language sql volatile as 'select row($1)::pair';
create cast (int as pair) with function to_pair(int);
create aggregate summed (int) (sfunc = int4pl, stype = int, finalfunc = finished);
"""


def test_nothing_that_may_have_an_effect_is_run(every_db: str) -> None:
    with psycopg.connect(every_db, autocommit=True, prepare_threshold=None) as connection:
        traps = TRAPS.replace(
            "create aggregate",
            "create function finished(int) returns int language sql volatile as 'select $1'; create aggregate",
        )
        connection.execute(traps.encode())
        connection.execute("create extension postgres_fdw")
        connection.execute("create server far foreign data wrapper postgres_fdw")
        connection.execute("create table parent (id int) partition by list (id)")
        connection.execute(
            "create foreign table there partition of parent for values in (1) server far"
        )
        reached = EffectsReached(connection)
        for text, why in {
            "select nextval('counted')": "nextval(), which is volatile",
            "select pg_try_advisory_lock(1)": "pg_try_advisory_lock(), which is volatile",
            "select pg_sleep(1)": "pg_sleep()",
            "select set_config('a.b', 'c', true)": "set_config()",
            "select txid_current()": "which has effects",
            "select lo_create(1)": "lo_create()",
            "select * from t where id === 3": "waits()",
            "select * from twice": "vol(), which is volatile, through view twice, view hidden",
            "select * from t where v = null::checked": "through a check of domain checked",
            "select * from guarded": "through a policy of guarded",
            "select lies()": "nextval(), which is volatile, through function lies()",
            "select built()": "puts SQL together",
            "select reads()": "through function reads(), view twice, view hidden",
            "select 1::pair": "to_pair()",
            "select summed(v) from t": "finished()",
            "select * from parent": "foreign table there",
            "select * from absent": "is not known",
        }.items():
            with pytest.raises(UnsafeError) as found:
                reached.check(text, "public")
            assert why in str(found.value)
        for text in (
            "select t.id, sum(v) over (order by id) from t where id = 1 and j @> '{}' limit 3",
            "select random(), gen_random_uuid(), now(), clock_timestamp()",
            "with recursive r as (select 1 n union all select n + 1 from r where n < 9) select * from r",
            "select last_value from counted",
        ):
            reached.check(text, "public")
        row = connection.execute("select is_called from counted").fetchone()
        assert row == (False,)


def window_of(dsn: str, ask_for: Any) -> ReplayWindow:
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as connection:
        before = collect.collect(dsn, only=FACTS)
        ask_for(connection)
    return replay_window.between(before, collect.collect(dsn, only=FACTS), "test")


@pytest.fixture(scope="module")
def world(pg: Server) -> Iterator[str]:
    with pg.database() as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("create extension if not exists pg_stat_statements")
            connection.execute(SCHEMA.encode())
        yield dsn


@pytest.fixture(scope="module")
def window(world: str) -> ReplayWindow:
    return window_of(world, ask)


@pytest.fixture(scope="module")
def mix(world: str, window: ReplayWindow) -> Iterator[ReplayMix]:
    with mixing.mixed(window, world) as found:
        yield found


def ground_of(dsn: str) -> Ground:
    with psycopg.connect(dsn) as connection:
        info = connection.info
        return Ground(
            conninfo=dsn,
            shown="copy",
            database=info.dbname,
            server_version=info.server_version,
            is_embedded=False,
        )


def test_most_shapes_are_replayed_like_production(mix: ReplayMix) -> None:
    left = {s.query: s.reason for s in mix.rejected}
    assert len(mix.scripts) >= len(SHAPES) - 3, left
    assert all(reason for reason in left.values())
    assert not {r for r in left.values() if "fails" in r or "accept" in r or "no value" in r}
    assert mix.fidelity.covered_share is not None
    assert mix.fidelity.covered_share > 0.6
    for each in mix.fidelity.statements:
        if each.is_used:
            here = CallWork(each.rows_here or 0, each.blocks_here or 0, 0)
            assert (
                deviation(here, CallWork(each.rows_there or 0, each.blocks_there or 0, 0)) <= FACTOR
            )


def test_values_of_one_row_belong_together(mix: ReplayMix, world: str) -> None:
    """Where columns are correlated, values that are drawn apart find nothing."""
    with psycopg.connect(world, autocommit=True) as connection:
        for columns in (("tenant", "email"), ("tenant", "customer", "status")):
            (found,) = (
                s
                for s in mix.fidelity.statements
                if all(f"{c} = $" in s.query for c in columns)
                and s.query.count("= $") == len(columns)
            )
            text = next(s.text for s in mix.scripts if s.name == f"query {found.query_id}")
            texts = [line for line in text.splitlines() if line.startswith("select")]
            assert len(texts) > 8
            empty = [not connection.execute(t.encode()).fetchone() for t in texts]
            assert not any(empty)
            apart = connection.execute(drawn_apart(columns)).fetchone()
            assert apart is not None
            assert apart[0] > 0.9


def drawn_apart(columns: tuple[str, ...]) -> sql.Composed:
    """Return a query for the share of draws, column by column, for which there is no row."""
    table = sql.Identifier("users" if "email" in columns else "orders")
    draws = sql.SQL(", ").join(
        sql.SQL(
            "(select {c} from {t} where g > 0 order by hashint8(id + {salt} * g) limit 1) as {c}"
        ).format(c=sql.Identifier(c), t=table, salt=sql.Literal(salt * 7919))
        for salt, c in enumerate(columns, 1)
    )
    same = sql.SQL(" and ").join(
        sql.SQL("t.{c} = d.{c}").format(c=sql.Identifier(c)) for c in columns
    )
    return sql.SQL(
        "select avg((not exists (select from {t} t where {same}))::int)"
        " from (select {draws} from generate_series(1, 40) g) d"
    ).format(t=table, same=same, draws=draws)


def test_a_mix_runs_under_load_without_errors_and_as_a_reader(mix: ReplayMix, world: str) -> None:
    for protocol in (QueryProtocol.SIMPLE, QueryProtocol.PREPARED):
        ran = runner(ground_of(world))(
            Order(
                scripts=mix.scripts,
                clients=2,
                rate=None,
                seconds=2.5,
                warmup_s=0.3,
                protocol=protocol,
                settings=mix.settings,
            )
        )
        assert (dict(ran.failures), ran.errors) == ({}, ())
        assert ran.transactions > 0
    with psycopg.connect(world, autocommit=True) as connection:
        connection.execute("create sequence if not exists counting")
    options = options_of(mix.settings)
    with psycopg.connect(world, options=options, autocommit=True) as connection:
        for text in ("insert into items values (1)", "select nextval('counting')"):
            with pytest.raises(psycopg.Error, match=r"read-only transaction|permission denied"):
                connection.execute(text.encode())
        connection.execute("set transaction_read_only = off")
        connection.execute("set default_transaction_read_only = off")
        with pytest.raises(psycopg.Error, match="permission denied"):
            connection.execute("insert into items values (1)")


def test_no_value_of_a_user_is_shown(mix: ReplayMix, window: ReplayWindow) -> None:
    assert any("@t" in s.text for s in mix.scripts)
    shown = repr((mix.fidelity, mix.notes, mix.protocol_reason, mix.settings, mix.label))
    assert ".example" not in shown
    assert all(s.has_user_values for s in mix.scripts)


def test_the_role_is_gone_afterwards_and_what_a_killed_replay_left_is_dropped(db: str) -> None:
    left, another = f"{PREFIX}left", f"{PREFIX}another"
    with psycopg.connect(db, autocommit=True) as connection:
        connection.execute("create extension pg_stat_statements")
        connection.execute("create table t as select 1 as a")
        found = window_of(db, lambda asking: asking.execute("select * from t where a = 1"))
        for name, place in ((left, "current"), (another, "other")):
            connection.execute(f"create role {name}".encode())
            connection.execute(
                f"do $$ begin execute format('comment on role {name} is %L', 'pgwatch_wed replay in '"
                " || (select oid from pg_database where datname = current_database())"
                f" || '{'' if place == 'current' else '0'}'); end $$".encode()
            )
        try:
            with mixing.mixed(found, db) as mix:
                assert mix.settings["role"] in roles(connection)
                assert left not in roles(connection)
                assert mix.covered_calls > 0
                with pytest.raises(CollectError, match="another replay"), mixing.mixed(found, db):
                    pass
            assert roles(connection) == {another}
        finally:
            connection.execute(f"drop role if exists {another}".encode())


def roles(connection: psycopg.Connection) -> set[str]:
    """Return the roles of replays, without that of the module's mix."""
    rows = connection.execute(
        "select rolname from pg_roles where rolname ~ %s and not exists (select from pg_database d"
        " where d.datname <> current_database() and shobj_description(pg_roles.oid, 'pg_authid')"
        " = 'pgwatch_wed replay in ' || d.oid)",
        [f"^{PREFIX}"],
    )
    return {name for (name,) in rows}


# powa-web#146 has the first, pg_query#169 the second, pgdog#134 the third: what others stumbled over.
THREADS = {
    "select a.id, sum(coalesce(c.v, 0) - coalesce(c.v, 1)) from t a join t b on a.id >= b.id and a.id <= b.id"
    " join t c on c.id = b.id where (a.id >= 3 and a.id <= 9 or a.id in (1, 2, 3, 4)) and c.id in (select d.id from t d"
    " left join t e on d.v = e.id where true and d.state = 'open' and d.made <= '2024-02-01'::date) group by a.id": "",
    "select count(*) from t where made > date '2024-01-30' - interval '20 days'": "",
    "select pg_try_advisory_lock(17)": "it calls pg_try_advisory_lock(), which is volatile",
    "select v from t where id in (7, 8, 9) for share": "it locks rows, which changes them",
    "update t set v = v where id = 1": "it changes data",
}


def test_what_others_stumbled_over_on_each_version(every_db: str) -> None:
    with psycopg.connect(every_db, autocommit=True) as connection:
        connection.execute("create extension pg_stat_statements")
        connection.execute(
            "create table t as select g as id, g % 10 as v, case when g % 2 = 0 then 'open' else 'done' end as state,"
            " date '2024-01-01' + g % 50 as made from generate_series(1, 2000) g"
        )
        connection.execute("create unique index on t (id)")
        connection.execute("analyze t")

    def asked(connection: psycopg.Connection) -> None:
        for text in THREADS:
            for _ in range(3):
                connection.execute(text.encode())

    found = window_of(every_db, asked)
    with mixing.mixed(found, every_db) as mix:
        reasons = [s.reason for s in mix.fidelity.statements if s.rows_here is None]
        assert sorted(reasons) == sorted(filter(None, THREADS.values()))
        assert len(mix.fidelity.statements) == len(THREADS)
        with psycopg.connect(every_db, options=options_of(mix.settings)) as connection:
            row = connection.execute(
                "select current_user, current_setting('is_superuser')"
            ).fetchone()
            assert row == (mix.settings["role"], "off")


@contextmanager
def cloned(server: Server, name: str) -> Iterator[str]:
    """Yield a copy of a database that nobody is connected to; drop it afterwards."""
    copy = sql.Identifier(f"{name}_copy")
    server.execute(sql.SQL("create database {} template {}").format(copy, sql.Identifier(name)))
    try:
        yield server.dsn(f"{name}_copy")
    finally:
        server.execute(sql.SQL("drop database {} with (force)").format(copy))


def replayed(files: str, copy: str, owned: str, folder: Path) -> Any:
    """Return the report of db-analyze stress."""
    options = [
        *("--replay", files, "--copy", copy, "--i-own-this-server", owned, "--clients", "2"),
        *("--even-if", "busy,replicated", "--seconds", "6", "--output", str(folder), "--quiet"),
    ]
    done = subprocess.run(
        [*PROGRAM, "stress", *options], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("report-*.json")
    document = json.loads(path.read_text(encoding="utf-8"))
    stress_schema().validate(document)
    return document


@pytest.mark.spread(1)
def test_a_copy_is_confirmed_and_is_not_production(
    every_db: str, every_pg: Server, tmp_path: Path
) -> None:
    with psycopg.connect(every_db, autocommit=True) as connection:
        connection.execute("create extension pg_stat_statements")
        connection.execute("create table t as select generate_series(1, 100) as a")
        name = connection.info.dbname
    before = collect.collect(every_db, only=FACTS)
    with psycopg.connect(every_db, autocommit=True) as connection:
        connection.execute("select * from t where a = 1")
        connection.execute("select count(*) from t")
    files = tmp_path / "old", tmp_path / "new"
    for path, snapshot in zip(files, (before, collect.collect(every_db, only=FACTS)), strict=True):
        path.write_bytes(file.dumps(snapshot))
    source = ReplaySource.of_option(f"{files[0]},{files[1]}", None, None)
    with cloned(every_pg, name) as copy:
        everything = frozenset({"busy", "replicated"})
        with (
            pytest.raises(UsageError, match="the server answers") as refused,
            replay_ground(source, copy, "", everything, watched_s=0),
        ):
            pass
        owned = str(refused.value.hint).rpartition(" ")[2].strip("'")
        with replay_ground(source, copy, owned, everything, watched_s=0) as place:
            assert place.ground.conninfo
            assert len(place.mix.scripts) == 2
        document = replayed(f"{files[0]},{files[1]}", copy, owned, tmp_path)
        (run,) = document["runs"]
        assert run["scenario"]["name"] == "replay"
        assert run["phases"][-1]["figures"]["transactions"] > 0
        statements = run["fidelity"]["statements"]
        assert [s["rows_per_call"]["production"] for s in statements] == [1, 1]
        assert "not shown" in json.dumps(run["scenario"])
        own = owned.rpartition("/")[0] + "/" + name
        with (
            pytest.raises(UsageError, match="is the database of the snapshots itself"),
            replay_ground(source, every_db, own, everything, watched_s=0),
        ):
            pass
        now = ReplaySource.of_option("now", every_db, 1.0)
        with (
            pytest.raises(UsageError, match="is the target itself"),
            replay_ground(now, every_db, own, everything, watched_s=0),
        ):
            pass


@pytest.mark.parametrize(
    ("given", "target", "window_s", "said"),
    [
        ("now", None, None, "there is none"),
        ("one", "x", None, "OLD,NEW"),
        ("a,b,c", "x", None, "OLD,NEW"),
        ("a,", "x", None, "OLD,NEW"),
        ("a,b", "x", 5.0, "--window is for"),
    ],
)
def test_a_source_that_makes_no_sense_is_refused(
    given: str, target: str | None, window_s: float | None, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        ReplaySource.of_option(given, target, window_s)


def test_a_window_is_between_two_snapshots(world: str, tmp_path: Path) -> None:
    one, two = (collect.collect(world, only=FACTS) for _ in range(2))
    with pytest.raises(CollectError, match="no statement of users was called"):
        replay_window.between(one, two, "x")
    with pytest.raises(DeltaError, match="older first"):
        replay_window.between(two, one, "x")
    for name, snapshot in (("a", one), ("b", two)):
        (tmp_path / name).write_bytes(file.dumps(snapshot))
    with pytest.raises(CollectError, match="longer window"):
        replay_window.of_files(tmp_path / "a", tmp_path / "b")
    with pytest.raises(UsageError, match="less than a second"):
        replay_window.of_target(world, 0.2)


def test_a_script_chooses_among_values() -> None:
    assert script(["select 1"]) == "select 1;\n"
    assert script(["select 1", "select 2"]).splitlines()[1::3] == [
        "\\if :pgwatch_wed_values = 1",
        "select 2;",
    ]
