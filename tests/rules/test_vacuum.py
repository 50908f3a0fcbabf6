"""Vacuum rules where a scenario file cannot go: other sessions, standbys, settings, ages."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import cast

import psycopg
import pytest
from psycopg import conninfo

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import parse
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.facts import Database, Snapshot
from pgwatch_wed.findings import Finding, Report, Severity, Verdict
from pgwatch_wed.postgres import autovacuum as vac
from pgwatch_wed.target.collect import collect
from tests.conftest import StartServer
from tests.psql import psql
from tests.rules import judging
from tests.rules.waiting import later
from tests.servers import Server
from tests.standby import catch_up, standby_of

HALF_DEAD = """
create table t (id int primary key, filler text) with (autovacuum_enabled = off);
insert into t select g, repeat('x', 100) from generate_series(1, 20000) g;
analyze t;
"""
BURN = "do $$ begin for i in 1..{} loop perform txid_current(); commit; end loop; end $$"


def report(snapshot: Snapshot, rule: str, **config: object) -> Report:
    return analyse([snapshot], parse({"only": [rule], **config}, "test"))


def findings(snapshot: Snapshot, rule: str, **config: object) -> dict[str, Finding]:
    return {f.object.name: f for f in report(snapshot, rule, **config).findings}


@contextmanager
def session(dsn: str, name: str = "app") -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(dsn, application_name=name, autocommit=True) as connection:
        yield connection


def run(dsn: str, finding: Finding) -> None:
    with session(dsn) as connection:
        for step in finding.remedy:
            connection.execute(step.sql.encode())


# The trigger


@pytest.mark.pg(">= 19")
def test_triggers_are_what_the_server_itself_reckons(every_db: str) -> None:
    psql(
        every_db,
        """
        create table plain (id int, doc text) with (autovacuum_enabled = off);
        create table tuned (id int, doc text) with (autovacuum_enabled = off,
            autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 7,
            autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 333,
            autovacuum_vacuum_insert_scale_factor = 0.5);
        create table capped (id int, doc text) with (autovacuum_enabled = off,
            autovacuum_vacuum_max_threshold = 1234);
        insert into plain select g, repeat('x', 3000) from generate_series(1, 5000) g;
        insert into tuned select g, 'x' from generate_series(1, 5000) g;
        insert into capped select g, 'x' from generate_series(1, 20000) g;
        alter table plain alter doc set storage external;
        vacuum (freeze, analyze) plain, tuned, capped;
        insert into plain select g, repeat('x', 9000) from generate_series(1, 3000) g;
        insert into tuned select g, 'x' from generate_series(1, 3000) g;
        insert into capped select g, 'x' from generate_series(1, 3000) g;
        delete from plain where id < 1000; delete from tuned where id < 1000; delete from capped where id < 1000;
        """,
    )
    snapshot = collect(every_db)
    with session(every_db) as connection:
        scores = connection.execute(
            "select c.oid::int8, vacuum_score, vacuum_insert_score, analyze_score"
            " from pg_stat_autovacuum_scores join pg_class c on c.oid = relid where c.relname in ('plain', 'tuned', 'capped')"
        ).fetchall()
    assert len(scores) == 3
    for oid, dead, inserted, changed in cast("list[tuple[int, float, float, float]]", scores):
        table = snapshot.table_by_oid[oid]
        activity = snapshot.activity_by_oid[oid]
        heap = vac.heap_of(snapshot, table)
        dead_limit = vac.vacuum_trigger(snapshot, heap)
        insert_limit = vac.insert_trigger(snapshot, heap)
        change_limit = vac.analyze_trigger(snapshot, heap)
        assert heap.dead is not None
        assert dead_limit
        assert insert_limit
        assert change_limit
        assert activity.n_ins_since_vacuum is not None
        assert activity.n_mod_since_analyze is not None
        assert heap.dead / dead_limit == pytest.approx(dead, rel=0.01)
        assert activity.n_ins_since_vacuum / insert_limit == pytest.approx(inserted, rel=0.01)
        assert activity.n_mod_since_analyze / change_limit == pytest.approx(changed, rel=0.01)


@pytest.mark.parametrize("word", ["off", "OFF", "of", "false", "F", "fal", "no", "n", "0"])
def test_every_spelling_of_off_is_understood(db: str, word: str) -> None:
    psql(db, f"create table t (a int) with (autovacuum_enabled = '{word}')")
    assert list(findings(collect(db), "vacuum-disabled")) == ["t"]


def test_a_toast_without_parameters_of_its_own_follows_its_table(db: str) -> None:
    psql(
        db,
        "create table a (t text) with (autovacuum_enabled = off);"
        "create table b (t text) with (autovacuum_enabled = off, toast.autovacuum_vacuum_threshold = 5);",
    )
    snapshot = collect(db)
    disabled = {
        t.name: [vac.is_disabled(h) for h in vac.heaps(snapshot, t)] for t in snapshot.tables
    }
    assert disabled == {"a": [True, True], "b": [True, False]}


# vacuum-dead-tuples, vacuum-disabled


def test_a_table_past_its_trigger_is_overdue_after_several_naptimes(start_pg: StartServer) -> None:
    dsn = start_pg({"autovacuum_naptime": "1h"}).dsn()
    psql(dsn, HALF_DEAD.replace("off", "on") + "delete from t where id % 2 = 0;")
    snapshot = collect(dsn)
    for rule in ("vacuum-dead-tuples", "analyze-stale"):
        assert not findings(later(snapshot, hours=4), rule)
        found = findings(later(snapshot, hours=6), rule)
        assert found["t"].severity is Severity.INFO, "nobody knows when it became due"
        assert (
            "autoanalyze is on" in found["t"].detail.lower()
            or "autovacuum is on" in found["t"].detail.lower()
        )


def test_a_visit_long_ago_makes_a_table_overdue(start_pg: StartServer) -> None:
    dsn = start_pg({"autovacuum_naptime": "1h"}).dsn()
    psql(dsn, HALF_DEAD.replace("off", "on") + "vacuum analyze t;")
    psql(dsn, "update t set filler = repeat('y', 200); delete from t where id % 2 = 0;")
    snapshot = collect(dsn)
    for rule in ("vacuum-dead-tuples", "analyze-stale"):
        assert not findings(later(snapshot, minutes=30), rule)
        assert findings(later(snapshot, days=2), rule)["t"].severity is Severity.WARNING


def test_busy_workers_make_a_table_overdue_sooner(start_pg: StartServer) -> None:
    dsn = start_pg({"autovacuum_naptime": "1h"}).dsn()
    psql(dsn, HALF_DEAD.replace("off", "on") + "vacuum analyze t;")
    psql(dsn, "update t set filler = repeat('y', 200); delete from t where id % 2 = 0;")
    snapshot = later(collect(dsn), hours=2)
    assert not findings(snapshot, "vacuum-dead-tuples")
    worker = next(s for s in snapshot.sessions if s.backend_type == "checkpointer")
    busy = (replace(worker, pid=n, backend_type="autovacuum worker") for n in range(3))
    snapshot = replace(snapshot, sessions=(*snapshot.sessions, *busy))
    assert findings(snapshot, "vacuum-dead-tuples")["t"].severity is Severity.WARNING


def test_a_tiny_table_is_never_a_warning(db: str) -> None:
    psql(db, "create table t (id int primary key, n int) with (autovacuum_enabled = off);")
    psql(db, "insert into t select g, 0 from generate_series(1, 5) g; analyze t;")
    psql(db, "do $$ begin for i in 1..400 loop update t set n = n + 1; end loop; end $$")
    assert findings(collect(db), "analyze-stale")["t"].severity is Severity.INFO


def test_dead_rows_take_no_more_than_the_file_has(db: str) -> None:
    psql(db, HALF_DEAD)
    psql(db, "do $$ begin for i in 1..20 loop update t set filler = i; end loop; end $$")
    snapshot = collect(db)
    (table,) = snapshot.tables
    found = findings(snapshot, "vacuum-dead-tuples")["t"]
    assert found.evidence["dead_rows"] == 400_000
    assert found.impact.bytes is not None
    assert found.impact.bytes <= table.pages * 8192


def test_what_was_inserted_since_makes_the_file_larger(db: str) -> None:
    psql(db, HALF_DEAD.replace("20000", "100"))
    psql(db, "insert into t select g, repeat('x', 100) from generate_series(1000, 50000) g;")
    psql(db, "delete from t where id > 1000")
    found = findings(collect(db), "vacuum-dead-tuples")["t"]
    assert found.impact.bytes is not None
    assert 5_000_000 < found.impact.bytes < 8_000_000


def test_counters_that_were_reset_make_dead_rows_unknown(db: str) -> None:
    psql(db, HALF_DEAD + "delete from t where id % 2 = 0; select pg_sleep(1.1);")
    time.sleep(0.5)
    with session(db) as connection:
        connection.execute("select pg_stat_reset()")
    snapshot = later(collect(db), minutes=5)
    long_ago = snapshot.now - timedelta(days=90)
    snapshot = replace(snapshot, server=replace(snapshot.server, database_created_at=long_ago))
    verdict = report(snapshot, "vacuum-dead-tuples").verdicts[0]
    assert verdict.verdict is Verdict.UNKNOWN
    assert "ANALYZE" in verdict.mend
    psql(db, "analyze t")
    assert list(findings(collect(db), "vacuum-dead-tuples")) == ["t"]


def test_autovacuum_off_for_the_server_is_found_and_switched_on(start_pg: StartServer) -> None:
    server = start_pg({"autovacuum": "off", "track_counts": "on"})
    found = findings(collect(server.dsn()), "vacuum-disabled")
    assert found["autovacuum"].severity is Severity.WARNING
    psql(server.dsn(), HALF_DEAD.replace("off", "on") + "delete from t where id % 2 = 0;")
    found = findings(collect(server.dsn()), "vacuum-disabled")
    assert found["autovacuum"].severity is Severity.CRITICAL
    assert findings(collect(server.dsn()), "vacuum-dead-tuples")["t"].severity is Severity.WARNING


def test_a_server_that_counts_nothing_is_found(start_pg: StartServer) -> None:
    server = start_pg({"track_counts": "off"})
    found = findings(collect(server.dsn()), "vacuum-disabled")
    assert list(found) == ["track_counts"]
    with session(server.dsn()) as connection:
        for statement in found["track_counts"].remedy[0].sql.splitlines():
            connection.execute(statement.encode())
        time.sleep(0.2)
    assert not findings(collect(server.dsn()), "vacuum-disabled")


def test_a_role_that_counts_nothing_is_found(pg: Server, db: str) -> None:
    with pg.role() as role, session(db) as connection:
        connection.execute(f"alter role {role} set track_counts = 'off'".encode())
        found = findings(collect(db), "vacuum-disabled")
        assert list(found) == [f"track_counts of role {role}"]
        run(db, found[f"track_counts of role {role}"])
        assert not findings(collect(db), "vacuum-disabled")


def test_an_archive_with_nothing_left_to_do_is_only_info(db: str) -> None:
    psql(db, HALF_DEAD)
    assert findings(collect(db), "vacuum-disabled")["t"].severity is Severity.WARNING
    time.sleep(1.1)
    psql(db, "vacuum (freeze, analyze) t")
    assert findings(collect(db), "vacuum-disabled")["t"].severity is Severity.INFO


# vacuum-wraparound


def test_ages_far_beyond_the_freeze_age_are_found_and_frozen(start_pg: StartServer) -> None:
    server = start_pg({"autovacuum_freeze_max_age": "100000", "autovacuum_naptime": "1"})
    dsn = server.dsn()
    psql(
        dsn,
        "create table t (a int); create table young (a int); create table lower (a int) with (autovacuum_freeze_max_age = 100000);",
    )
    psql(dsn, "begin; insert into t values (1); prepare transaction 'forgotten';")
    psql(dsn, BURN.format(150_000))
    assert not findings(collect(dsn), "vacuum-wraparound"), "one and a half times is the sawtooth"
    psql(dsn, BURN.format(70_000))
    snapshot = collect(dsn)
    found = findings(snapshot, "vacuum-wraparound")
    assert {"t", "young", "lower", "template0"} <= set(found)
    assert found["t"].severity is Severity.WARNING
    assert "forgotten" in found["t"].detail
    assert [s.sql for s in found["template0"].remedy] == ["ROLLBACK PREPARED 'forgotten';"]
    holder = findings(
        snapshot, "vacuum-horizon", rules={"vacuum-horizon": {"min_age_xids": 200_000}}
    )
    assert holder["forgotten"].remedy[0] == found["t"].remedy[0], (
        "first of all, release the horizon"
    )
    run(dsn, found["t"])
    assert "t" not in findings(collect(dsn), "vacuum-wraparound")


FROZEN = {
    "autovacuum_freeze_max_age": "100000",
    "wal_level": "logical",
    "max_prepared_transactions": "2",
}


@contextmanager
def held_by(what: str, dsn: str) -> Iterator[str]:
    """Hold back freezing, but not that of the user's tables; yield what is to be named."""
    if what == "slot":
        psql(dsn, "select pg_create_logical_replication_slot('consumer', 'test_decoding')")
        yield "replication slot consumer"
        return
    if what == "prepared":
        psql(dsn, "create database other")
        other = conninfo.make_conninfo(dsn, dbname="other")
        psql(other, "begin; select txid_current(); prepare transaction 'elsewhere'")
        yield "prepared transaction elsewhere"
        return
    where = conninfo.make_conninfo(dsn, dbname="template1" if what == "elsewhere" else "postgres")
    with psycopg.connect(where, autocommit=True, application_name=what) as holder:
        if what == "temporary":
            holder.execute("create temporary table scratch as select 1")
        else:
            holder.execute("begin isolation level repeatable read")
            holder.execute("select txid_current()")
        yield f"session {holder.info.backend_pid}"
        holder.close()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["slot", "temporary", "elsewhere", "prepared"])
def test_what_keeps_a_database_from_being_frozen_is_named_and_released(
    start_pg: StartServer, what: str
) -> None:
    dsn = start_pg({**FROZEN, "autovacuum": "off"}).dsn()
    psql(dsn, "create table t (a int); insert into t values (1)")
    with held_by(what, dsn) as name:
        psql(dsn, BURN.format(220_000))
        psql(dsn, "vacuum (freeze)")
        found = findings(collect(dsn), "vacuum-wraparound")
        assert "t" not in found
        assert name in found["postgres"].detail.lower()
        if what == "prepared":
            run(conninfo.make_conninfo(dsn, dbname="other"), found["postgres"])
            psql(dsn, "vacuum (freeze)")
        else:
            run(dsn, found["postgres"])
        time.sleep(0.5)
        psql(dsn, "vacuum (freeze)")
        assert "postgres" not in findings(collect(dsn), "vacuum-wraparound")


def test_few_ids_left_are_found_whatever_the_freeze_age(db: str) -> None:
    psql(db, "create table t (a int);")
    far = {"autovacuum_freeze_max_age": "2000000000"}
    assert not aged(db, 1_600_000_000, **far)
    found = aged(db, 1_900_000_000, **far)["t"]
    assert found.severity is Severity.WARNING
    assert "autovacuum_freeze_max_age is too high" in found.detail
    assert aged(db, 1_960_000_000, **far)["t"].severity is Severity.CRITICAL


def aged(db: str, age: int, **settings: str) -> dict[str, Finding]:
    snapshot = collect(db)
    tables = tuple(replace(t, xid_age_xids=age, toast_xid_age_xids=None) for t in snapshot.tables)
    databases = tuple(replace(d, xid_age_xids=1000) for d in snapshot.databases)
    changed = tuple(replace(s, setting=settings.get(s.name, s.setting)) for s in snapshot.settings)
    snapshot = replace(snapshot, tables=tables, databases=databases, settings=changed)
    return findings(snapshot, "vacuum-wraparound")


def test_the_table_may_lower_the_freeze_age_but_not_raise_it(db: str) -> None:
    psql(
        db,
        "create table plain (a int); create table low (a int) with (autovacuum_freeze_max_age = 1000000);"
        "create table high (a int) with (autovacuum_freeze_max_age = 2000000000);",
    )
    assert not aged(db, 1_900_000)
    assert set(aged(db, 2_100_000)) == {"low"}
    assert {n: f.severity for n, f in aged(db, 4_100_000).items()} == {"low": Severity.CRITICAL}
    assert set(aged(db, 390_000_000)) == {"low"}
    assert set(aged(db, 410_000_000)) == {"plain", "low", "high"}
    assert aged(db, 810_000_000)["plain"].severity is Severity.CRITICAL


def test_a_freeze_age_near_the_end_is_not_judged_by_twice_its_value(db: str) -> None:
    psql(db, "create table t (a int);")
    far = {"autovacuum_freeze_max_age": "1500000000"}
    assert not aged(db, 1_500_000_000, **far)
    assert aged(db, 1_560_000_000, **far)["t"].severity is Severity.WARNING
    assert aged(db, 1_600_000_000, **far)["t"].severity is Severity.CRITICAL


def test_another_database_is_named_by_itself(db: str) -> None:
    def old(d: Database) -> Database:
        return replace(d, xid_age_xids=500_000_000 if d.name == "template0" else 10)

    snapshot = collect(db)
    snapshot = replace(snapshot, databases=tuple(map(old, snapshot.databases)))
    found = findings(snapshot, "vacuum-wraparound")
    assert list(found) == ["template0"]
    assert found["template0"].object.database is None


# vacuum-horizon


@contextmanager
def open_snapshot(
    dsn: str, name: str = "report"
) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(dsn, application_name=name) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("select 1")
        yield connection


def test_a_session_that_makes_vacuum_run_in_vain_is_named_at_once(
    every_pg: Server, every_db: str
) -> None:
    psql(every_db, HALF_DEAD)
    with open_snapshot(every_db) as holder:
        psql(every_db, "delete from t where id % 2 = 0; select pg_sleep(1.1); vacuum t; analyze t;")
        time.sleep(1 if every_pg.version < 15 else 0)  # the collector takes its time
        found = findings(collect(every_db), "vacuum-horizon")
        (name,) = found
        assert name.endswith("(report)")
        assert found[name].severity is Severity.WARNING
        assert found[name].evidence["vacuumed_in_vain"] == ["public.t"]
        assert found[name].evidence["pid"] == holder.info.backend_pid
        run(every_db, found[name])
        psql(every_db, "vacuum t;")
        assert not findings(collect(every_db), "vacuum-horizon")
        assert not findings(collect(every_db), "vacuum-dead-tuples")
        holder.close()


def test_a_session_of_another_database_is_not_to_blame(pg: Server, db: str) -> None:
    psql(db, HALF_DEAD)
    with open_snapshot(pg.dsn("postgres")) as holder:
        holder.execute("select txid_current()")
        psql(db, "delete from t where id % 2 = 0; select pg_sleep(1.1); vacuum t;")
        snapshot = later(collect(db), hours=3)
        assert not findings(snapshot, "vacuum-horizon")
        assert not findings(snapshot, "vacuum-dead-tuples"), "vacuum could remove them"


def test_idleness_without_a_snapshot_holds_nothing(db: str) -> None:
    with psycopg.connect(db) as connection:
        connection.execute("select 1")
        assert not findings(later(collect(db), hours=3), "vacuum-horizon")


def test_time_makes_a_holder_worse(db: str) -> None:
    with open_snapshot(db):
        snapshot = collect(db)
        assert not findings(later(snapshot, minutes=4), "vacuum-horizon")
        (one,) = findings(later(snapshot, minutes=6), "vacuum-horizon").values()
        assert one.severity is Severity.INFO
        (one,) = findings(later(snapshot, minutes=61), "vacuum-horizon").values()
        assert one.severity is Severity.WARNING


def test_a_prepared_transaction_is_named_and_rolled_back(db: str) -> None:
    psql(db, HALF_DEAD)
    psql(db, "begin; insert into t values (-1); prepare transaction 'it''s forgotten';")
    psql(db, "delete from t where id % 2 = 0; select pg_sleep(1.1); vacuum t;")
    found = findings(collect(db), "vacuum-horizon")
    assert list(found) == ["it's forgotten"]
    assert found["it's forgotten"].severity is Severity.WARNING
    run(db, found["it's forgotten"])
    psql(db, "vacuum t")
    assert not findings(collect(db), "vacuum-horizon")


def test_a_logical_slot_binds_the_catalogs_only(pg: Server, db: str) -> None:
    psql(db, HALF_DEAD)
    psql(
        db,
        "select pg_create_logical_replication_slot('Consumer 1', 'test_decoding')".replace(
            "Consumer 1", "consumer_1"
        ).replace("test_decoding", "pgoutput"),
    )
    psql(db, "delete from t where id % 2 = 0; select pg_sleep(1.1); vacuum t;")
    found = findings(collect(db), "vacuum-horizon")
    assert found["consumer_1"].evidence["pins"] == "catalogs"
    assert found["consumer_1"].severity is Severity.INFO
    run(db, found["consumer_1"])
    assert not findings(collect(db), "vacuum-horizon")


@contextmanager
def feedback_of(slot: str | None) -> Iterator[tuple[str, str]]:
    """Run a primary and a standby that reports its horizon."""
    with embedded.start({"wal_level": "logical"}) as primary, standby_of(primary, slot) as follower:
        with session(follower.dsn()) as connection:
            connection.execute("alter system set hot_standby_feedback = on")
            connection.execute("alter system set wal_receiver_status_interval = '1s'")
            connection.execute("select pg_reload_conf()")
        psql(primary.dsn(), HALF_DEAD)
        catch_up(primary, follower)
        yield primary.dsn(), follower.dsn()


HELD = "delete from t where id % 2 = 0; select pg_sleep(1.1); vacuum t;"


@pytest.mark.slow
@pytest.mark.parametrize("slot", [None, "follower"])
def test_a_query_on_a_standby_is_named_and_ended_there(slot: str | None) -> None:
    with (
        feedback_of(slot) as (primary, follower),
        open_snapshot(follower) as idle,
        session(follower) as innocent,
    ):
        time.sleep(2.5)
        psql(primary, HELD + BURN.format(10))
        (found,) = findings(collect(primary), "vacuum-horizon").values()
        assert found.object.kind == ("slot" if slot else "standby")
        assert found.severity is Severity.WARNING
        assert "run it on the standby" in found.remedy[0].lock
        innocent.execute("begin isolation level repeatable read")
        innocent.execute("select 1")
        run(follower, found)
        assert innocent.execute("select 2").fetchone() == (2,)
        with pytest.raises(psycopg.OperationalError):
            idle.execute("select 1")
        innocent.execute("rollback")
        time.sleep(2.5)
        psql(primary, "vacuum t")
        assert not findings(collect(primary), "vacuum-dead-tuples")


@pytest.mark.slow
def test_a_query_is_not_ended_for_what_a_slot_of_the_standby_or_its_replay_holds() -> None:
    with feedback_of("follower") as (primary, follower), session(follower) as innocent:
        psql(follower, "select pg_wal_replay_pause(); select pg_sleep(1.5)")
        psql(primary, HELD + BURN.format(10))
        innocent.execute("begin isolation level repeatable read")
        innocent.execute("select 1")
        time.sleep(1.5)
        (found,) = findings(collect(primary), "vacuum-horizon").values()
        assert found.evidence["pins"] == "rows"
        assert any("delay of its replay" in c for c in found.caveats)
        run(follower, found)
        assert innocent.execute("select 2").fetchone() == (2,)


def test_an_unprivileged_role_cannot_clear_the_horizon(pg: Server, db: str) -> None:
    with open_snapshot(db), pg.role() as role:
        dbname = psycopg.conninfo.conninfo_to_dict(db)["dbname"]
        verdict = report(collect(pg.dsn(str(dbname), role)), "vacuum-horizon").verdicts[0]
        assert verdict.verdict is Verdict.UNKNOWN
        assert "GRANT pg_" in verdict.mend


# vacuum-multixact

# A row that a transaction and its subtransaction lock in two ways carries a multixact id of its own.
SHARE = """
do $$ begin
  perform 1 from shared for key share;
  for i in 1..{} loop
    begin perform 1 from shared where id = i for share; exception when others then raise; end;
  end loop;
end $$
"""


def test_multixacts_far_beyond_the_freeze_age_are_found_and_frozen(start_pg: StartServer) -> None:
    server = start_pg({"autovacuum_multixact_freeze_max_age": "10000", "autovacuum_naptime": "1"})
    dsn = server.dsn()
    psql(
        dsn,
        "create table shared (id int primary key); insert into shared select generate_series(1, 13000);"
        "create table one (id int); insert into one values (1);",
    )
    psql(dsn, "begin; select * from one for share; prepare transaction 'forgotten';")
    psql(dsn, SHARE.format(13_000))
    assert "shared" not in findings(collect(dsn), "vacuum-multixact"), "once is the sawtooth"
    psql(dsn, SHARE.format(12_000))
    found = findings(collect(dsn), "vacuum-multixact")
    assert found["shared"].severity is Severity.WARNING
    assert found["shared"].evidence["freeze_age"] == 10_000
    assert found["shared"].evidence["age"] > 20_000
    assert "vacuum-wraparound" not in {f.rule for f in found.values()}
    assert not findings(collect(dsn), "vacuum-wraparound"), "transaction ids are young"
    psql(dsn, "rollback prepared 'forgotten'")
    run(dsn, found["shared"])
    assert "shared" not in findings(collect(dsn), "vacuum-multixact")


def test_multixacts_are_judged_by_the_tables_own_freeze_age(db: str) -> None:
    psql(
        db,
        "create table plain (a int);"
        "create table low (a int) with (autovacuum_multixact_freeze_max_age = 1000000);",
    )
    snapshot = collect(db)

    def at(age: int) -> dict[str, Severity]:
        tables = tuple(replace(t, mxid_age=age, toast_mxid_age=None) for t in snapshot.tables)
        found = findings(replace(snapshot, tables=tables), "vacuum-multixact")
        return {name: f.severity for name, f in found.items()}

    assert at(1_900_000) == {}
    assert at(2_100_000) == {"low": Severity.WARNING}
    assert at(810_000_000) == {"low": Severity.CRITICAL, "plain": Severity.WARNING}


# vacuum-workers-saturated

SLOW = {
    "autovacuum_max_workers": "1",
    "autovacuum_naptime": "1",
    "autovacuum_vacuum_cost_delay": "100",
    "autovacuum_vacuum_cost_limit": "1",
    "autovacuum_vacuum_insert_threshold": "-1",
}
PILE = """
create table t{0} (id int, filler text) with (autovacuum_enabled = {1});
insert into t{0} select g, repeat('x', 200) from generate_series(1, 5000) g;
delete from t{0} where id > 1000;
"""


@pytest.mark.slow
def test_tables_that_wait_for_the_only_worker_are_counted(start_pg: StartServer) -> None:
    dsn = start_pg(SLOW).dsn()
    for number in range(6):
        psql(dsn, PILE.format(number, "on"))
    end = time.monotonic() + 60
    found: dict[str, Finding] = {}
    while not found and time.monotonic() < end:
        time.sleep(0.5)
        found = findings(collect(dsn), "vacuum-workers-saturated")
    (finding,) = found.values()
    assert finding.evidence["workers"] == 1
    assert len(finding.evidence["waiting_tables"]) >= 3
    judging.apply(dsn, [finding])
    with session(dsn) as connection:
        assert connection.execute("show autovacuum_vacuum_cost_limit").fetchone() == ("5",)


def test_a_backlog_without_busy_workers_or_by_choice_is_not_saturation(
    start_pg: StartServer,
) -> None:
    dsn = start_pg({"autovacuum": "off"}).dsn()
    for number in range(4):
        psql(dsn, PILE.format(number, "on"))
    assert not findings(collect(dsn), "vacuum-workers-saturated")


# vacuum-catalogs

COLUMNS = """
do $$ begin for i in 1..{} loop
  execute format('create temporary table x%s (a int, b int, c int, d int, e int, f int)', i % 10);
  execute format('drop table x%s', i % 10);
  commit;
end loop; end $$
"""


def test_catalogs_that_a_slot_keeps_full_of_dead_rows_are_found_and_cleaned(
    start_pg: StartServer,
) -> None:
    dsn = start_pg({"wal_level": "logical", "autovacuum_naptime": "1h"}).dsn()
    psql(dsn, "select pg_create_logical_replication_slot('consumer', 'test_decoding')")
    psql(dsn, COLUMNS.format(1500) + "; select pg_sleep(1.1); vacuum pg_attribute;")
    snapshot = collect(dsn)
    found = findings(snapshot, "vacuum-catalogs")
    assert found["pg_attribute"].severity is Severity.WARNING
    assert "replication slot consumer" in found["pg_attribute"].detail
    assert not findings(snapshot, "vacuum-dead-tuples")
    (slot,) = findings(snapshot, "vacuum-horizon").values()
    assert "catalogs only" in slot.impact.risk
    run(dsn, found["pg_attribute"])
    assert "pg_attribute" not in findings(collect(dsn), "vacuum-catalogs")


def test_catalogs_are_overdue_after_several_naptimes_only(start_pg: StartServer) -> None:
    dsn = start_pg({"autovacuum_naptime": "1h"}).dsn()
    psql(dsn, COLUMNS.format(1500))
    snapshot = collect(dsn)
    assert not findings(snapshot, "vacuum-catalogs")
    found = findings(later(snapshot, hours=6), "vacuum-catalogs")
    run(dsn, found["pg_attribute"])
    assert "pg_attribute" not in findings(later(collect(dsn), hours=6), "vacuum-catalogs")
