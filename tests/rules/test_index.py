"""Index rules where a scenario file cannot go: time, other sessions, standbys, TOAST."""

import threading
import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import parse
from pgwatch_wed.facts import (
    IndexBuild,
    IndexDropTrial,
    NodeIndexUsage,
    Replica,
    Snapshot,
    TableActivity,
)
from pgwatch_wed.findings import Finding, Grade, Report, Severity, Verdict
from pgwatch_wed.target.collect import collect
from tests.psql import psql
from tests.rules.waiting import later
from tests.servers import Server

TABLE = """
create table t (id int primary key, a int, b int);
create index t_a on t (a);
create index t_b on t (b);
insert into t select g, g % 100, g from generate_series(1, 50000) g;
analyze t;
"""


def report(snapshot: Snapshot, rule: str, **config: object) -> Report:
    return analyse([snapshot], parse({"only": [rule], **config}, "test"))


def findings(snapshot: Snapshot, rule: str, **config: object) -> dict[str, Finding]:
    return {f.object.name: f for f in report(snapshot, rule, **config).findings}


@pytest.fixture
def idle(db: str) -> Snapshot:
    psql(db, TABLE)
    return collect(db)


@pytest.fixture
def idle_for_days(idle: Snapshot) -> Snapshot:
    """Counters that are long enough to be a proof, if not for the default window."""
    return later(idle, days=2)


def test_young_counters_prove_no_index_unused(idle: Snapshot) -> None:
    found = report(idle, "index-unused")
    assert found.verdicts[0].verdict is Verdict.UNKNOWN
    assert "30 days are required" in found.verdicts[0].reason


def test_counters_of_a_month_are_enough(idle: Snapshot) -> None:
    assert set(findings(later(idle, days=31), "index-unused")) == {"t_a", "t_b"}


@pytest.mark.pg(">= 15")  # before, a database's statistics have a date from their first row on
def test_who_cannot_read_the_age_of_a_database_accuses_no_index(
    pg: Server, db: str, idle: Snapshot
) -> None:
    """The cluster may be years old, and the database of today."""
    with pg.role("pg_monitor") as role:
        seen = collect(psycopg.conninfo.make_conninfo(db, user=role))
        assert seen.server.database_created_at is None
        # as old as a cluster is, whose counters have no younger date
        old = replace(
            later(seen, days=400),
            checkpoints=tuple(
                replace(c, stats_reset=seen.now - timedelta(days=400)) for c in seen.checkpoints
            ),
        )
        young = later(seen, days=0)
        for snapshot in (replace(old, table_activity=_dated(old, old.now)), young):
            verdict = report(snapshot, "index-unused").verdicts[0]
            assert verdict.verdict is Verdict.UNKNOWN
            assert f"TO {role}" in str(verdict.mend)
        # a table that was analyzed that long ago proves it
        proven = replace(old, table_activity=_dated(old, old.now - timedelta(days=40)))
        assert set(findings(proven, "index-unused")) == {"t_a", "t_b"}
        psql(db, f'grant execute on function pg_stat_file(text, boolean) to "{role}"')
        known = collect(psycopg.conninfo.make_conninfo(db, user=role))
        assert known.server.database_created_at is not None
        assert set(findings(later(known, days=31), "index-unused")) == {"t_a", "t_b"}
        psql(db, f'revoke execute on function pg_stat_file(text, boolean) from "{role}"')


def _dated(snapshot: Snapshot, when: datetime) -> tuple[TableActivity, ...]:
    names = ("last_seq_scan", "last_idx_scan", "last_vacuum", "last_autovacuum")
    every: dict[str, Any] = dict.fromkeys((*names, "last_analyze", "last_autoanalyze"), when)
    toast: dict[str, Any] = {"toast_last_vacuum": None, "toast_last_autovacuum": None}
    return tuple(replace(a, **every, **toast) for a in snapshot.table_activity)


def test_counters_of_less_than_a_day_prove_little_whatever_the_window(
    idle: Snapshot, idle_for_days: Snapshot
) -> None:
    short, long = (findings(s, "index-unused", window=0)["t_a"] for s in (idle, idle_for_days))
    assert (short.grade, long.grade) == (Grade.C, Grade.B)
    assert [c for c in short.caveats if c not in long.caveats] == [
        "The counters cover less than a day, which proves little about jobs and reports."
    ]


def test_a_scan_within_the_window_keeps_an_index(idle: Snapshot) -> None:
    old, new = idle.now + timedelta(days=1), idle.now + timedelta(days=40)
    read = {i.oid: old if i.name == "t_a" else new for i in idle.indexes}
    usage = tuple(replace(u, idx_scan=5, last_idx_scan=read[u.oid]) for u in idle.index_usage)
    snapshot = later(replace(idle, index_usage=usage), days=50)
    assert set(findings(snapshot, "index-unused")) == {"t_a"}
    before_16 = replace(
        snapshot, index_usage=tuple(replace(u, last_idx_scan=None) for u in snapshot.index_usage)
    )
    assert findings(before_16, "index-unused") == {}


def test_an_index_whose_own_counters_were_reset_is_unknown(idle: Snapshot) -> None:
    reset = idle.now + timedelta(days=30)
    usage = tuple(replace(u, stats_reset=reset) for u in idle.index_usage)
    found = report(later(replace(idle, index_usage=usage), days=31), "index-unused")
    assert found.verdicts[0].verdict is Verdict.UNKNOWN
    assert "reset within the window" in found.verdicts[0].reason


def test_an_index_that_came_after_the_writes_is_unknown(db: str) -> None:
    psql(db, TABLE + "insert into t select g, g, g from generate_series(50001, 60000) g;")
    snapshot = later(collect(db), days=31)
    activity = tuple(replace(a, n_tup_ins=a.n_tup_ins * 100) for a in snapshot.table_activity)
    found = report(replace(snapshot, table_activity=activity), "index-unused")
    assert found.verdicts[0].verdict is Verdict.UNKNOWN
    assert "too few of the table's writes" in found.verdicts[0].reason


def test_a_write_accesses_a_page_on_each_level(db: str) -> None:
    """An index that was there for half of the time has accessed as many pages as there were writes."""
    grow = "insert into w select g % 500, repeat('n', 60) from generate_series(1, 3000) g;"
    psql(db, f"create table w (a int, note text); {grow.replace('3000', '20000')} vacuum w")
    psql(db, "select pg_stat_reset()")
    psql(db, f"{grow} create index w_late on w (note, a)")
    psql(db, grow)
    found = report(later(collect(db), days=40), "index-unused").verdicts[0]
    assert found.verdict is Verdict.UNKNOWN
    assert "public.w_late: it received too few of the table's writes" in found.reason


def _read(db: str) -> None:
    """Read a table without its indexes, so that it is known to be in use."""
    psql(db, "select count(*) from r where b > 0; select pg_sleep(0.1);")


READ_MOSTLY = """
create table r (id int primary key, a int, b int);
insert into r select g, g % 100, g from generate_series(1, 50000) g;
analyze r;
"""
LATER = """
select pg_stat_reset();
create index r_a on r (a);
create index r_partial on r (b) where a is not null;
"""


def test_a_new_index_on_a_table_with_few_writes_is_not_unused(db: str) -> None:
    psql(db, READ_MOSTLY)
    psql(db, LATER)
    _read(db)
    snapshot = later(collect(db), days=31)
    verdict = report(snapshot, "index-unused").verdicts[0]
    assert verdict.verdict is Verdict.UNKNOWN
    assert "too few writes to tell whether it has existed" in verdict.reason
    assert "--window 0" in str(verdict.mend)
    accepted = findings(snapshot, "index-unused", window=0)
    assert set(accepted) == {"r_a", "r_partial"}


@pytest.mark.pg(">= 16")  # last_seq_scan
def test_a_table_that_was_created_later_proves_the_age_of_an_index(db: str) -> None:
    psql(db, READ_MOSTLY)
    psql(db, f"{LATER} create table younger (id int); create index r_late on r (b, a);")
    _read(db)
    psql(db, "select * from younger;")
    now = later(collect(db), days=31)
    old = {t.oid for t in now.tables if t.name == "younger"}
    then = now.now - timedelta(days=30, hours=1)
    used = [replace(a, last_seq_scan=then if a.oid in old else now.now) for a in now.table_activity]
    proven = replace(now, table_activity=tuple(used))
    assert set(findings(proven, "index-unused")) == {"r_a", "r_partial"}
    since = [replace(a, last_seq_scan=now.now, last_analyze=None) for a in now.table_activity]
    assert findings(replace(now, table_activity=tuple(since)), "index-unused") == {}


def test_a_new_index_is_not_rarely_used(db: str) -> None:
    psql(db, TABLE + "create index t_late on t ((a + b));")
    late = later(collect(db), days=31)
    used = tuple(
        replace(u, idx_scan=1, idx_tup_read=1, last_idx_scan=late.now) for u in late.index_usage
    )
    snapshot = replace(late, index_usage=used)
    limits = {"index-rarely-used": {"min_size_bytes": 0}}
    assert set(findings(snapshot, "index-rarely-used", rules=limits)) == {"t_a", "t_b"}
    verdict = report(snapshot, "index-rarely-used", rules=limits).verdicts[0]
    assert "public.t_late: it received too few of the table's writes" in verdict.reason


def test_what_vacuum_read_does_not_make_an_index_older(db: str) -> None:
    psql(db, TABLE + "create index t_late on t (b, a);")
    snapshot = later(collect(db), days=31)
    late = next(i for i in snapshot.indexes if i.name == "t_late")
    vacuumed = replace(
        snapshot,
        table_activity=tuple(replace(a, vacuum_count=400) for a in snapshot.table_activity),
        index_usage=tuple(
            replace(u, blks_hit=400 * late.pages) if u.oid == late.oid else u
            for u in snapshot.index_usage
        ),
    )
    assert "t_late" not in findings(vacuumed, "index-unused")


def test_an_index_that_blocks_hot_updates_is_dropped_only_if_it_is_proven_unused(db: str) -> None:
    psql(
        db,
        "create extension pg_stat_statements;"
        "create table h (id int primary key, state int) with (fillfactor = 30);"
        "create index h_state on h (state);"
        "insert into h select g, g from generate_series(1, 20000) g;"
        "update h set state = state + 1;"
        "update h set state = state + 1 where id > 0;",
    )
    young = collect(db)
    kept = findings(young, "index-blocks-hot")["h_state"]
    assert kept.remedy == ()
    assert any("days are required" in c and "does not prove it unused" in c for c in kept.caveats)
    dropped = findings(later(young, days=31), "index-blocks-hot")["h_state"]
    assert "DROP INDEX" in dropped.remedy[0].sql
    assert findings(later(young, days=31), "index-unused")["h_state"].remedy == dropped.remedy
    known = dict.fromkeys(Replica.__dataclass_fields__)
    standby = Replica(**{**known, "pid": 1, "state": "streaming"})  # type: ignore[arg-type]
    seen = replace(later(young, days=31), replicas=(standby,))
    assert findings(seen, "index-blocks-hot")["h_state"].remedy == ()


def test_a_standby_that_nobody_asked_lowers_the_grade(idle_for_days: Snapshot) -> None:
    known = dict.fromkeys(Replica.__dataclass_fields__)
    replica = Replica(**{**known, "pid": 1, "state": "streaming"})  # type: ignore[arg-type]
    seen = findings(replace(idle_for_days, replicas=(replica,)), "index-unused", window=0)["t_a"]
    assert (seen.grade, seen.severity) == (Grade.C, Severity.INFO)
    assert any("--standby" in c for c in seen.caveats)
    backup = replace(replica, application_name="pg_basebackup")
    unasked = findings(replace(idle_for_days, replicas=(backup,)), "index-unused", window=0)["t_a"]
    assert unasked.grade is Grade.B


def test_an_index_stays_if_the_workload_costs_more_without_it(idle_for_days: Snapshot) -> None:
    oid = next(i.oid for i in idle_for_days.indexes if i.name == "t_a")
    other = next(i.oid for i in idle_for_days.indexes if i.name == "t_b")
    trials = (
        IndexDropTrial(oid, 1000.0, 5000.0, 1, 5.0, 3),
        IndexDropTrial(other, 1000.0, 1000.0, None, 1.0, 3),
    )
    kept = replace(idle_for_days, index_drop_trials=trials, missing={})
    found = findings(kept, "index-unused", window=0)
    assert {name: f.grade for name, f in found.items()} == {"t_b": Grade.A}
    doubted = tuple(replace(t, doubts=("the lab lacks something",)) for t in trials)
    found = findings(replace(kept, index_drop_trials=doubted), "index-unused", window=0)
    assert {name: f.grade for name, f in found.items()} == {"t_b": Grade.B}


def test_an_unscanned_expression_index_warns_of_its_statistics(db: str) -> None:
    psql(db, TABLE + "create index t_e on t ((a + b)); analyze t;")
    found = findings(collect(db), "index-unused", window=0)["t_e"]
    assert any("CREATE STATISTICS" in c for c in found.caveats)


def test_a_running_build_is_not_invalid(every_pg: Server, every_db: str) -> None:
    psql(every_db, TABLE)
    with psycopg.connect(every_db) as holder:
        holder.execute("insert into t values (0, 0, 0)")
        builder = threading.Thread(
            target=psql, args=(every_db, "create index concurrently t_new on t (a, b);")
        )
        builder.start()
        snapshot = _wait_for_invalid(every_db)
        seen = findings(snapshot, "index-invalid")
        hidden = tuple(replace(b, relation_oid=0, index_oid=0) for b in snapshot.index_builds)
        as_stranger = report(replace(snapshot, index_builds=hidden), "index-invalid")
        holder.rollback()
    builder.join()
    assert seen == {}
    assert as_stranger.verdicts[0].verdict is Verdict.UNKNOWN
    assert findings(collect(every_db), "index-invalid") == {}


def test_a_running_rebuild_or_drop_is_not_invalid(every_pg: Server, every_db: str) -> None:
    psql(every_db, TABLE)
    for command in ("reindex index concurrently t_a", "drop index concurrently t_b"):
        with psycopg.connect(every_db) as holder:
            holder.execute("insert into t values (0, 0, 0)")
            worker = threading.Thread(target=psql, args=(every_db, command))
            worker.start()
            snapshot = _wait_for_invalid(every_db)
            holder.rollback()
        worker.join()
        assert findings(snapshot, "index-invalid") == {}, command


def _wait_for_invalid(db: str) -> Snapshot:
    with psycopg.connect(db, autocommit=True) as watcher:
        for _ in range(300):
            query = "select count(*) from pg_index where not indisvalid"
            if watcher.execute(query).fetchone() != (0,):
                return collect(db)
            time.sleep(0.05)
    raise AssertionError("no index became invalid")


def test_what_a_cancelled_rebuild_left_on_toast_is_found_and_dropped(
    every_pg: Server, every_db: str
) -> None:
    psql(every_db, "create table w (id int primary key, x text); insert into w values (1, 'x');")
    with psycopg.connect(every_db) as holder:
        holder.execute("insert into w values (2, 'y')")
        with psycopg.connect(every_db, autocommit=True) as worker:
            worker.execute("set statement_timeout = '1s'")
            with pytest.raises(psycopg.errors.QueryCanceled):
                worker.execute("reindex table concurrently w")
        holder.rollback()
    found = findings(collect(every_db), "index-invalid")
    assert set(found) >= {"w_pkey_ccnew"}
    toast = next(f for name, f in found.items() if name.startswith("pg_toast_"))
    assert [o.name for o in toast.related if o.kind == "table"] == ["w"]
    with psycopg.connect(every_db, autocommit=True) as connection:
        for finding in found.values():
            connection.execute(finding.remedy[0].sql.encode())
    assert findings(collect(every_db), "index-invalid") == {}


def test_an_index_being_built_is_no_copy(idle: Snapshot) -> None:
    t_a = next(i for i in idle.indexes if i.name == "t_a")
    twin = replace(t_a, oid=t_a.oid + 100_000, name="t_a_ccnew", is_valid=False)
    build = IndexBuild(1, t_a.table_oid, twin.oid, "REINDEX CONCURRENTLY", "building index")
    snapshot = replace(idle, indexes=(*idle.indexes, twin), index_builds=(build,))
    assert findings(snapshot, "index-duplicate") == {}
    assert findings(snapshot, "index-invalid") == {}


def test_of_equals_the_one_that_a_standby_reads_stays(db: str) -> None:
    psql(db, TABLE + "create index t_a_again on t (a) with (fillfactor = 10); analyze t;")
    snapshot = collect(db)
    oid = {i.name: i.oid for i in snapshot.indexes}
    usages = tuple(
        replace(u, idx_scan=9) for u in snapshot.index_usage if u.oid == oid["t_a_again"]
    )
    node = NodeIndexUsage("standby", snapshot.now, None, usages)
    assert set(findings(snapshot, "index-duplicate")) == {"t_a_again"}
    assert set(findings(replace(snapshot, nodes=(node,)), "index-duplicate")) == {"t_a"}


LEFT_OUT = """
create schema archive;
create table customers (id int primary key);
create table orders (id int, at date, customer int references customers, k int) partition by range (at);
create table orders_25 partition of orders for values from ('2025-01-01') to ('2026-01-01');
create table archive.orders partition of orders for values from ('2020-01-01') to ('2025-01-01') partition by hash (id);
create table archive.orders_0 partition of archive.orders for values with (modulus 1, remainder 0);
create view archive.orders_customer_idx as select 1;
insert into customers select generate_series(1, 100);
insert into orders select g, date '2024-06-01' + g % 500, 1 + g % 100, g from generate_series(1, 20000) g;
create index orders_k on orders (k);
create index orders_k_too on orders (k);
create index half on only orders (id);
analyze;
"""


def test_partitions_in_schemas_that_are_left_out_are_partitions(db: str) -> None:
    psql(db, LEFT_OUT)
    snapshot = collect(db)
    (found,) = report(snapshot, "index-missing-fk", skip_schemas=["archive"]).findings
    psql(db, found.remedy[0].sql)
    with psycopg.connect(db) as connection:
        valid = connection.execute(
            "select indrelid::regclass::text, indisvalid from pg_index"
            " where pg_get_indexdef(indexrelid) like '%(customer)' order by 1"
        ).fetchall()
    assert valid == [
        (name, True) for name in ("archive.orders", "archive.orders_0", "orders", "orders_25")
    ]
    half = report(snapshot, "index-incomplete", skip_schemas=["archive"])
    assert half.verdicts[0].verdict is Verdict.UNKNOWN
    assert "skipped schemas" in half.verdicts[0].reason
    (twin,) = report(snapshot, "index-duplicate", skip_schemas=["archive"]).findings
    assert twin.remedy[0].undo.startswith("-- not known: ")
    (twin,) = report(snapshot, "index-duplicate").findings
    assert twin.remedy[0].undo.startswith("CREATE INDEX orders_k_too ON ONLY")
