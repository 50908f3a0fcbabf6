"""A connection pooler between us and the server, which may share one session between several clients.

A program that changes its session then changes it for others. pg_dump empties the search_path: behind
a pooler in transaction mode, applications would no longer find their tables.
"""

import random
from contextlib import ExitStack
from typing import Any

import psycopg

from pgwatch_wed.target import door

# Each round detects sharing with a probability of at least one half, whatever the pooler's order.
_ROUNDS = 12
# If a client waits for a free session because we hold the last one, nothing can be concluded.
_GUARDS = door.Guards(statement_ms=1_000)
_PID = "select pg_catalog.pg_backend_pid()"


def is_between(connection: psycopg.Connection[Any]) -> bool:
    """Tell whether a session is served by a process other than the one that it was announced."""
    return _process(connection) != connection.info.backend_pid


def shares_sessions(conninfo: str) -> bool:
    """Tell whether a pooler may share one session between several clients; True if unknown.

    Two clients begin and end transactions in random order. If each keeps its own session, each always
    gets the same process; if sessions are shared, one gets what the other has left.
    """
    with ExitStack() as stack:
        two = [stack.enter_context(door.opened(conninfo, _GUARDS)) for _ in range(2)]
        met: list[set[int]] = [set(), set()]
        try:
            for _ in range(_ROUNDS):
                _meet(two, met)
                if len(met[0]) > 1 or len(met[1]) > 1:
                    return True
        except psycopg.OperationalError:
            return True
    return met[0] == met[1]


def _meet(two: list[door.Door], met: list[set[int]]) -> None:
    """Record the process that each client gets in a transaction, while the other has one, too."""
    with ExitStack() as first, ExitStack() as second:
        for number in random.sample((0, 1), 2):
            asking = two[number].asking("pooler")
            met[number].add(_process((first, second)[number].enter_context(asking)))
        for number in random.sample((0, 1), 2):
            (first, second)[number].close()


def _process(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(_PID).fetchone()
    assert row is not None
    return int(row[0])
