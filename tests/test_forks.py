"""Servers that lack what their version promises: unknown, never an end."""

from collections.abc import Iterator

import pytest

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import parse
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Verdict
from pgwatch_wed.rules import all_rules
from pgwatch_wed.target.collect import collect
from tests.conftest import StartServer
from tests.psql import psql

FAULT = """
create extension if not exists pg_stat_statements;
create table t (id int primary key, a int);
insert into t select g, g from generate_series(1, 100000) g;
create index t_a on t (a); create index t_a_copy on t (a);
analyze t;
"""


@pytest.fixture(scope="module")
def surgery() -> Iterator[embedded.EmbeddedServer]:
    """A server whose catalogs may be cut, each test in a database of its own."""
    with embedded.start({"allow_system_table_mods": "on"}) as server:
        yield server


@pytest.fixture
def patient(surgery: embedded.EmbeddedServer, request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"fork_{abs(hash(request.node.name)) % 10**9}"
    psql(surgery.dsn(), f"create database {name}")
    psql(surgery.dsn(name), FAULT)
    yield surgery.dsn(name)
    psql(surgery.dsn(), f"drop database {name} with (force)")


def survives(snapshot: Snapshot) -> None:
    """What is there is judged; what is not makes its rules unknown; nothing is an odd error."""
    report = analyse([snapshot], parse({"window": 0}, "test"))
    assert "index-duplicate" in {f.rule for f in report.findings}
    verdicts = {v.rule: v.verdict for v in report.verdicts}
    for rule in all_rules():
        if set(rule.needs) & snapshot.missing.keys():
            assert verdicts[rule.id] is Verdict.UNKNOWN, rule.id
    assert not [m for m in snapshot.missing.values() if "unexpected" in m.reason]


# What clouds close or leave out: Aurora has no WAL of its own, Neon no slots' files, Redshift few.
@pytest.mark.parametrize(
    ("cut", "lost"),
    [
        ("drop view pg_stat_wal cascade", set()),  # what 13 can tell is told
        ("drop view pg_stat_io cascade", {"io"}),
        ("drop view pg_stat_slru cascade", {"slru"}),
        ("drop view pg_stat_archiver cascade", {"archiver"}),
        ("drop view pg_stat_checkpointer cascade", {"checkpoints"}),
        ("drop view pg_replication_slots cascade", {"slots", "slot_spills", "replicas"}),
        ("drop view pg_stat_replication cascade", {"replicas"}),
        ("drop view pg_prepared_xacts cascade", {"prepared_transactions", "lock_waits"}),
        ("drop view pg_stats cascade", set()),  # from the catalog behind it
        (
            "drop view pg_stats cascade; alter table pg_statistic rename stanullfrac to f",
            {"column_statistics"},
        ),
        ("drop view pg_stat_progress_vacuum cascade", {"vacuums"}),
        (
            "drop view pg_locks cascade",
            # without them nobody knows which definitions and files could be read without waiting
            {"lock_table", "lock_waits", "relation_locks", "index_definitions", "file_sizes"},
        ),
        ("alter function pg_blocking_pids(int) rename to no_blockers", {"lock_waits"}),
        ("alter view pg_stat_database rename to pg_stat_databases", {"databases"}),
        ("alter table pg_stat_activity rename column state_change to changed", {"sessions"}),
        ("alter table pg_settings rename column pending_restart to pending", {"settings"}),
    ],
)
def test_what_is_absent_costs_its_own_fact(patient: str, cut: str, lost: set[str]) -> None:
    whole = collect(patient)
    psql(patient, cut)
    snapshot = collect(patient)
    gone = {n for n in snapshot.missing.keys() - whole.missing.keys() if ":" not in n}
    assert gone == lost
    assert all(snapshot.missing[n].reason for n in gone)
    survives(snapshot)


def test_counters_that_were_suspended_are_zero_and_accuse_nobody(start_pg: StartServer) -> None:
    server = start_pg({"track_counts": "off"})
    psql(server.dsn(), FAULT)
    report = analyse([collect(server.dsn())], parse({"window": 0}, "test"))
    accused = {f.rule for f in report.findings} & {"index-unused", "index-rarely-used"}
    assert accused == set()
