"""Which runs are compared to tell what happened in a long time: so many that it takes seconds, and those that matter."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise

import sqlalchemy as sa

from pgwatch_wed.history import series
from pgwatch_wed.history.snapshots import StoredSnapshot, parts_of

MOST = 120
"""Runs that are compared at most; reading one of 10,000 tables takes a quarter of a second."""

# What changes only if somebody changes it.
_RARE = ("settings", "role_settings", "extensions", "columns", "index_definitions", "constraints")


def waypoints(
    connection: sa.Connection,
    database_id: int,
    stored: Sequence[StoredSnapshot],
    steps: Iterable[datetime],
    most: int,
) -> tuple[StoredSnapshot, ...]:
    """Return the runs to compare, oldest first: all, or if they are too many, some of them.

    These are the first and the last, those before and after each change of the structure or the settings, each restart and
    each of ``steps``, the newest first, and others at equal distances.
    """
    if len(stored) <= most:
        return tuple(stored)
    chosen = {0, len(stored) - 1}
    for place in sorted(_turns(connection, database_id, stored, steps), reverse=True):
        if len(chosen) + 2 > most * 3 // 4:
            break
        chosen |= {place - 1, place}
    left = most - len(chosen)
    chosen |= {round(n * (len(stored) - 1) / (left + 1)) for n in range(1, left + 1)}
    return tuple(stored[place] for place in sorted(chosen))


def _turns(
    connection: sa.Connection,
    database_id: int,
    stored: Sequence[StoredSnapshot],
    steps: Iterable[datetime],
) -> set[int]:
    """Return the places of runs before which something happened."""
    kept = _addresses(connection, database_id)
    turns = {
        place
        for place, (one, other) in enumerate(pairwise(stored), 1)
        if kept.get(one.id) != kept.get(other.id)
    }
    spans = series.intervals_of(connection, database_id, stored[0].taken_at)
    dates = [s.ended_at for s in spans if s.bond != "same"] + [*steps]
    place_of = {each.taken_at: place for place, each in enumerate(stored)}
    return turns | {place_of[date] for date in dates if place_of.get(date)}


def _addresses(connection: sa.Connection, database_id: int) -> dict[int, frozenset[str]]:
    """Return for each run the addresses of the facts that rarely change."""
    c = parts_of(database_id, _RARE).c
    query = (
        sa.select(c.snapshot_id, sa.func.group_concat(c.hash))
        if connection.dialect.name == "sqlite"
        else sa.select(c.snapshot_id, sa.func.string_agg(c.hash, ","))
    )
    rows = connection.execute(query.group_by(c.snapshot_id))
    return {int(number): frozenset(hashes.split(",")) for number, hashes in rows}
