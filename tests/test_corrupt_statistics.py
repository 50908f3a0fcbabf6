"""Statistics that are not there, or cannot be: NULL wherever it is allowed, and numbers out of range.

The snapshots are real ones; together they have a row of every fact. Whatever column of it is NULL, every
rule judges, no text says "None", and every report can be made.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from types import UnionType
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pgwatch_wed.analyse import analyse, analyse_redacted
from pgwatch_wed.config import Config
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.facts import Server, Snapshot, fact_names
from pgwatch_wed.facts import file as snapshot_file
from pgwatch_wed.facts.delta import delta
from pgwatch_wed.facts.fields import field_types
from pgwatch_wed.facts.rows import Forecast, HistoryCoverage
from pgwatch_wed.facts.snapshot import FROM_HISTORY
from pgwatch_wed.gather.run import gather
from pgwatch_wed.gather.wanted import Wanted
from pgwatch_wed.render import rendering as render
from pgwatch_wed.rules import all_rules
from pgwatch_wed.target.collect import collect
from pgwatch_wed.target.sampler import sampling
from tests import nulls, servers
from tests.advice_rows import RECORD, followed
from tests.formats import TEXTUAL
from tests.psql import psql
from tests.shift_rows import level_shifts, statement_shift
from tests.standby import catch_up, standby_of
from tests.zoo import SCRIPT, in_motion
from tools import example

CONFIG = Config(window_days=0)
OUTDATED_COLLATION = """
    create collation app.outdated (provider = builtin, locale = 'C.UTF-8');
    update pg_catalog.pg_collation set collversion = 'old' where collname = 'outdated';
    create table app.sorted (x text collate app.outdated);
    create index on app.sorted (x);
"""


@contextmanager
def everything() -> Iterator[tuple[embedded.EmbeddedServer, embedded.EmbeddedServer]]:
    """Run a primary and its standby on which there is something to say about every fact."""
    settings = {
        "wal_level": "logical",
        "max_prepared_transactions": "10",
        "allow_system_table_mods": "on",
    }
    with embedded.start(settings) as primary:
        psql(primary.dsn(), SCRIPT + "create extension pgstattuple;" + OUTDATED_COLLATION)
        with standby_of(primary, slot="follower") as follower:
            catch_up(primary, follower)
            with (primary.data / "pgwed.conf").open("a", encoding="utf-8") as conf:
                conf.write("no_such_setting = 1\n")
            yield primary, follower
        psql(primary.dsn(), "drop subscription if exists sub;")


@pytest.fixture(scope="module")
def snapshots() -> tuple[Snapshot, ...]:
    """The demo's shop with its findings, a server with one of everything, what it did since, and its standby."""
    shop = example.snapshot()
    with everything() as (primary, follower):
        wanted = Wanted(standbys=(follower.dsn(),), exact_bloat=5, budget_s=60)
        server = servers.Server(servers.embedded_spec(), primary.dsn(), primary.stop, local=primary)
        with in_motion(server, primary.dsn()), sampling(primary.dsn(), 0.1) as sampler:
            (zoo,) = gather(primary.dsn(), replace(wanted, advise=False), lambda _w, _s: None)
            later = sampler.add_to(collect(primary.dsn()))
        standby = collect(follower.dsn())
    return with_history(shop), zoo, standby, delta(zoo, later)


def with_history(snapshot: Snapshot) -> Snapshot:
    """Return a snapshot with what earlier runs tell."""
    own = followed(oids=(snapshot.indexes[0].oid,))
    asked = tuple(HistoryCoverage(fact, 5, snapshot.now) for fact in sorted(FROM_HISTORY))
    return replace(
        snapshot,
        followed_advice=(own,),
        advice_record=(RECORD,),
        statement_shifts=(statement_shift(snapshot.statements[0].query_id),),
        level_shifts=level_shifts(snapshot),
        forecasts=(Forecast("database", 0, "bytes", 1e9, 2e9, 40, schema="app", note="-"),),
        history_coverage=asked,
    )


def judges(snapshot: Snapshot, what: str) -> None:
    """Judge by every rule."""
    for rule in all_rules():
        nulls.judged(rule, snapshot, CONFIG, what)


def reported(snapshot: Snapshot) -> None:
    """Make every report, and the file."""
    report = analyse([snapshot], CONFIG)
    for name in TEXTUAL:
        assert render.document(name, report, (snapshot,))
    assert render.text(report, verbose=True)
    assert analyse_redacted([snapshot], CONFIG)
    assert snapshot_file.loads(snapshot_file.dumps(snapshot)) == snapshot


def test_the_snapshots_have_rows_of_every_fact(snapshots: tuple[Snapshot, ...]) -> None:
    """Without this, a NULL in a fact without rows would prove nothing."""
    assert [f for f in fact_names() if not any(getattr(s, f) for s in snapshots)] == []


def test_every_rule_judges_whatever_single_column_is_null(snapshots: tuple[Snapshot, ...]) -> None:
    """What is found on other servers is judged so where it is found, by tests/rules/judging.py."""
    tried = set()
    for snapshot in snapshots:
        for what, emptied in nulls.each(snapshot):
            judges(emptied, what)
            tried.add(what)
    assert len(tried) > 150, "the other columns are NULL on all three servers"


def test_every_report_is_made_of_a_fact_that_is_all_null(snapshots: tuple[Snapshot, ...]) -> None:
    """Rules judge it in every snapshot; reports are made of the first that has it."""
    made = set()
    for snapshot in snapshots:
        for fact in filter(partial(getattr, snapshot), fact_names()):
            emptied = nulls.without(snapshot, fact)
            judges(emptied, fact)
            if fact not in made:
                reported(emptied)
                made.add(fact)
    assert made == set(fact_names())


def test_a_snapshot_in_which_everything_is_null_is_judged_and_reported(
    snapshots: tuple[Snapshot, ...],
) -> None:
    unknown: dict[str, Any] = {
        name: None for name, hint in field_types(Server).items() if isinstance(hint, UnionType)
    }
    for snapshot in snapshots:
        emptied = replace(snapshot, server=replace(snapshot.server, **unknown))
        for fact in fact_names():
            emptied = nulls.without(emptied, fact)
        judges(emptied, "anything")
        reported(emptied)


# What a damaged catalog can hold: PostgreSQL checks none of these numbers when it reads them.
DAMAGE = {
    "no number": ("NaN", 1),
    "infinite": ("Infinity", 1),
    "negative": ("-7", -7),
    "huge": ("3e38", 2_147_483_647),
    "nothing": ("0", 0),
}
RELATIONS = """
    update pg_class set reltuples = {0}, relpages = {1}, relallvisible = {1}
    where relnamespace = 'app'::regnamespace"""
STATISTICS = """
    update pg_statistic
    set stanullfrac = {0}, stadistinct = {0}, stawidth = {1},
        stanumbers1 = array[{0}::float4], stanumbers2 = array[{0}::float4],
        stanumbers3 = array[{0}::float4]
    where starelid >= 16384"""


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_catalog_is_read_judged_and_reported(damage: str) -> None:
    settings = {"allow_system_table_mods": "on", "autovacuum": "off", "wal_level": "logical"}
    count, pages = DAMAGE[damage]
    with embedded.start(settings) as server:
        psql(server.dsn(), SCRIPT)
        before = collect(server.dsn())
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            for statement in (RELATIONS, STATISTICS):
                done = admin.execute(sql.SQL(statement).format(sql.Literal(count), pages))
                assert done.rowcount > 0
        snapshot = collect(server.dsn())
        psql(server.dsn(), "drop subscription if exists sub;")
    assert snapshot.missing.keys() == before.missing.keys()
    assert len(snapshot.tables) == len(before.tables)
    judges(snapshot, damage)
    reported(snapshot)
