"""A standby that must cancel what stands in its recovery's way costs facts, or is one clear line."""

import threading
import time

import psycopg

from pgwatch_wed import embedded
from pgwatch_wed.capabilities import UNEXPECTED
from pgwatch_wed.collect import collect
from pgwatch_wed.errors import Error
from pgwatch_wed.facts import Snapshot
from tests.standby import catch_up, standby_of

# Replay that takes ACCESS EXCLUSIVE on catalogs: each one cancels whoever reads them.
CONFLICTS = "vacuum full pg_catalog.pg_class; vacuum full pg_catalog.pg_statistic"


def outcome(dsn: str) -> Snapshot | Error:
    """Collect; a conflict while the session begins is one line, for there is nothing yet to keep."""
    try:
        return collect(dsn, budget_s=30)
    except Error as error:
        return error


def test_conflicts_with_recovery_cost_facts_or_are_one_line() -> None:
    settings = {"wal_level": "replica"}
    with embedded.start(settings) as primary, standby_of(primary) as follower:
        follower.restart({"max_standby_streaming_delay": "0"})
        done = threading.Event()

        def disturb() -> None:
            with psycopg.connect(primary.dsn(), autocommit=True) as connection:
                while not done.is_set():
                    for statement in CONFLICTS.split(";"):
                        connection.execute(statement.encode())
                        time.sleep(0.1)

        thread = threading.Thread(target=disturb)
        thread.start()
        try:
            outcomes = [outcome(follower.dsn()) for _ in range(8)]
        finally:
            done.set()
            thread.join()
        snapshots = [o for o in outcomes if isinstance(o, Snapshot)]
        assert snapshots
        assert all(s.server.is_in_recovery for s in snapshots)
        lines = [str(o) for o in outcomes if isinstance(o, Error)]
        assert all("conflict with recovery" in line for line in lines), lines
        reasons = [m.reason for s in snapshots for m in s.missing.values()]
        assert not [r for r in reasons if UNEXPECTED in r]


def test_a_cascading_standby_is_read_like_any_other() -> None:
    settings = {"wal_level": "replica"}
    with embedded.start(settings) as primary, standby_of(primary) as middle:
        with standby_of(middle) as last:
            catch_up(primary, last)
            snapshot = collect(last.dsn())
        assert snapshot.server.is_in_recovery
        assert not [m for m in snapshot.missing.values() if UNEXPECTED in m.reason]
