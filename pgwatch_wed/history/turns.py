"""Who waits for whom: on PostgreSQL, writers of different clusters do not; in a file, there is one writer at a time.

All are advisory locks that end with the transaction, so that they pass PgBouncer in transaction mode. Whoever takes several
takes them in the order of :class:`Turn`, and nothing is waited for once ``PARTS`` is held, but rows of blobs in the
order of their addresses: so nobody waits in a circle.
"""

import hashlib
from enum import IntEnum

import sqlalchemy as sa


class Turn(IntEnum):
    """What writers have by turns. The numbers are the first key of the locks; they never change."""

    FORM = 0x70_67_77_68
    """The tables: a migration has them alone, all others together."""
    NEWCOMER = 0x70_67_77_69
    """A cluster that is not known yet, by its system identifier; then by its place."""
    CLUSTER = 0x70_67_77_6A
    """What is known of a cluster, by its number."""
    MONTHS = 0x70_67_77_6B
    """The creation of partitions."""
    CLEANUP = 0x70_67_77_6C
    """The removal of what is due."""
    PARTS = 0x70_67_77_6D
    """Blobs: whoever removes some has them alone, whoever is about to refer to some has them together with others."""
    FLEET = 0x70_67_77_6E
    """The beginning of a fleet run, which several shards may be about to begin; nothing else is taken with it."""


def wait_for(connection: sa.Connection, turn: Turn, whose: int | str = 0) -> None:
    """Have something alone until the transaction ends."""
    _lock(connection, "pg_advisory_xact_lock", turn, whose)


def share(connection: sa.Connection, turn: Turn) -> None:
    """Have something together with others until the transaction ends."""
    _lock(connection, "pg_advisory_xact_lock_shared", turn, 0)


def is_free(connection: sa.Connection, turn: Turn, whose: int | str = 0) -> bool:
    """Have something alone if nobody else has it; tell whether that is so."""
    return _lock(connection, "pg_try_advisory_xact_lock", turn, whose) is not False


def _lock(connection: sa.Connection, function: str, turn: Turn, whose: int | str) -> object:
    if connection.dialect.name != "postgresql":
        return None  # the file itself is locked
    # FORM keeps the key of earlier versions, which had all by turns
    arguments = f"{turn}" if turn is Turn.FORM else f"{turn}, {_number(whose)}"
    return connection.exec_driver_sql(f"SELECT pg_catalog.{function}({arguments})").scalar()


def _number(whose: int | str) -> int:
    """Return a key of 32 bits; two that share one wait for each other, which is harmless."""
    if isinstance(whose, int):
        return (whose + (1 << 31)) % (1 << 32) - (1 << 31)
    return int.from_bytes(hashlib.sha256(whose.encode()).digest()[:4], signed=True)
