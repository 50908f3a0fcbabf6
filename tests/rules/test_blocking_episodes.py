"""lock-blocking-episodes: it takes several sessions and some time, so no scenario file can hold them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import parse
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Severity, Verdict
from pgwatch_wed.target.collect import collect
from pgwatch_wed.target.sampler import sampling
from tests.psql import psql
from tests.rules.test_lock import Crowd, crowded
from tests.servers import Server

RULE = "lock-blocking-episodes"
# Seconds here are minutes of a real period.
SHORT = {"min_blocked": "300 ms", "long_wait": "1 h", "min_sampled": "300 ms", "min_samples": 3}


@contextmanager
def sampled(dsn: str, crowd: Crowd, until: float = 1.2) -> Iterator[list[Snapshot]]:
    """Sample what the block does and some time more; the snapshot is there after it."""
    taken: list[Snapshot] = []
    with sampling(dsn, 0.1) as sampler:
        yield taken
        time.sleep(until)
        taken.append(sampler.add_to(collect(dsn)))


def findings(snapshot: Snapshot, **limits: object) -> list[Finding]:
    config = {"only": [RULE], "rules": {RULE: {**SHORT, **limits}}}
    return list(analyse([snapshot], parse(config, "test")).findings)


def verdict(snapshot: Snapshot, **limits: object) -> tuple[Verdict, str]:
    config = {"only": [RULE], "rules": {RULE: {**SHORT, **limits}}}
    (found,) = analyse([snapshot], parse(config, "test")).verdicts
    return found.verdict, found.reason


@pytest.fixture
def crowd(every_db: str) -> Iterator[Crowd]:
    psql(
        every_db, "create table t (id int primary key, n int); insert into t values (1, 0), (2, 0);"
    )
    with crowded(every_db) as found:
        yield found


def test_an_idle_transaction_is_to_blame_for_the_whole_chain(crowd: Crowd) -> None:
    with sampled(crowd.dsn, crowd) as taken:
        crowd.holds("update t set n = 1 where id = 1", name="forgetful")
        crowd.waits(
            "do $$ begin update t set n = 2 where id = 2; update t set n = 2 where id = 1; end $$",
            name="middle",
        )
        crowd.waits("update t set n = 3 where id = 2", name="last")
    (snapshot,) = taken
    (finding,) = findings(snapshot)
    assert finding.object.name.endswith("(forgetful)")
    assert finding.evidence["most_blocked_sessions"] == 2
    assert finding.severity is Severity.WARNING
    assert "The blocker was idle in transaction for 100% of the blocked time" in finding.detail
    assert "a row of public.t" in finding.detail
    assert finding.remedy == (), "a timeout of a minute does not end what is idle for a second"
    (finding,) = findings(snapshot, idle_seconds=1)
    assert "idle_in_transaction_session_timeout = '1s'" in finding.remedy[0].sql
    assert [o.label for o in finding.related] == ["public.t"]
    assert finding.evidence["by_lock"][0]["object"] == "a row of public.t"
    role = snapshot.server.role
    with psycopg.connect(crowd.dsn, autocommit=True) as connection:
        for sql in (finding.remedy[0].sql, finding.remedy[0].undo):
            connection.execute(sql.encode())
    assert role in finding.remedy[0].sql


def test_a_queue_behind_ddl_is_shown_as_one(crowd: Crowd) -> None:
    with sampled(crowd.dsn, crowd) as taken:
        crowd.holds("select 1 from t", name="reader")
        crowd.waits("alter table t add column x int", name="migration")
        crowd.waits("select 1 from t")
        crowd.waits("select 2 from t")
    (finding,) = findings(taken[0])
    assert finding.object.name.endswith("(reader)")
    assert "behind a session that waits itself, for ACCESS EXCLUSIVE" in finding.detail
    assert "lock_timeout" in finding.remedy[0].sql
    assert finding.evidence["most_blocked_sessions"] == 3, "the DDL is one of them"


def test_a_prepared_transaction_is_named_and_can_be_rolled_back(crowd: Crowd) -> None:
    psql(crowd.dsn, "begin; lock table t; prepare transaction 'it''s mine';")
    with sampled(crowd.dsn, crowd) as taken:
        crowd.waits("select 1 from t")
    (finding,) = findings(taken[0])
    assert (finding.object.kind, finding.object.name) == ("prepared_transaction", "it's mine")
    psql(crowd.dsn, finding.remedy[0].sql)
    assert crowd.over(0)


def test_advisory_locks_are_waited_for_on_purpose(crowd: Crowd) -> None:
    with sampled(crowd.dsn, crowd) as taken:
        crowd.holds("select pg_advisory_lock(1)", name="leader")
        crowd.stuck[0].commit()
        crowd.waits("select pg_advisory_lock(1)")
    (finding,) = findings(taken[0])
    assert finding.severity is Severity.INFO
    assert "on purpose" in finding.caveats[-1]
    assert finding.remedy == ()


def test_what_is_soon_over_is_no_finding_and_no_proof_either(crowd: Crowd) -> None:
    """A deadlock, which PostgreSQL resolves, and a short wait."""
    first, second = (psycopg.connect(crowd.dsn, application_name=name) for name in ("a", "b"))
    crowd.stuck += [first, second]
    first.execute("update t set n = 1 where id = 1")
    second.execute("update t set n = 1 where id = 2")

    def cross(connection: psycopg.Connection[tuple[object, ...]], row: int) -> None:
        try:
            connection.execute("update t set n = 2 where id = %s", [row])
        except psycopg.errors.DeadlockDetected:
            connection.rollback()

    crowd.threads += [
        threading.Thread(target=cross, args=each, daemon=True) for each in ((first, 2), (second, 1))
    ]
    with sampled(crowd.dsn, crowd, until=0.5) as taken:
        for thread in crowd.threads:
            thread.start()
        for thread in crowd.threads:
            thread.join(20)
    (snapshot,) = taken
    assert snapshot.lock_episodes, "it was seen"
    assert verdict(snapshot, min_blocked="10 s")[0] is Verdict.CLEAR
    said, reason = verdict(snapshot, min_blocked="10 s", min_sampled="1 min")
    assert said is Verdict.UNKNOWN
    assert "sampled for only" in reason
    lost = tuple(replace(m, gap_seconds=60.0, reason="it slept") for m in snapshot.sampled_minutes)
    said, reason = verdict(replace(snapshot, sampled_minutes=lost), min_blocked="10 s")
    assert said is Verdict.UNKNOWN
    assert "could not be sampled: it slept" in reason


def test_without_samples_or_without_the_right_to_see_it_is_unknown(
    every_pg: Server, crowd: Crowd
) -> None:
    assert "were not sampled" in verdict(collect(crowd.dsn))[1]
    with every_pg.role() as nobody, psycopg.connect(crowd.dsn) as open_session:
        dsn = every_pg.dsn(open_session.info.dbname, nobody)
        with sampled(dsn, crowd, until=0.5) as taken:
            pass
    said, reason = verdict(taken[0])
    assert said is Verdict.UNKNOWN
    assert "may not see what other sessions do" in reason
