"""What the statements of a database did in one interval, as the bytes of one row of the history."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isnan, nan
from typing import Any

from pgwatch_wed.errors import HistoryError
from pgwatch_wed.history.packed import Packed, pack

_KINDS = "qqqddddqqqqqq"
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class StatementInterval:
    """What one statement of a database did in an interval, over all roles. Blocks are shared blocks.

    ``squares_ms2`` is the sum of the squared deviations of calls from their mean.
    """

    statement_id: int
    began_at: datetime
    ended_at: datetime
    calls: int
    exec_ms: float
    squares_ms2: float
    min_ms: float | None
    max_ms: float | None
    rows: int
    blocks_hit: int
    blocks_read: int
    temp_blocks: int
    wal_bytes: int
    plan_hash: str | None = None

    @property
    def mean_ms(self) -> float:
        """The mean time of a call."""
        return self.exec_ms / self.calls

    @property
    def blocks(self) -> int:
        """Blocks hit or read."""
        return self.blocks_hit + self.blocks_read


def written(intervals: Iterable[StatementInterval]) -> bytes:
    """Return the rows of one interval as bytes."""
    found = sorted(intervals, key=lambda r: r.statement_id)
    plans = sorted({r.plan_hash for r in found if r.plan_hash is not None})
    number = {plan: place for place, plan in enumerate(plans, 1)}
    rows = [
        (
            r.statement_id,
            (r.began_at - _BEGINNING) // _MICROSECOND,
            r.calls,
            r.exec_ms,
            r.squares_ms2,
            nan if r.min_ms is None else r.min_ms,
            nan if r.max_ms is None else r.max_ms,
            *(r.rows, r.blocks_hit, r.blocks_read, r.temp_blocks, r.wal_bytes),
            number.get(r.plan_hash or "", 0),
        )
        for r in found
    ]
    return pack(_KINDS, rows, "\n".join(plans).encode())


def all_in(data: bytes, ended_at: datetime) -> Iterator[StatementInterval]:
    """Yield the rows of an interval."""
    packed = Packed(data)
    plans = packed.tail.decode().split("\n")
    for row in packed.rows():
        yield _read(row, plans, ended_at)


def one_in(data: bytes, ended_at: datetime, statement_id: int) -> StatementInterval | None:
    """Return the row of one statement, if it has one."""
    packed = Packed(data)
    row = packed.find(statement_id)
    return None if row is None else _read(row, packed.tail.decode().split("\n"), ended_at)


def _read(row: Sequence[Any], plans: Sequence[str], ended_at: datetime) -> StatementInterval:
    statement_id, began, calls, exec_ms, squares, least, most, *counts, plan = row
    returned, hit, read, temp, wal = counts
    if not 0 <= plan <= len(plans):
        raise HistoryError("a part of the history is damaged: a plan", "")
    return StatementInterval(
        statement_id,
        _BEGINNING + timedelta(microseconds=began),
        ended_at,
        calls,
        exec_ms,
        squares,
        None if isnan(least) else least,
        None if isnan(most) else most,
        returned,
        hit,
        read,
        temp,
        wal,
        plans[plan - 1] if plan else None,
    )
