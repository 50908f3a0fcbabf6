"""Several entries of one statement as one: of several users, or of a table that was re-created."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any

from pgwatch_wed.facts.counting import COUNTERS, RowKey
from pgwatch_wed.facts.rows import Statement

_COUNTERS = COUNTERS["statements"]


def by_key(statements: Iterable[Statement], keys: Mapping[RowKey, str]) -> dict[str, Statement]:
    """Return one statement for each key; the rows that it sums up remain as they are."""
    found: dict[str, list[Statement]] = {}
    for statement in statements:
        found.setdefault(keys[_COUNTERS.key_of(statement)], []).append(statement)
    return {key: summed(rows) for key, rows in found.items()}


def summed(rows: Sequence[Statement]) -> Statement:
    """Add up the counters; user, query id and text are those of the entry that took most time."""
    first = max(rows, key=attrgetter("total_exec_ms"))
    if len(rows) == 1:
        return first
    mean, stddev = _spread(rows)
    counted: dict[str, Any] = {name: _sum(rows, name) for name in _COUNTERS.fields}
    return replace(
        first,
        **counted,
        mean_exec_ms=mean,
        stddev_exec_ms=stddev,
        min_exec_ms=min(_known(rows, "min_exec_ms"), default=None),
        max_exec_ms=max(_known(rows, "max_exec_ms"), default=None),
        stats_since=min(_known(rows, "stats_since"), default=None),
        minmax_stats_since=max(_known(rows, "minmax_stats_since"), default=None),
    )


def _sum(rows: Sequence[Statement], name: str) -> Any:
    values = [getattr(row, name) for row in rows]
    return None if None in values else sum(values)


def _known(rows: Sequence[Statement], name: str) -> list[Any]:
    """Return the values of all rows that were called, or none if one of them is unknown."""
    values = [getattr(row, name) for row in rows if row.calls]
    return [] if None in values else values


def _spread(rows: Sequence[Statement]) -> tuple[float, float]:
    calls = sum(row.calls for row in rows)
    if not calls:
        return 0.0, 0.0
    mean = sum(row.calls * row.mean_exec_ms for row in rows) / calls
    squares = sum(row.calls * (row.stddev_exec_ms**2 + row.mean_exec_ms**2) for row in rows)
    return mean, math.sqrt(max(squares / calls - mean**2, 0.0))
