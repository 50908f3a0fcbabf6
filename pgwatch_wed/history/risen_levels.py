"""Which amounts rose, read from the series of numbers."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise

import sqlalchemy as sa

from pgwatch_wed.facts import Missing, Snapshot
from pgwatch_wed.facts.rows import LevelShift
from pgwatch_wed.history import measures, series
from pgwatch_wed.history.condense import BY_THE_HOUR
from pgwatch_wed.history.identity import Identity
from pgwatch_wed.history.level_shifts import LevelSides, RateInterval, per_day, risen
from pgwatch_wed.history.measures import Point, Subject
from pgwatch_wed.history.periods import Periods, periods
from pgwatch_wed.history.regressions import Proof, SeriesKey

MIN_RATIO = 2.0
# What matters: rows and bytes a day, and connections.
LEAST: Mapping[str, float] = {
    "table_writes": 100_000,
    "table_seq_rows": 10_000_000,
    "wal_position": 1 << 30,
    "connections": 10,
}
_LEVELS = frozenset(("connections",))
_POSITIONS = frozenset(("wal_position",))


def facts_of(
    connection: sa.Connection, snapshot: Snapshot, owner: Identity | None
) -> tuple[LevelShift, ...] | Missing:
    """Return the amounts that rose, or why that cannot be told."""
    if owner is None:
        return Missing("this is the first run", "run it again, every hour")
    since = snapshot.now - BY_THE_HOUR
    known = series.intervals_of(connection, owner.database_id, since, snapshot.now)
    found = periods(known, snapshot.now)
    if isinstance(found, Missing):
        return found
    began = {i.ended_at: i.began_at for i in known}
    subjects: dict[SeriesKey, Subject] = {}
    sides: dict[SeriesKey, LevelSides] = {}
    for kind, least in LEAST.items():
        for each in measures.read(
            connection, owner.cluster_id, owner.database_id, kind, since, snapshot.now
        ):
            subjects[len(subjects)] = each.subject
            levels = list(_levels(kind, each.points, began))
            sides[len(sides)] = _sides(levels, found, least)
    return tuple(
        LevelShift(
            subjects[r.key].kind,
            subjects[r.key].oid,
            r.ratio,
            r.p_value,
            r.before,
            r.after,
            r.base_units,
            r.current_units,
            r.base_begins,
            r.current_begins,
            found.current_ends,
        )
        for r in risen(sides, Proof(), MIN_RATIO)
    )


def _levels(
    kind: str, points: Sequence[Point], began: Mapping[datetime, datetime]
) -> Iterator[RateInterval]:
    if kind in _POSITIONS:
        for old, new in pairwise(points):
            # a position that fell is that of another life
            if old.value is not None and new.value is not None and new.value >= old.value:
                yield RateInterval(old.at, new.at, per_day(new.value - old.value, old.at, new.at))
        return
    for point in points:
        begins = began.get(point.at)
        if begins is not None and point.value is not None:
            rate = point.value if kind in _LEVELS else per_day(point.value, begins, point.at)
            yield RateInterval(begins, point.at, rate)


def _sides(levels: Sequence[RateInterval], found: Periods, least: float) -> LevelSides:
    return LevelSides(
        [i for i in levels if i.ends <= found.current_begins],
        [i for i in levels if i.begins >= found.current_begins],
        least,
    )
