"""query-waits: what active sessions wait for, sampled on a real server."""

import threading
import time
from dataclasses import replace

import psycopg

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import parse
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Report, Verdict
from pgwatch_wed.target.collect import collect
from pgwatch_wed.target.sampler import sampling
from tests.conftest import StartServer
from tests.rules.waiting import later

RULE = "query-waits"
SHORT = {"min_sampled": "500 ms", "min_samples": 5}


def report(snapshot: Snapshot, **limits: object) -> Report:
    config = {"only": [RULE], "rules": {RULE: {**SHORT, **limits}}}
    return analyse([snapshot], parse(config, "test"))


def sampled(dsn: str, *statements: str) -> Snapshot:
    """Run statements in sessions of their own that do not end by themselves, and sample them."""
    connections = [
        psycopg.connect(dsn, autocommit=True, application_name="app") for _ in statements
    ]

    def run(connection: psycopg.Connection[tuple[object, ...]], statement: str) -> None:
        try:
            connection.execute(statement.encode())
        except psycopg.Error:
            return

    threads = [
        threading.Thread(target=run, args=each, daemon=True)
        for each in zip(connections, statements, strict=True)
    ]
    with sampling(dsn, 0.1) as sampler:
        for thread in threads:
            thread.start()
        time.sleep(1.5)
        snapshot = sampler.add_to(collect(dsn))
    with psycopg.connect(dsn, autocommit=True) as killer:
        killer.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'app'"
        )
    for thread in threads:
        thread.join(10)
    for connection in connections:
        connection.close()
    return snapshot


def test_commits_that_wait_for_a_standby_are_shown_with_their_statement(
    start_pg: StartServer,
) -> None:
    server = start_pg({"synchronous_standby_names": "nobody"})
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute("set synchronous_commit = local")
        connection.execute("create table t (i int)")
        connection.execute("create extension pg_stat_statements")
    snapshot = sampled(server.dsn(), "insert into t values (1)", "select pg_sleep(60)")
    (found,) = report(snapshot).findings
    assert found.object.name == "IPC SyncRep"
    assert "synchronous standby" in found.detail
    assert 0.3 <= found.evidence["waited_share"] <= 0.7
    assert found.evidence["by_query"][0]["query_id"] is not None
    assert [v.verdict for v in report(snapshot, min_samples=10_000).verdicts] == [Verdict.CLEAR]


def test_sleep_locks_and_idle_sessions_are_no_waits_of_the_server(db: str) -> None:
    hold = "begin; select pg_advisory_xact_lock(7)"
    snapshot = sampled(db, "select pg_sleep(60)", hold, "select pg_sleep(0.3), pg_advisory_lock(7)")
    assert any(a.wait_event_type == "Lock" for a in snapshot.activity_minutes)
    assert [v.verdict for v in report(snapshot).verdicts] == [Verdict.CLEAR]
    few = tuple(replace(m, covered_seconds=0.1) for m in snapshot.sampled_minutes)
    (verdict,) = report(later(replace(snapshot, sampled_minutes=few), seconds=1)).verdicts
    assert verdict.verdict is Verdict.UNKNOWN
    assert "sampled for only" in verdict.reason
