"""Series of long ago by the day: what happened in its intervals is added up.

Nothing is lost but the hours: sums stay sums, and the spread of a statement's calls follows from their
squares.
"""

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from pgwatch_wed.history import turns
from pgwatch_wed.history.measures import COUNTED, packed, unpacked
from pgwatch_wed.history.schema import intervals, numbers, statement_work
from pgwatch_wed.history.turns import Turn
from pgwatch_wed.history.work_rows import StatementInterval, all_in, written

BY_THE_HOUR = timedelta(days=35)
"""Comparisons by hour and weekday need five weeks."""

MOST_DAYS = 200
"""Days of databases that one call condenses at most: nobody writes about their clusters until the end."""


def condense(connection: sa.Connection, clock: datetime, most: int = MOST_DAYS) -> int:
    """Add up the intervals of the oldest days; return of how many days, each of one database.

    The day of a time is that of UTC.
    """
    newest = connection.execute(sa.select(sa.func.max(intervals.c.ended_at))).scalar()
    if newest is None:
        return 0
    before = _day_of(min(clock, newest) - BY_THE_HOUR)
    done = 0
    is_ours: dict[int, bool] = {}
    for cluster, database, day in _divided(connection, before, most):
        if cluster not in is_ours:
            # if a run is being written, the next call finds it
            is_ours[cluster] = turns.is_free(connection, Turn.CLUSTER, cluster)
        ends = _ends(connection, database, day) if is_ours[cluster] else []
        if len(ends) > 1:
            _condense_day(connection, cluster, database, ends)
            done += 1
    return done


def _day_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _divided(
    connection: sa.Connection, before: datetime, most: int
) -> list[tuple[int, int, datetime]]:
    """Return the cluster, the database and the beginning of days that have several intervals, the oldest first.

    One interval of such a day begins where another one of it has ended: the server finds these, and all that were
    added up long ago stay there.
    """
    i, other = intervals.c, intervals.alias("other").c
    follows = sa.exists().where(other.database_id == i.database_id, other.ended_at == i.began_at)
    is_within = _day(connection, i.began_at) == _day(connection, i.ended_at)
    query = sa.select(i.cluster_id, i.database_id, i.ended_at)
    query = query.where(i.ended_at < before, is_within, follows).order_by(i.ended_at)
    # a day is told by each of its intervals but one
    rows = connection.execute(query.limit(most * _A_DAY))
    days = dict.fromkeys((row.cluster_id, row.database_id, _day_of(row.ended_at)) for row in rows)
    return list(days)[:most]


_A_DAY = 24


def _day(connection: sa.Connection, column: sa.Column[datetime]) -> sa.ColumnElement[Any]:
    if connection.dialect.name == "postgresql":
        return sa.func.date_trunc("day", column)  # our transactions have UTC
    return sa.type_coerce(column, sa.BigInteger).op("/")(_DAY // timedelta(microseconds=1))


_DAY = timedelta(days=1)


def _ends(connection: sa.Connection, database_id: int, day: datetime) -> list[datetime]:
    i = intervals.c
    mine = (i.database_id == database_id, i.ended_at >= day, i.ended_at < day + _DAY)
    return list(
        connection.execute(sa.select(i.ended_at).where(*mine).order_by(i.ended_at)).scalars()
    )


def _condense_day(
    connection: sa.Connection, cluster_id: int, database_id: int, ends: list[datetime]
) -> None:
    _condense_statements(connection, cluster_id, database_id, ends)
    _condense_intervals(connection, database_id, ends)
    _condense_measures(connection, cluster_id, database_id, ends)


def _condense_statements(
    connection: sa.Connection, cluster_id: int, database_id: int, ends: list[datetime]
) -> None:
    t = statement_work.c
    mine = (t.cluster_id == cluster_id, t.database_id == database_id, t.ended_at.in_(ends))
    parts = connection.execute(
        sa.select(t.ended_at, t.data).where(*mine).order_by(t.ended_at)
    ).all()
    if not parts:
        return
    by_statement: dict[int, list[StatementInterval]] = defaultdict(list)
    for part in parts:
        for row in all_in(part.data, part.ended_at):
            by_statement[row.statement_id].append(row)
    merged = written(_sum(rows, ends[-1]) for rows in by_statement.values())
    connection.execute(statement_work.delete().where(*mine))
    own = {"cluster_id": cluster_id, "database_id": database_id}
    connection.execute(statement_work.insert().values(**own, ended_at=ends[-1], data=merged))


_SUMS = ("calls", "exec_ms", "rows", "blocks_hit", "blocks_read", "temp_blocks", "wal_bytes")


def _sum(rows: list[StatementInterval], ended_at: datetime) -> StatementInterval:
    first, last = rows[0], rows[-1]
    total: dict[str, Any] = {name: sum(getattr(r, name) for r in rows) for name in _SUMS}
    squares = sum(r.squares_ms2 + r.exec_ms**2 / r.calls for r in rows)
    return StatementInterval(
        statement_id=last.statement_id,
        began_at=first.began_at,
        ended_at=ended_at,
        **total,
        squares_ms2=max(squares - total["exec_ms"] ** 2 / total["calls"], 0.0),
        min_ms=_all_known(min, [r.min_ms for r in rows]),
        max_ms=_all_known(max, [r.max_ms for r in rows]),
        plan_hash=last.plan_hash,
    )


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
    """Keep the last numbers of a day, or of what is counted the sum."""
    t = numbers.c
    mine = (t.cluster_id == cluster_id, t.database_id == database_id, t.taken_at.in_(ends))
    rows = connection.execute(
        sa.select(t.kind, t.taken_at, t.data).where(*mine).order_by(t.kind, t.taken_at)
    ).all()
    kept = [_kept(kind, list(each), ends[-1]) for kind, each in groupby(rows, lambda r: r.kind)]
    own = {"cluster_id": cluster_id, "database_id": database_id}
    connection.execute(numbers.delete().where(*mine))
    if kept:
        connection.execute(numbers.insert(), [{**own, **row} for row in kept])


def _kept(kind: str, rows: list[Any], ended_at: datetime) -> dict[str, Any]:
    data = rows[-1].data
    if kind in COUNTED:
        total: Counter[int] = Counter()
        for row in rows:
            total.update(unpacked(row.data))
        data = packed(total)
    return {"kind": kind, "taken_at": ended_at, "data": data}
