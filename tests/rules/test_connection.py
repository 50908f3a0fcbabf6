"""Connection rules: real crowds of sessions, and counters of sessions that came and went."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from threading import Thread
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Severity, Verdict
from pgwatch_wed.target.collect import collect
from tests.conftest import StartServer
from tests.rules.judging import apply, found, judged, run, undo
from tests.rules.waiting import eventually, later
from tests.servers import Server

SMALL = {"max_connections": "25", "superuser_reserved_connections": "3"}


@contextmanager
def sessions(dsn: str, number: int) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(number):
            stack.enter_context(psycopg.connect(dsn, autocommit=True))
        yield


# --- connection-usage ---------------------------------------------------------------------------


def test_a_server_near_its_limit_is_found_by_how_near(start_pg: StartServer) -> None:
    server = start_pg(SMALL)
    seen = {}
    for number in (14, 16, 19, 21):
        with sessions(server.dsn(), number):
            seen[number] = [f.severity for f in found(server.dsn(), "connection-usage")]
    # 22 are for everybody; the one that looks is not counted
    assert seen == {
        14: [],
        16: [Severity.INFO],
        19: [Severity.WARNING],
        21: [Severity.CRITICAL],
    }


def test_if_one_lock_fills_the_connections_the_lock_comes_first(start_pg: StartServer) -> None:
    server = start_pg(SMALL)
    run(server.dsn(), "create table t (a int)")
    with ExitStack() as stack:
        holder = stack.enter_context(psycopg.connect(server.dsn()))
        holder.execute("lock table t")
        waiting = [
            stack.enter_context(psycopg.connect(server.dsn(), autocommit=True)) for _ in range(20)
        ]
        threads = [Thread(target=_reads, args=(one,)) for one in waiting]
        for thread in threads:
            thread.start()
        snapshot = eventually(lambda: _if_waiting(collect(server.dsn()), 20))
        holder.rollback()
        for thread in threads:
            thread.join()
    (full,) = judged(snapshot, "connection-usage").findings
    assert full.severity is Severity.WARNING
    assert "20 wait for a lock: see lock-blocked first" in full.detail
    report = analyse([later(snapshot, seconds=10)], Config(only=("lock", "connection")))
    assert [f.rule for f in report.findings][:2] == ["lock-blocked", "connection-usage"]
    assert report.findings[0].severity is Severity.CRITICAL


def _reads(connection: psycopg.Connection[Any]) -> None:
    connection.execute("select * from t")


def _if_waiting(snapshot: Snapshot, number: int) -> Snapshot | None:
    return snapshot if len(snapshot.lock_waits) == number else None


def test_the_room_is_what_is_left_for_ordinary_roles(start_pg: StartServer) -> None:
    server = start_pg({"max_connections": "30", "reserved_connections": "8"})
    with sessions(server.dsn(), 15):
        (finding,) = found(server.dsn(), "connection-usage")
    assert finding.evidence["available"] == 30 - 8 - 3
    assert finding.evidence["idle"] >= 14


def test_limits_of_roles_and_databases_count_and_the_remedy_lifts_them(every_pg: Server) -> None:
    with every_pg.database() as dsn, every_pg.role() as name:
        limit(every_pg, name, 8)
        with sessions(psycopg.conninfo.make_conninfo(dsn, user=name), 6):
            (finding,) = found(dsn, "connection-usage")
            assert (finding.object.kind, finding.object.name) == ("role", name)
            apply(dsn, [finding])
            assert not found(dsn, "connection-usage")
            undo(dsn, [finding])
            assert found(dsn, "connection-usage")


def test_a_job_that_shall_be_single_is_not_crowded(every_pg: Server) -> None:
    with every_pg.database() as dsn, every_pg.role() as name:
        limit(every_pg, name, 1)
        with sessions(psycopg.conninfo.make_conninfo(dsn, user=name), 1):
            assert not found(dsn, "connection-usage")


def test_the_servers_own_processes_do_not_count_whoever_looks(start_pg: StartServer) -> None:
    server = start_pg({"max_connections": "10"})
    run(server.dsn(), "create role bare login")
    bare = server.dsn(user="bare")
    with sessions(server.dsn(), 4):
        # with the server's own processes it would be full
        assert not judged(visible(collect(bare)), "connection-usage").findings
    with sessions(server.dsn(), 5):
        (finding,) = judged(visible(collect(bare)), "connection-usage").findings
        assert finding.evidence["connections"] == 5


def visible(snapshot: Snapshot) -> Snapshot:
    """Judge what a bare role sees, without the reason for which rules would not judge."""
    return replace(snapshot, missing={n: m for n, m in snapshot.missing.items() if n != "sessions"})


def limit(server: Server, role: str, number: int) -> None:
    change = sql.SQL("alter role {} connection limit {}")
    server.execute(change.format(sql.Identifier(role), sql.Literal(number)))


# --- connection-idle ----------------------------------------------------------------------------


def test_a_crowd_that_idles_is_found_when_it_has_idled_for_long(start_pg: StartServer) -> None:
    server = start_pg({"max_connections": "60"})
    run(server.dsn(), "create role shop login")
    with sessions(server.dsn(user="shop") + " application_name=pool", 32):
        snapshot = collect(server.dsn())
        assert not judged(snapshot, "connection-idle").findings
        (finding,) = judged(later(snapshot, minutes=11), "connection-idle").findings
    assert finding.severity is Severity.WARNING
    assert finding.evidence["idle"] == 32
    assert "pool" in finding.detail


def test_few_idle_connections_or_a_small_share_are_nobodys_trouble(start_pg: StartServer) -> None:
    server = start_pg({"max_connections": "120"})
    with sessions(server.dsn(), 22):
        snapshot = later(collect(server.dsn()), hours=1)
    assert not judged(snapshot, "connection-idle").findings
    assert judged(snapshot, "connection-idle", min_share=0.1).findings
    assert not judged(snapshot, "connection-idle", min_share=0.1, min_sessions=23).findings


def test_a_role_that_may_not_look_cannot_say_that_nobody_idles(every_pg: Server) -> None:
    with every_pg.database() as dsn, every_pg.role() as name, psycopg.connect(dsn):
        report = judged(collect(psycopg.conninfo.make_conninfo(dsn, user=name)), "connection-idle")
    assert report.verdicts[0].verdict is Verdict.UNKNOWN
    assert "GRANT pg_" in report.verdicts[0].mend


# --- connection-churn ---------------------------------------------------------------------------

counted = pytest.mark.pg(">= 14")


def churned(dsn: str, **changes: Any) -> list[Finding]:
    """Judge real counters, grown by a day's worth of what is given."""
    snapshot = later(collect(dsn), days=1)
    assert snapshot.database is not None
    grown = replace(snapshot.database, **changes)
    others = [d for d in snapshot.databases if d.oid != grown.oid]
    aged = replace(snapshot, databases=(grown, *others))
    return list(judged(aged, "connection-churn").findings)


@counted
def test_real_sessions_that_come_and_go_are_counted(every_db: str) -> None:
    for _ in range(20):
        with sessions(every_db, 1):
            pass

    def counted_ones() -> Snapshot | None:
        seen = collect(every_db)
        return seen if seen.database and (seen.database.sessions or 0) >= 20 else None

    snapshot = later(eventually(counted_ones), seconds=2)
    rates = {"min_sessions": 15, "min_per_second": 0.001, "window": timedelta()}
    (finding,) = judged(snapshot, "connection-churn", **rates).findings
    assert 20 <= finding.evidence["sessions"] <= 25
    assert finding.evidence["average_seconds"] < 10
    assert not finding.remedy


@counted
def test_churn_is_judged_by_rate_and_by_how_long_a_session_lives(every_db: str) -> None:
    short, long = 86_400 * 2 * 1000.0, 86_400 * 2 * 120_000.0
    (finding,) = churned(every_db, sessions=86_400 * 2, session_ms=short)
    assert finding.severity is Severity.INFO
    assert finding.evidence["per_second"] == pytest.approx(2, rel=0.01)
    (finding,) = churned(every_db, sessions=86_400 * 6, session_ms=short)
    assert finding.severity is Severity.WARNING
    assert not churned(every_db, sessions=86_400 * 2, session_ms=long)
    assert not churned(every_db, sessions=40_000, session_ms=40_000.0)


@counted
def test_sessions_that_break_off_are_found_unless_they_are_few(every_db: str) -> None:
    calm = {"sessions": 5_000, "session_ms": 5_000 * 100_000.0}
    (finding,) = churned(every_db, **calm, sessions_abandoned=400, sessions_fatal=50)
    assert "ended abnormally" in finding.title
    assert not churned(every_db, **calm, sessions_abandoned=99)
    assert not churned(every_db, **calm, sessions_abandoned=300, sessions_killed=4_000)


@counted
def test_young_counters_give_no_rate(every_db: str) -> None:
    report = judged(collect(every_db), "connection-churn", window=timedelta(hours=1))
    assert report.verdicts[0].verdict is Verdict.UNKNOWN


@pytest.mark.pg("< 14")
def test_before_14_sessions_are_not_counted(every_db: str) -> None:
    report = judged(collect(every_db), "connection-churn")
    assert report.verdicts[0].verdict is Verdict.UNKNOWN
    assert "14" in report.verdicts[0].reason
