"""What the history adds to a snapshot before it is evaluated: facts like all others."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from pgwatch_wed.errors import HistoryError
from pgwatch_wed.facts import UNASKED, Cause, Missing, Snapshot
from pgwatch_wed.facts.rows import HistoryCoverage
from pgwatch_wed.facts.snapshot import FROM_HISTORY
from pgwatch_wed.history import (
    advice_facts,
    capacity,
    identity,
    risen_levels,
    snapshots,
    statement_shifts,
    track_record,
)
from pgwatch_wed.history.identity import Identity

HistoryRoom = Callable[[sa.Connection, Snapshot, Identity | None], tuple[Any, ...] | Missing]
"""Returns the rows of a fact for a snapshot that has been stored, and whose it is, or why they cannot be told."""

ROOMS: Mapping[str, HistoryRoom] = {
    "advice_record": track_record.facts_of,
    "followed_advice": advice_facts.facts_of,
    "forecasts": capacity.facts_of,
    "level_shifts": risen_levels.facts_of,
    "statement_shifts": statement_shifts.facts_of,
}
"""Who knows which fact."""

assert ROOMS.keys() == FROM_HISTORY


def recalled(connection: sa.Connection, read: Sequence[Snapshot]) -> tuple[Snapshot, ...]:
    """Return the snapshots, which have been stored, with what their history tells."""
    return tuple(_recalled(connection, snapshot) for snapshot in read)


def without_history(read: Sequence[Snapshot], why: Missing) -> tuple[Snapshot, ...]:
    """Return the snapshots with the reason why nothing is known of their history."""
    lost = dict.fromkeys(FROM_HISTORY, why)
    return tuple(replace(s, missing={**s.missing, **lost}) for s in read)


def _recalled(connection: sa.Connection, snapshot: Snapshot) -> Snapshot:
    owner = identity.identify(connection, snapshot)
    known = () if owner is None else snapshots.of_database(connection, owner.database_id)
    begins = known[0].taken_at if known else None
    facts: dict[str, Any] = {}
    missing = dict(snapshot.missing)
    coverage: list[HistoryCoverage] = []
    for name, room in ROOMS.items():
        if snapshot.missing.get(name) == UNASKED:
            continue
        found = _asked(room, connection, snapshot, owner)
        if isinstance(found, Missing):
            missing[name] = found
        else:
            facts[name] = found
            coverage.append(HistoryCoverage(name, len(known), begins))
    return replace(snapshot, missing=missing, history_coverage=tuple(coverage), **facts)


def _asked(
    room: HistoryRoom, connection: sa.Connection, snapshot: Snapshot, owner: Identity | None
) -> tuple[Any, ...] | Missing:
    """Ask; what one does not know costs no other fact."""
    try:
        return room(connection, snapshot, owner)
    except HistoryError as error:
        return Missing(error.message, error.hint, Cause.FAILED)
    except (sa.exc.DBAPIError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the report of today can be written
        reason = f"the history could not be evaluated: {type(error).__name__}"
        return Missing(reason, "please report this", Cause.UNEXPECTED)
