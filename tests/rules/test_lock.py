"""Lock rules: they need several sessions, so no scenario file can hold them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pglast
import psycopg
import pytest

from pgwatch_wed.analyse import analyse
from pgwatch_wed.collect import collect
from pgwatch_wed.config import parse
from pgwatch_wed.facts import LockWait, Snapshot
from pgwatch_wed.findings import Finding, Report, Severity, Verdict
from pgwatch_wed.rules._locks import Waits
from tests.psql import psql
from tests.servers import Server

TABLE = """
create table "T a" (id int primary key, n int);
insert into "T a" select g, 0 from generate_series(1, 100) g;
"""


def report(snapshot: Snapshot, rule: str, **config: object) -> Report:
    return analyse([snapshot], parse({"only": [rule], **config}, "test"))


def findings(snapshot: Snapshot, rule: str, **config: object) -> list[Finding]:
    return list(report(snapshot, rule, **config).findings)


def later(snapshot: Snapshot, **time: float) -> Snapshot:
    """Look at the same facts some time later."""
    now = snapshot.now + timedelta(**time)
    return replace(snapshot, server=replace(snapshot.server, taken_at=now))


class Crowd:
    """Sessions that hold locks and sessions that wait for them."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.threads: list[threading.Thread] = []
        self.stuck: list[psycopg.Connection[tuple[object, ...]]] = []

    def holds(self, *statements: str, name: str = "holder") -> int:
        """Run statements in a transaction that stays open."""
        connection = psycopg.connect(self.dsn, application_name=name)
        self.stuck.append(connection)
        for statement in statements:
            connection.execute(statement.encode())
        return connection.info.backend_pid

    def waits(self, statement: str, name: str = "waiter") -> int:
        """Run a statement that gets stuck; return when it is."""
        connection = psycopg.connect(self.dsn, application_name=name, autocommit=True)
        self.stuck.append(connection)

        def work() -> None:
            try:
                connection.execute(statement.encode())
            except psycopg.Error:
                return

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        self.threads.append(thread)
        self._until_busy(connection.info.backend_pid)
        return connection.info.backend_pid

    def _until_busy(self, pid: int) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as look:
            for _ in range(200):
                row = look.execute(
                    "select wait_event_type in ('Lock', 'Timeout') from pg_stat_activity"
                    " where pid = %s and state = 'active'",
                    [pid],
                ).fetchone()
                if row and row[0]:
                    return
                time.sleep(0.02)
        raise AssertionError("it does not wait")

    def over(self, thread: int) -> bool:
        """Tell whether the n-th waiting session got through or failed."""
        self.threads[thread].join(5)
        return not self.threads[thread].is_alive()

    def end(self) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as killer:
            for connection in self.stuck:
                if not connection.closed:
                    killer.execute("select pg_terminate_backend(%s)", [connection.info.backend_pid])
        for thread in self.threads:
            thread.join(10)
        for connection in self.stuck:
            connection.close()


@contextmanager
def crowded(dsn: str) -> Iterator[Crowd]:
    crowd = Crowd(dsn)
    try:
        yield crowd
    finally:
        crowd.end()


@pytest.fixture
def crowd(db: str) -> Iterator[Crowd]:
    psql(db, TABLE)
    with crowded(db) as found:
        yield found


@pytest.fixture
def every_crowd(every_db: str) -> Iterator[Crowd]:
    psql(every_db, TABLE)
    with crowded(every_db) as found:
        yield found


def run(dsn: str, finding: Finding) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for step in finding.remedy:
            assert pglast.parse_sql(step.sql)
            assert step.lock
            connection.execute(step.sql.encode())
    time.sleep(0.2)


# lock-blocked


def test_the_root_of_the_tree_is_named_and_stopped(every_crowd: Crowd) -> None:
    crowd = every_crowd
    root = crowd.holds("""update "T a" set n = 1 where id = 1""", name="billing")
    first = crowd.waits("""update "T a" set n = 2 where id = 1""")
    second = crowd.waits("""delete from "T a" where id = 1""")
    time.sleep(0.6)
    (found,) = findings(collect(crowd.dsn), "lock-blocked")
    assert found.object.kind == "session"
    assert found.object.name.endswith("(billing)")
    assert found.evidence["root"] == found.evidence["pid"] == root
    assert {(w["pid"], w["depth"]) for w in found.evidence["waiting"]} == {(first, 1), (second, 2)}
    assert {w["relation"] for w in found.evidence["waiting"]} == {"public.T a"}
    assert [o.name for o in found.related] == ["T a"]
    assert found.severity is Severity.INFO
    assert "idle in its transaction" in found.detail
    assert f"pg_terminate_backend({root})" in found.remedy[0].sql
    run(crowd.dsn, found)
    assert crowd.over(0)
    assert crowd.over(1)
    assert not findings(collect(crowd.dsn), "lock-blocked")


def test_time_and_numbers_make_a_wait_worse(crowd: Crowd) -> None:
    crowd.holds("""lock table "T a" """)
    for _ in range(3):
        crowd.waits("""select * from "T a" """)
    snapshot = collect(crowd.dsn)
    assert findings(later(snapshot, seconds=1), "lock-blocked")[0].severity is Severity.INFO
    assert findings(later(snapshot, seconds=6), "lock-blocked")[0].severity is Severity.WARNING
    many = {"lock-blocked": {"critical_sessions": 3}}
    worst = findings(later(snapshot, seconds=61), "lock-blocked", rules=many)[0]
    assert worst.severity is Severity.CRITICAL
    assert worst.evidence["holds"] == ["ACCESS EXCLUSIVE on public.T a"]


def test_short_waits_and_locks_without_waiters_are_no_finding(crowd: Crowd) -> None:
    crowd.holds("""lock table "T a" in access exclusive mode""")
    assert not findings(later(collect(crowd.dsn), hours=1), "lock-blocked")
    crowd.waits("""select 1 from "T a" """)
    soon = {"lock-blocked": {"min_wait": "1 min"}}
    assert not findings(collect(crowd.dsn), "lock-blocked", rules=soon)


def test_a_running_statement_at_the_root_is_cancelled(crowd: Crowd) -> None:
    root = crowd.waits("""do $$ begin lock table "T a"; perform pg_sleep(60); end $$""", "batch")
    crowd.waits("""select count(*) from "T a" """)
    (found,) = findings(later(collect(crowd.dsn), seconds=6), "lock-blocked")
    assert f"pg_cancel_backend({root})" in found.remedy[0].sql
    run(crowd.dsn, found)
    assert crowd.over(1)


def test_a_prepared_transaction_at_the_root_is_named(every_crowd: Crowd) -> None:
    crowd = every_crowd
    psql(crowd.dsn, "begin; select txid_current(); prepare transaction 'another';")
    psql(crowd.dsn, """begin; lock table "T a"; prepare transaction 'it''s mine';""")
    crowd.waits("""select 1 from "T a" """)
    (found,) = findings(later(collect(crowd.dsn), seconds=6), "lock-blocked")
    assert found.object.kind == "prepared_transaction"
    assert found.object.name == "it's mine"
    run(crowd.dsn, found)
    assert crowd.over(0)
    psql(crowd.dsn, "rollback prepared 'another'")


def test_advisory_locks_are_meant_to_be_waited_for(crowd: Crowd) -> None:
    crowd.holds("select pg_advisory_lock(1)")
    crowd.waits("select pg_advisory_lock(1)")
    (found,) = findings(later(collect(crowd.dsn), hours=1), "lock-blocked")
    assert found.severity is Severity.INFO


def test_two_roots_of_one_application_are_two_findings(crowd: Crowd) -> None:
    for key in (1, 2):
        crowd.holds(f'update "T a" set n = 1 where id = {key}')
        crowd.waits(f'update "T a" set n = 2 where id = {key}')
    found = findings(later(collect(crowd.dsn), seconds=6), "lock-blocked")
    assert len({f.id for f in found}) == len(found) == 2


def test_a_ring_of_waiting_sessions_has_no_root_and_no_end() -> None:
    def wait(pid: int, *before: int) -> LockWait:
        return LockWait(pid, before, "relation", "ShareLock", None, None, None, None)

    snapshot = Snapshot("0", None, lock_waits=(wait(1, 2), wait(2, 1), wait(3, 1)))  # type: ignore[arg-type]
    waits = Waits(snapshot)
    assert waits.roots == ()
    assert waits.depths(1) == {2: 1, 3: 1}


# lock-ddl-queue


def test_the_queue_behind_waiting_ddl_is_found_and_the_ddl_cancelled(every_crowd: Crowd) -> None:
    crowd = every_crowd
    crowd.holds("""select count(*) from "T a" """, name="report")
    ddl = crowd.waits("""alter table "T a" add column x int""", "migration")
    crowd.waits("""select * from "T a" """)
    crowd.waits("""select * from "T a" """)
    snapshot = later(collect(crowd.dsn), seconds=6)
    (found,) = findings(snapshot, "lock-ddl-queue")
    assert found.object.label == "public.T a"
    assert found.evidence["pid"] == ddl
    assert len(found.evidence["queued"]) == 2
    assert found.severity is Severity.WARNING
    (root,) = findings(snapshot, "lock-blocked")
    assert root.object.name.endswith("(report)")
    assert "pg_cancel_backend" in root.remedy[0].sql, "cancelling the DDL frees the readers"
    run(crowd.dsn, found)
    assert all(crowd.over(n) for n in range(3))
    assert not findings(later(collect(crowd.dsn), seconds=6), "lock-ddl-queue")
    assert not findings(later(collect(crowd.dsn), seconds=6), "lock-blocked")


@pytest.mark.parametrize(
    ("held", "waiting"),
    [
        ('select * from "T a"', ['alter table "T a" add column x int']),
        ('update "T a" set n = 1', ['update "T a" set n = 2', 'update "T a" set n = 3']),
        ('lock table "T a"', ['select * from "T a"', 'select 1 from "T a"']),
    ],
)
def test_what_is_no_queue_behind_ddl(crowd: Crowd, held: str, waiting: list[str]) -> None:
    crowd.holds(held)
    for statement in waiting:
        crowd.waits(statement)
    snapshot = later(collect(crowd.dsn), seconds=10)
    assert not findings(snapshot, "lock-ddl-queue")
    assert len(findings(snapshot, "lock-blocked")) == 1


# lock-idle-in-transaction, lock-long-transaction


def test_an_idle_transaction_is_found_sooner_the_more_it_harms(crowd: Crowd) -> None:
    pid = crowd.holds("""update "T a" set n = 1 where id = 1""", name="shop")
    snapshot = collect(crowd.dsn)
    assert not findings(later(snapshot, seconds=5), "lock-idle-in-transaction")
    assert (
        findings(later(snapshot, seconds=11), "lock-idle-in-transaction")[0].severity
        is Severity.INFO
    )
    (found,) = findings(later(snapshot, minutes=6), "lock-idle-in-transaction")
    assert found.severity is Severity.WARNING
    assert found.object.name.endswith("(shop)")
    assert found.evidence["pid"] == pid
    crowd.waits("""update "T a" set n = 1 where id = 1""")
    time.sleep(0.6)
    (found,) = findings(collect(crowd.dsn), "lock-idle-in-transaction")
    assert found.evidence["blocked_pids"]
    assert [o.name for o in found.related] == ["T a"]
    run(crowd.dsn, found)
    assert not findings(later(collect(crowd.dsn), hours=1), "lock-idle-in-transaction")


def test_a_failed_transaction_is_told_apart(crowd: Crowd) -> None:
    with pytest.raises(psycopg.Error):
        crowd.holds("select 1/0")
    (found,) = findings(later(collect(crowd.dsn), minutes=6), "lock-idle-in-transaction")
    assert "has failed" in found.detail


def test_an_idle_transaction_that_holds_nothing_is_found_later(crowd: Crowd) -> None:
    crowd.holds("select 1")
    snapshot = collect(crowd.dsn)
    assert not findings(later(snapshot, minutes=4), "lock-idle-in-transaction")
    assert findings(later(snapshot, minutes=6), "lock-idle-in-transaction")


def test_idle_sessions_without_transaction_are_no_finding(crowd: Crowd, db: str) -> None:
    with psycopg.connect(db, autocommit=True) as connection:
        connection.execute("select 1")
        snapshot = later(collect(db), days=3)
        assert not findings(snapshot, "lock-idle-in-transaction")
        assert not findings(snapshot, "lock-long-transaction")


def test_a_long_statement_is_found_and_can_be_cancelled(crowd: Crowd) -> None:
    pid = crowd.waits("select pg_sleep(100)", name="report")
    snapshot = collect(crowd.dsn)
    assert not findings(later(snapshot, minutes=9), "lock-long-transaction")
    (found,) = findings(later(snapshot, minutes=11), "lock-long-transaction")
    assert found.severity is Severity.INFO
    assert f"pg_cancel_backend({pid})" in found.remedy[0].sql
    assert (
        findings(later(snapshot, hours=2), "lock-long-transaction")[0].severity is Severity.WARNING
    )
    assert not findings(later(snapshot, minutes=11), "lock-idle-in-transaction")
    assert not findings(later(snapshot, minutes=30), "lock-long-transaction", profile="analytics")
    run(crowd.dsn, found)
    assert crowd.over(0)


def test_a_remedy_that_is_run_late_hits_nobody_else(crowd: Crowd) -> None:
    crowd.holds("select txid_current()")
    (found,) = findings(later(collect(crowd.dsn), minutes=6), "lock-idle-in-transaction")
    crowd.stuck[0].rollback()
    crowd.stuck[0].execute("select 2")
    run(crowd.dsn, found)
    assert crowd.stuck[0].execute("select 3").fetchone() == (3,)


@pytest.mark.parametrize(
    "rule", ["lock-idle-in-transaction", "lock-long-transaction", "lock-blocked"]
)
def test_a_role_that_sees_nothing_clears_nobody(pg: Server, crowd: Crowd, rule: str) -> None:
    crowd.holds("select txid_current()")
    dbname = psycopg.conninfo.conninfo_to_dict(crowd.dsn)["dbname"]
    with pg.role() as role:
        verdict = report(later(collect(pg.dsn(str(dbname), role)), hours=1), rule).verdicts[0]
        assert verdict.verdict is Verdict.UNKNOWN
        assert "GRANT pg_" in verdict.mend
    with pg.role("pg_monitor") as role:
        verdict = report(later(collect(pg.dsn(str(dbname), role)), hours=1), rule).verdicts[0]
        assert verdict.verdict is not Verdict.UNKNOWN


# lock-prepared-transaction


def test_a_forgotten_prepared_transaction_is_found_and_rolled_back(crowd: Crowd) -> None:
    psql(crowd.dsn, "begin; insert into \"T a\" values (-1); prepare transaction 'T''1';")
    snapshot = collect(crowd.dsn)
    assert not findings(snapshot, "lock-prepared-transaction")
    (found,) = findings(later(snapshot, seconds=10), "lock-prepared-transaction")
    assert found.severity is Severity.INFO
    (found,) = findings(later(snapshot, minutes=6), "lock-prepared-transaction")
    assert found.severity is Severity.WARNING
    crowd.waits("""alter table "T a" add column x int""")
    time.sleep(0.6)
    (found,) = findings(collect(crowd.dsn), "lock-prepared-transaction")
    assert found.severity is Severity.WARNING
    assert found.evidence["blocked_pids"]
    run(crowd.dsn, found)
    assert crowd.over(0)
    assert not findings(later(collect(crowd.dsn), days=1), "lock-prepared-transaction")
