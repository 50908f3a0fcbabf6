"""A connection pooler between us and the server, which may give one session to several clients.

A program that sets anything for its session then sets it for somebody else. pg_dump empties the
search_path: behind a pooler in transaction mode, applications no longer find their tables.
"""

import random
from contextlib import ExitStack
from typing import Any

import psycopg

from pgwatch_wed.target import door

# Each round tells by chance of one half at the least, whatever the pooler's order.
_ROUNDS = 12
# A client that waits for a free session, since we ourselves hold the last one, cannot tell.
_GUARDS = door.Guards(statement_ms=1_000)
_PID = "select pg_catalog.pg_backend_pid()"


def is_between(connection: psycopg.Connection[Any]) -> bool:
    """Tell whether a session is with another process than the one that it was told of."""
    return _process(connection) != connection.info.backend_pid


def shares_sessions(conninfo: str) -> bool:
    """Tell whether a pooler may give one session to several clients; True where it cannot be told.

    Two clients begin and end transactions in random order. Where each keeps its own session, each
    always meets the same process; where sessions are shared, one takes what the other has left.
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
    """Note the process that each client meets in a transaction, while the other has one, too."""
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
