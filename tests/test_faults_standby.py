"""A standby that must cancel what stands in its recovery's way costs facts, or is one clear line."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.errors import Error
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.gather.run import gather
from pgwatch_wed.gather.wanted import Wanted
from pgwatch_wed.target.capabilities import UNEXPECTED
from pgwatch_wed.target.collect import ORDER, collect
from tests.psql import psql
from tests.standby import catch_up, standby_of
from tests.test_cli import FAULTS
from tests.test_queries import ADDED

# Replay that takes ACCESS EXCLUSIVE on catalogs: each one cancels whoever reads them.
CONFLICTS = ("vacuum full pg_catalog.pg_class", "vacuum full pg_catalog.pg_statistic")
CANCELLED = "conflict with recovery"
# What recovery cancelled, as the standby itself counts it; deadlocks and tablespaces do not occur.
COUNTED = """
    select confl_lock + confl_snapshot + confl_bufferpin from pg_stat_database_conflicts
    where datname = current_database()"""


def outcome(dsn: str) -> Snapshot | Error:
    """Collect; a conflict while the session begins is one line, for there is nothing yet to keep."""
    try:
        return collect(dsn, budget_s=30)
    except Error as error:
        return error


def said(result: Snapshot | Error) -> list[str]:
    """Return everything that a run says it could not do."""
    if isinstance(result, Error):
        return [str(result)]
    return [missing.reason for missing in result.missing.values()]


@contextmanager
def disturbed(primary: embedded.EmbeddedServer) -> Iterator[None]:
    """Rewrite catalogs on the primary all the time."""
    done = threading.Event()

    def rewrite() -> None:
        with psycopg.connect(primary.dsn(), autocommit=True) as connection:
            while not done.is_set():
                for statement in CONFLICTS:
                    connection.execute(statement.encode())
                    done.wait(0.02)

    thread = threading.Thread(target=rewrite)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def counted(follower: embedded.EmbeddedServer) -> int:
    with psycopg.connect(follower.dsn(), autocommit=True) as connection:
        row = connection.execute(COUNTED.encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_conflicts_with_recovery_cost_facts_or_are_one_line() -> None:
    settings = {"wal_level": "replica"}
    with embedded.start(settings) as primary, standby_of(primary) as follower:
        follower.restart({"max_standby_streaming_delay": "0"})
        assert counted(follower) == 0
        outcomes: list[Snapshot | Error] = []
        end = time.monotonic() + 120
        with disturbed(primary):
            while len(outcomes) < 8 or not any(CANCELLED in s for o in outcomes for s in said(o)):
                assert time.monotonic() < end, "no run of ours stood in recovery's way"
                outcomes.append(outcome(follower.dsn()))
        catch_up(primary, follower)
        assert counted(follower) > 0, "the standby itself knows of it"
        snapshots = [o for o in outcomes if isinstance(o, Snapshot)]
        assert snapshots
        assert all(s.server.is_in_recovery for s in snapshots)
        assert any(set(ORDER) - s.missing.keys() for s in snapshots)
        lines = [str(o) for o in outcomes if isinstance(o, Error)]
        assert all(CANCELLED in line for line in lines), lines
        assert not [s for o in outcomes for s in said(o) if UNEXPECTED in s]


def test_a_cascading_standby_is_read_like_any_other() -> None:
    settings = {"wal_level": "replica"}
    with embedded.start(settings) as primary, standby_of(primary) as middle:
        with standby_of(middle) as last:
            catch_up(primary, last)
            snapshot = collect(last.dsn())
        assert snapshot.server.is_in_recovery
        assert not [m for m in snapshot.missing.values() if UNEXPECTED in m.reason]


def test_a_whole_run_on_a_standby_has_plans_advice_and_measured_bloat() -> None:
    """Nothing of it writes: neither the dump, nor the plans, nor the measuring."""
    with embedded.start({"wal_level": "replica"}) as primary:
        psql(primary.dsn(), FAULTS + "create extension pgstattuple;")
        with standby_of(primary) as follower:
            catch_up(primary, follower)
            psql(follower.dsn(), "select count(*) from orders where id % 7 = 3;" * 20)
            wanted = Wanted(budget_s=60, exact_bloat=5)
            (snapshot,) = gather(follower.dsn(), wanted, lambda _what, _share: None)
    assert snapshot.server.is_in_recovery
    assert not ADDED & snapshot.missing.keys()
    assert snapshot.exact_bloat
    report = analyse([snapshot], Config(window_days=0))
    assert report.findings
    verdicts = {v.rule: v for v in report.verdicts}
    assert "this is a standby" in verdicts["index-duplicate"].reason
