"""Sessions on the ground of a load test, without guards: a load test writes, in what is its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from pgwatch_wed.load.load_model import Ground
from pgwatch_wed.target import wire
from pgwatch_wed.target.connect import APPLICATION_NAME

STRESS_NAME = f"{APPLICATION_NAME} stress"  # of every session of a load test


@contextmanager
def connected(
    ground: Ground, *, autocommit: bool = True, dbname: str | None = None
) -> Iterator[psycopg.Connection[Any]]:
    """Yield a session on the ground's database, or on ``dbname`` of its server.

    Without ``autocommit``, the block is one transaction. No query of it is left running, even if the block
    fails. Raises :class:`pgwatch_wed.errors.ConnectError`.
    """
    place = ground.conninfo if dbname is None else make_conninfo(ground.conninfo, dbname=dbname)
    with writing_session(place) as connection:
        connection.autocommit = autocommit
        yield connection
        if not autocommit:
            connection.commit()


@contextmanager
def writing_session(conninfo: str) -> Iterator[psycopg.Connection[Any]]:
    """Yield a session that may write; only for what creates, marks and drops a ground."""
    connection = wire.connect(conninfo, psycopg.Connection[Any], application_name=STRESS_NAME)
    try:
        yield connection
    finally:
        wire.end(connection)
