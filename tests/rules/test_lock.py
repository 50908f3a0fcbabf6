"""Lock rules: they need several sessions, so no scenario file can hold them."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pglast
import psycopg
import pytest

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import parse
from pgwatch_wed.facts import LockWait, Snapshot
from pgwatch_wed.findings import Finding, Grade, Report, Severity, Verdict
from pgwatch_wed.postgres.waits import Waits
from pgwatch_wed.target.collect import collect
from tests.conftest import StartServer
from tests.psql import psql
from tests.rules.waiting import later
from tests.servers import Server

TABLE = """
create table "T a" (id int primary key, n int);
insert into "T a" select g, 0 from generate_series(1, 100) g;
"""


def report(snapshot: Snapshot, rule: str, **config: object) -> Report:
    return analyse([snapshot], parse({"only": [rule], **config}, "test"))


def findings(snapshot: Snapshot, rule: str, **config: object) -> list[Finding]:
    return list(report(snapshot, rule, **config).findings)


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
    assert "idle in transaction" in found.detail
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


def test_an_idle_session_with_an_advisory_lock_is_terminated(every_crowd: Crowd) -> None:
    crowd = every_crowd
    root = crowd.holds("select pg_advisory_lock(1)", name="leader")
    crowd.stuck[0].commit()
    crowd.waits("select pg_advisory_lock(1)")
    (found,) = findings(later(collect(crowd.dsn), hours=1), "lock-blocked")
    assert f"pg_terminate_backend({root})" in found.remedy[0].sql
    assert "has been idle" in found.detail
    assert "transaction" not in found.remedy[0].lock
    run(crowd.dsn, found)
    assert crowd.over(0)


def test_a_session_that_waits_for_its_client_is_terminated(crowd: Crowd) -> None:
    root = crowd.holds('lock table "T a"', name="loader")
    with pytest.raises(psycopg.OperationalError):
        load_and_be_stopped(crowd, root)
    assert crowd.over(0)


def load_and_be_stopped(crowd: Crowd, root: int) -> None:
    with crowd.stuck[0].cursor().copy('copy "T a" from stdin') as copy:
        copy.write("1001\t1\n" * 10_000)
        crowd.waits('select 1 from "T a"')
        (found,) = findings(later(collect(crowd.dsn), hours=1), "lock-blocked")
        assert f"pg_terminate_backend({root})" in found.remedy[0].sql
        run(crowd.dsn, found)


# A pile-up


def pile_up(crowd: Crowd, how_many: int) -> list[int]:
    """Let sessions that have written something wait for one row."""
    row = 'update "T a" set n = 2 where id = 1'
    return [
        crowd.waits(f"do $$ begin perform txid_current(); {row}; end $$") for _ in range(how_many)
    ]


@pytest.mark.parametrize("rule", ["vacuum-horizon", "lock-blocked", "lock-idle-in-transaction"])
def test_a_pile_up_is_one_finding_about_the_session_it_waits_for(
    every_crowd: Crowd, rule: str
) -> None:
    crowd = every_crowd
    root = crowd.holds('update "T a" set n = 1 where id = 1', name="shop")
    waiting = pile_up(crowd, 5)
    snapshot = later(collect(crowd.dsn), hours=2)
    (found,) = findings(snapshot, rule)
    assert found.object.name.endswith("(shop)")
    assert found.severity is not Severity.INFO
    assert f"pg_terminate_backend({root})" in found.remedy[0].sql
    listed = json.dumps(found.evidence, default=str)
    assert all(str(pid) in listed for pid in waiting)
    assert not findings(snapshot, "lock-long-transaction")


def test_a_pile_up_behind_a_statement_accuses_that_statement(crowd: Crowd) -> None:
    work = """do $$ begin update "T a" set n = 1 where id = 1; perform pg_sleep(60); end $$"""
    root = crowd.waits(work, "batch")
    pile_up(crowd, 3)
    snapshot = later(collect(crowd.dsn), hours=2)
    for rule in ("vacuum-horizon", "lock-blocked", "lock-long-transaction"):
        (found,) = findings(snapshot, rule)
        assert f"pg_cancel_backend({root})" in found.remedy[0].sql


def test_who_makes_others_hold_back_vacuum_is_named_although_it_holds_nothing_itself(
    crowd: Crowd,
) -> None:
    root = crowd.holds('select count(*) from "T a"', name="report")
    crowd.waits('alter table "T a" add column x int', "migration")
    crowd.waits('select * from "T a"')
    snapshot = later(collect(crowd.dsn), hours=2)
    assert snapshot.session_by_pid[root].xmin_age_xids is None
    (found,) = findings(snapshot, "vacuum-horizon")
    assert "waiting for session" in found.title
    assert found.object.name.endswith("(report)")
    assert f"pg_terminate_backend({root})" in found.remedy[0].sql


def test_a_snapshot_that_is_as_old_as_anothers_transaction_is_not_to_blame(crowd: Crowd) -> None:
    crowd.holds("select txid_current()", name="old")
    burn = "do $$ begin for i in 1..3000 loop perform txid_current(); commit; end loop; end $$"
    psql(crowd.dsn, burn)
    time.sleep(0.1)
    crowd.waits("select pg_sleep(60)", "young")
    few = {"vacuum-horizon": {"min_age_xids": 2000, "warn_age_xids": 2000}}
    (found,) = findings(collect(crowd.dsn), "vacuum-horizon", rules=few)
    assert found.object.name.endswith("(old)")
    assert found.evidence["age_xids"] >= 3000
    both = findings(later(collect(crowd.dsn), hours=2), "vacuum-horizon")
    assert len(both) == 2, "it keeps its own snapshot, once the other has ended"


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
    (found,) = findings(later(snapshot, hours=6), "lock-idle-in-transaction")
    assert found.severity is Severity.INFO
    assert "VACUUM" not in (found.impact.risk or "")


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


# lock-deadlocks


def test_deadlocks_are_counted_and_the_log_is_made_to_tell_more(crowd: Crowd) -> None:
    crowd.holds('update "T a" set n = 1 where id = 1')
    other = psycopg.connect(crowd.dsn, application_name="other")
    crowd.stuck.append(other)
    other.execute('update "T a" set n = 1 where id = 2')
    first = crowd.stuck[0]
    thread = threading.Thread(
        target=lambda: tolerant(first, 'update "T a" set n = 1 where id = 2'), daemon=True
    )
    thread.start()
    tolerant(other, 'update "T a" set n = 1 where id = 1')
    thread.join(10)
    for connection in (first, other):
        connection.rollback()
        connection.execute("select pg_stat_force_next_flush()")
        connection.commit()
    (found,) = findings(collect(crowd.dsn), "lock-deadlocks")
    assert found.severity is Severity.INFO
    assert found.evidence["deadlocks"] == 1
    for step in found.remedy:
        assert "log_lock_waits" in step.sql
        assert step.undo.startswith("ALTER SYSTEM")


def tolerant(connection: psycopg.Connection[tuple[object, ...]], statement: str) -> None:
    """Run a statement that may be the victim."""
    try:
        connection.execute(statement.encode())
    except psycopg.errors.DeadlockDetected:
        return


def test_many_deadlocks_a_day_are_a_pattern_and_no_old_few(db: str) -> None:
    snapshot = later(collect(db), days=10)
    database = snapshot.database
    assert database is not None

    def severity(deadlocks: int) -> list[Severity]:
        changed = replace(database, deadlocks=deadlocks)
        return [
            f.severity for f in findings(replace(snapshot, databases=(changed,)), "lock-deadlocks")
        ]

    assert severity(0) == []
    assert severity(30) == [Severity.INFO]
    assert severity(300) == [Severity.WARNING]


def test_no_deadlock_in_young_counters_says_nothing(db: str) -> None:
    snapshot = collect(db)
    assert report(snapshot, "lock-deadlocks").verdicts[0].verdict is Verdict.UNKNOWN
    old = report(later(snapshot, days=2), "lock-deadlocks")
    assert old.verdicts[0].verdict is Verdict.CLEAR


# lock-no-timeouts

TIMEOUTS = ["idle_in_transaction_session_timeout", "statement_timeout", "lock_timeout"]


def missing_timeouts(dsn: str) -> Finding | None:
    found = findings(collect(dsn), "lock-no-timeouts")
    assert len(found) <= 1, "one cause, one finding"
    return found[0] if found else None


def test_timeouts_that_nobody_set_are_one_finding_with_one_script(start_pg: StartServer) -> None:
    dsn = start_pg().dsn()
    psql(
        dsn,
        """
        create role "App 1" login; create role nologin_group; create role batch login;
        create role watch login in role pg_monitor; create role walker login replication;
        create role readers in role pg_read_all_stats; create role watch_too login in role readers;
        alter role batch set statement_timeout = '1h';
        """,
    )
    finding = missing_timeouts(dsn)
    assert finding is not None
    assert finding.severity is Severity.INFO
    assert finding.evidence["timeouts"] == TIMEOUTS
    assert finding.evidence["roles_without"] == ["App 1", "batch"], "no monitoring, no replication"
    assert finding.evidence["roles_by_timeout"]["lock_timeout"] == ["App 1"]
    (step,) = finding.remedy
    assert step.sql.count("ALTER ROLE") == 4
    run(dsn, finding)
    assert not missing_timeouts(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(step.undo.encode())
    again = missing_timeouts(dsn)
    assert again is not None
    assert again.evidence == finding.evidence


def test_many_roles_are_left_to_one_setting_of_the_server(start_pg: StartServer) -> None:
    dsn = start_pg().dsn()
    psql(dsn, "".join(f"create role app{i} login; " for i in range(11)))
    finding = missing_timeouts(dsn)
    assert finding is not None
    (step,) = finding.remedy
    assert step.sql.count("ALTER SYSTEM SET") == 3
    assert step.sql.count("pg_reload_conf") == step.undo.count("pg_reload_conf") == 1
    assert step.sql.endswith("SELECT pg_reload_conf();")


def test_a_timeout_of_the_server_or_the_database_is_enough(start_pg: StartServer) -> None:
    dsn = start_pg({"idle_in_transaction_session_timeout": "5min"}).dsn()
    psql(dsn, "create role app login; alter database postgres set statement_timeout = '30s';")
    assert not missing_timeouts(dsn), "statement_timeout bounds waiting for locks, too"


def test_one_role_without_is_named_alone(start_pg: StartServer) -> None:
    dsn = start_pg({"transaction_timeout": "0"}).dsn()
    psql(dsn, "create role app login; create role batch login;")
    psql(dsn, "alter role app set transaction_timeout = '10min';")
    finding = missing_timeouts(dsn)
    assert finding is not None
    assert finding.evidence["roles_without"] == ["batch"]
    assert finding.title == "3 timeouts are not set for batch"
    psql(dsn, "alter role batch in database postgres set transaction_timeout = '1h';")
    assert not missing_timeouts(dsn)


def test_our_own_roles_timeout_is_not_the_servers(start_pg: StartServer) -> None:
    server = start_pg()
    psql(server.dsn(), "create role app login; create role monitor login in role pg_monitor;")
    psql(server.dsn(), "alter role monitor set statement_timeout = '5s';")
    finding = missing_timeouts(server.dsn(user="monitor"))
    assert finding is not None
    assert finding.evidence["roles_by_timeout"]["statement_timeout"] == ["app"]


@pytest.mark.parametrize(("value", "is_set"), [("0", False), ("0ms", False), ("500ms", True)])
def test_zero_is_no_timeout(start_pg: StartServer, value: str, is_set: bool) -> None:
    dsn = start_pg({"statement_timeout": value}).dsn()
    psql(dsn, "create role app login;")
    finding = missing_timeouts(dsn)
    assert finding is not None
    assert ("statement_timeout" not in finding.evidence["timeouts"]) is is_set


# lock-table-pressure

FEW_LOCKS = {
    "max_connections": "10",
    "max_locks_per_transaction": "10",
    "max_worker_processes": "2",
    "max_wal_senders": "0",
    "max_prepared_transactions": "0",
    "autovacuum": "off",
}
CREATE = (
    "do $$ begin for i in {}..{} loop execute format('create table t%s ()', i); end loop; end $$"
)


def test_a_lock_table_that_fills_up_is_seen_before_it_is_full(start_pg: StartServer) -> None:
    dsn = start_pg({**FEW_LOCKS, "autovacuum_worker_slots": "1"}).dsn()
    for start in range(1, 102, 20):
        psql(dsn, CREATE.format(start, start + 19))
    seen = {}
    with psycopg.connect(dsn) as greedy:
        for number in (30, 75, 110):
            tables = ", ".join(f"t{n}" for n in range(1, number + 1))
            greedy.execute(f"lock table {tables} in access exclusive mode".encode())
            seen[number] = [f.severity for f in findings(collect(dsn), "lock-table-pressure")]
    assert seen == {30: [], 75: [Severity.INFO], 110: [Severity.WARNING]}
    assert not findings(collect(dsn), "lock-table-pressure")


def test_locks_on_the_fast_path_take_no_room(start_pg: StartServer) -> None:
    dsn = start_pg({**FEW_LOCKS, "max_locks_per_transaction": "64"}).dsn()
    psql(dsn, CREATE.format(1, 60))
    with psycopg.connect(dsn) as reader:
        for n in range(1, 61):
            reader.execute(f"select from t{n}".encode())
        (table,) = collect(dsn).lock_table
    assert table.fastpath_entries >= 60
    assert table.entries < 30


def test_a_queue_at_the_lock_manager_is_a_hint(db: str) -> None:
    with psycopg.connect(db), psycopg.connect(db), psycopg.connect(db):
        snapshot = collect(db)
    clients = [s for s in snapshot.sessions if s.backend_type == "client backend"][:3]
    rest = [s for s in snapshot.sessions if s not in clients]
    queue = [replace(s, wait_event_type="LWLock", wait_event="LockManager") for s in clients]
    (found,) = findings(replace(snapshot, sessions=(*rest, *queue)), "lock-table-pressure")
    assert found.grade is Grade.D
    two = (*rest, *queue[:2])
    assert not findings(replace(snapshot, sessions=two), "lock-table-pressure")


# --- lock-slru-waits --------------------------------------------------------------------------------


def test_a_storm_on_a_small_cache_comes_first_and_names_who_causes_it(every_crowd: Crowd) -> None:
    """The waits are put into real facts; the savepoints of the culprit are real."""
    savepoints = [
        f'savepoint s{n}; update "T a" set n = n + 1 where id = {n}' for n in range(1, 71)
    ]
    culprit = every_crowd.holds(*savepoints, name="import job")
    for _ in range(3):
        every_crowd.holds("select 1", name="web")
    snapshot = collect(every_crowd.dsn)
    web = [s for s in snapshot.sessions if s.application_name == "web"]
    rest = [s for s in snapshot.sessions if s not in web]

    def storm(event: str, number: int = 3) -> Snapshot:
        stuck = [
            replace(s, state="active", wait_event_type="LWLock", wait_event=event)
            for s in web[:number]
        ]
        return replace(snapshot, sessions=(*rest, *stuck))

    (found,) = findings(storm("SubtransSLRU"), "lock-slru-waits")
    assert found.severity is Severity.WARNING
    assert found.evidence["waiting_pids"] == sorted(s.pid for s in web)
    assert f"ession {culprit} " in found.detail
    assert "import job" in found.detail
    if "subtransactions" not in snapshot.missing:
        assert found.grade is Grade.B
        assert f"pg_terminate_backend({culprit})" in found.remedy[0].sql
        assert found.evidence["open_subtransactions"] == {str(culprit): 64}
    else:
        assert found.grade is Grade.C
        assert found.remedy == ()
        assert any("is not known: it requires PostgreSQL" in c for c in found.caveats)
    everything = analyse([storm("SubtransBuffer")], parse({"only": ["lock"]}, "test"))
    assert everything.findings[0].rule == "lock-slru-waits"
    assert not findings(storm("SubtransSLRU", 2), "lock-slru-waits")
    assert not findings(storm("WALWrite"), "lock-slru-waits")
    (multi,) = findings(storm("MultiXactMemberSLRU"), "lock-slru-waits")
    assert "pg_terminate_backend" not in str(multi.remedy)
    severe = report(
        storm("SubtransSLRU"), "lock-slru-waits", rules={"lock-slru-waits": {"critical_waiting": 3}}
    )
    assert severe.findings[0].severity is Severity.CRITICAL
