"""Whose time grew: the counters of statements, remembered for an hour."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot

StatementKey = tuple[int, int, bool]
StatementCounts = Mapping[StatementKey, tuple[int, float]]
# What is compared: the last minutes, and what was before them.
RECENT_S, KEPT_S = 150.0, 3900.0
_APART_S = 290.0


@dataclass(frozen=True, slots=True)
class GrownStatement:
    """A statement whose execution time grew most.

    ``share`` is its part of all growth, ``load`` of all time in the last minutes. Means are milliseconds; ``mean_before`` and
    ``calls_before`` are None if it did not run before.
    """

    query_id: int
    user: str | None
    share: float
    load: float
    mean_ms: float
    mean_before_ms: float | None
    calls_per_s: float
    calls_per_s_before: float


@dataclass(frozen=True, slots=True)
class _Rate:
    calls: float
    ms: float


class StatementTimes:
    """Readings of pg_stat_statements, oldest first."""

    def __init__(self) -> None:
        self._readings: deque[tuple[float, StatementCounts]] = deque()
        self._users: dict[StatementKey, str | None] = {}

    def remember(self, snapshot: Snapshot, at: float) -> None:
        """Add a reading; one of the same moment is not added, and after the clock was set back all begins anew."""
        if not snapshot.statements or (self._readings and at == self._readings[-1][0]):
            return
        if self._readings and at < self._readings[-1][0]:
            self._readings.clear()
        found = {
            (s.user_oid, s.query_id, s.is_toplevel): (s.calls, s.total_exec_ms)
            for s in snapshot.statements
        }
        self._users = {(s.user_oid, s.query_id, s.is_toplevel): s.user for s in snapshot.statements}
        self._readings.append((at, found))
        self._forget(at)

    def _forget(self, now: float) -> None:
        """Drop what is too old, and of what is not recent all but a few: a reading is a megabyte."""
        kept: deque[tuple[float, StatementCounts]] = deque()
        for reading in self._readings:
            at = reading[0]
            is_recent = now - at <= 2 * RECENT_S
            if at >= now - KEPT_S and (is_recent or not kept or at - kept[-1][0] >= _APART_S):
                kept.append(reading)
        self._readings = kept

    def grown(self) -> GrownStatement | None:
        """Return the statement whose time grew most; None if there is nothing to compare."""
        middle = self._middle()
        if middle is None:
            return None
        recent = _rates(self._readings[middle], self._readings[-1])
        before = _rates(self._readings[0], self._readings[middle])
        growth = {key: rate.ms - before.get(key, _Rate(0, 0)).ms for key, rate in recent.items()}
        total = sum(g for g in growth.values() if g > 0)
        if total <= 0:
            return None
        top = max(growth, key=lambda key: growth[key])
        now, was = recent[top], before.get(top, _Rate(0, 0))
        load = sum(r.ms for r in recent.values())
        return GrownStatement(
            query_id=top[1],
            user=self._users.get(top),
            share=growth[top] / total,
            load=now.ms / load if load else 0.0,
            mean_ms=now.ms / now.calls if now.calls else 0.0,
            mean_before_ms=was.ms / was.calls if was.calls else None,
            calls_per_s=now.calls,
            calls_per_s_before=was.calls,
        )

    def _middle(self) -> int | None:
        if len(self._readings) < 3:
            return None
        newest = self._readings[-1][0]
        older = [i for i, (at, _) in enumerate(self._readings) if newest - at >= RECENT_S]
        return older[-1] if older and older[-1] > 0 else len(self._readings) // 2


def _rates(
    first: tuple[float, StatementCounts], last: tuple[float, StatementCounts]
) -> dict[StatementKey, _Rate]:
    seconds = last[0] - first[0]
    found = {}
    for key, (calls, ms) in last[1].items():
        calls_0, ms_0 = first[1].get(key, (0, 0.0))
        if calls < calls_0:  # evicted or reset in between
            calls_0, ms_0 = 0, 0.0
        found[key] = _Rate((calls - calls_0) / seconds, max(ms - ms_0, 0.0) / seconds)
    return found


def worth_telling(grown: Sequence[GrownStatement | None]) -> list[GrownStatement]:
    """Return those that grew much: by time for each call, or by calls."""
    return [
        g for g in grown if g is not None and g.load >= 0.3 and g.share >= 0.3 and _has_grown(g)
    ]


def _has_grown(it: GrownStatement) -> bool:
    if it.mean_before_ms is None:
        return True
    return it.mean_ms >= 2 * it.mean_before_ms or it.calls_per_s >= 2 * it.calls_per_s_before
