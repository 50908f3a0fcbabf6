"""Series of long ago by the day: what happened in its intervals is added up.

Nothing is lost but the hours: sums stay sums, and the spread of a statement's calls follows from their
squares.
"""

from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from pgwatch_wed.history.measures import COUNTED
from pgwatch_wed.history.schema import intervals, measures, series, statement_intervals, statements

BY_THE_HOUR = timedelta(days=35)
"""Comparisons by hour and weekday need five weeks."""

_DAYS = 7
"""Days that one call condenses at most, for each database."""


def condense(connection: sa.Connection, clock: datetime, days: int = _DAYS) -> int:
    """Add up the intervals of the oldest days; return of how many days.

    The day of a time is that of UTC.
    """
    newest = connection.execute(sa.select(sa.func.max(intervals.c.ended_at))).scalar()
    if newest is None:
        return 0
    before = (
        (min(clock, newest) - BY_THE_HOUR)
        .astimezone(UTC)
        .replace(hour=0, minute=0, second=0, microsecond=0)
    )
    rows = connection.execute(
        sa.select(intervals.c.database_id, intervals.c.cluster_id, intervals.c.ended_at)
        .where(intervals.c.ended_at < before)
        .order_by(intervals.c.database_id, intervals.c.ended_at)
    )
    done = 0
    for (database, cluster), mine in groupby(rows.all(), lambda r: (r.database_id, r.cluster_id)):
        divided = [
            ends for _, each in groupby(mine, lambda r: r.ended_at.date())
            if len(ends := [r.ended_at for r in each]) > 1
        ]  # fmt: skip
        for ends in divided[:days]:
            _condense_day(connection, cluster, database, ends)
            done += 1
    return done


def _condense_day(
    connection: sa.Connection, cluster_id: int, database_id: int, ends: list[datetime]
) -> None:
    _condense_statements(connection, cluster_id, database_id, ends)
    _condense_intervals(connection, database_id, ends)
    _condense_measures(connection, cluster_id, database_id, ends)


def _condense_statements(
    connection: sa.Connection, cluster_id: int, database_id: int, ends: list[datetime]
) -> None:
    t = statement_intervals.c
    mine = (
        t.cluster_id == cluster_id,
        t.ended_at.in_(ends),
        t.statement_id.in_(
            sa.select(statements.c.id).where(statements.c.database_id == database_id)
        ),
    )
    rows = connection.execute(
        sa.select(statement_intervals).where(*mine).order_by(t.statement_id, t.ended_at)
    ).all()
    by_statement = groupby(rows, lambda r: r.statement_id)
    merged = [{**_sum(list(each)), "ended_at": ends[-1]} for _, each in by_statement]
    if merged:
        connection.execute(statement_intervals.delete().where(*mine))
        connection.execute(statement_intervals.insert(), merged)


_SUMS = ("calls", "exec_ms", "rows", "blocks_hit", "blocks_read", "temp_blocks", "wal_bytes")


def _sum(rows: list[Any]) -> dict[str, Any]:
    first, last = rows[0], rows[-1]
    total: dict[str, Any] = {name: sum(getattr(r, name) for r in rows) for name in _SUMS}
    squares = sum(r.squares_ms2 + r.exec_ms**2 / r.calls for r in rows)
    return {
        "cluster_id": last.cluster_id,
        "statement_id": last.statement_id,
        "began_at": first.began_at,
        **total,
        "squares_ms2": max(squares - total["exec_ms"] ** 2 / total["calls"], 0.0),
        "min_ms": _all_known(min, [r.min_ms for r in rows]),
        "max_ms": _all_known(max, [r.max_ms for r in rows]),
        "plan_hash": last.plan_hash,
    }


def _all_known(choose: Any, values: list[float | None]) -> float | None:
    return None if None in values else choose(values)


def _condense_intervals(connection: sa.Connection, database_id: int, ends: list[datetime]) -> None:
    mine = (intervals.c.database_id == database_id, intervals.c.ended_at.in_(ends))
    rows = connection.execute(
        sa.select(intervals).where(*mine).order_by(intervals.c.ended_at)
    ).all()
    told = [r for r in rows if not r.reason] or rows
    shares = [r.known_share for r in told if r.known_share is not None]
    bonds = [r.bond for r in told if r.bond]
    merged = {
        **rows[-1]._mapping,  # noqa: SLF001 - public, in spite of its name
        "began_at": rows[0].began_at,
        "bond": next((b for b in bonds if b != "same"), bonds[-1] if bonds else ""),
        "known_share": min(shares) if shares else None,
        "calls": sum(r.calls for r in told),
        "exec_ms": sum(r.exec_ms for r in told),
        "reason": "; ".join(dict.fromkeys(r.reason for r in told if r.reason)),
    }
    connection.execute(intervals.delete().where(*mine))
    connection.execute(intervals.insert(), [merged])


def _condense_measures(
    connection: sa.Connection, cluster_id: int, database_id: int, ends: list[datetime]
) -> None:
    """Keep the last number of a day, or for what is counted the sum."""
    mine = (
        measures.c.cluster_id == cluster_id,
        measures.c.taken_at.in_(ends),
        measures.c.series_id == series.c.id,
        series.c.database_id == database_id,
    )
    rows = connection.execute(
        sa.select(measures, series.c.kind)
        .where(*mine)
        .order_by(measures.c.series_id, measures.c.taken_at)
    ).all()
    for number, each in groupby(rows, lambda r: r.series_id):
        points = list(each)
        if len(points) == 1 and points[0].taken_at == ends[-1]:
            continue
        value = points[-1].value
        if points[0].kind in COUNTED:
            value = sum(p.value for p in points if p.value is not None)
        connection.execute(
            measures.delete().where(
                measures.c.cluster_id == cluster_id,
                measures.c.series_id == number,
                measures.c.taken_at.in_([p.taken_at for p in points]),
            )
        )
        connection.execute(
            measures.insert().values(
                cluster_id=cluster_id, taken_at=ends[-1], series_id=number, value=value
            )
        )
