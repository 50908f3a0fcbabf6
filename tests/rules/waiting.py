"""Time in tests of rules: the same facts seen later, and what a server does soon but not at once."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg

from pgwatch_wed.facts import Snapshot


def later(snapshot: Snapshot, **time: float) -> Snapshot:
    """Look at the same facts some time later."""
    now = snapshot.now + timedelta(**time)
    return replace(snapshot, server=replace(snapshot.server, taken_at=now))


def eventually(look: Callable[[], Any], seconds: float = 20) -> Any:
    """Return what a look gives as soon as it gives something; fail when it never does."""
    until = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < until, "it does not come"
        time.sleep(0.05)
    return seen


def ask(dsn: str, query: str) -> Any:
    """Return the first value of a query's first row."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


_OTHERS = """
select count(*) from pg_stat_activity
where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
"""


def reported(dsn: str, seconds: float = 2) -> None:
    """Wait until what ended sessions counted can be read: each reports it before it is gone."""
    until = time.monotonic() + seconds
    while ask(dsn, _OTHERS) and time.monotonic() < until:
        time.sleep(0.05)
    if int(ask(dsn, "show server_version_num")) < 150000:
        time.sleep(1)  # the statistics collector takes its time
