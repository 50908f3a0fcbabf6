"""Counters of statements that never fall: the differences of each entry, added up here.

The sum over pg_stat_statements falls with each eviction, and ``rate()`` takes a fall for a reset: a spike. Each difference
is counted in exactly one series, that of its statement or ``other``, so the sum of the rates is that of all statements.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from pgwatch_wed.facts import Snapshot, Statement
from pgwatch_wed.facts.counting import COUNTERS
from pgwatch_wed.facts.statement_delta import statement_delta
from pgwatch_wed.serve.metrics.facts_for_metrics import SeenFacts
from pgwatch_wed.serve.metrics.metric_registry import Readings, registered
from pgwatch_wed.serve.metrics.sticky import StickyTop
from pgwatch_wed.sqltext.text import is_own

OTHER = "other"
# What left the top keeps its counters, in case it comes back: a counter must not begin anew at a lower value.
_MOST_KEPT = 500
_LABELS = "target database query_id"
_WHOSE = "by query id, or other for all that are not among the 20 that take most time"

CALLS = registered(
    "counter", "statement_calls_total", _LABELS, "statements", f"Calls of statements, {_WHOSE}."
)
SECONDS = registered(
    "counter",
    "statement_seconds_total",
    _LABELS,
    "statements",
    f"Time in which statements were executed, counted when they end, {_WHOSE}.",
)
ROWS_OF_STATEMENTS = registered(
    "counter",
    "statement_rows_total",
    _LABELS,
    "statements",
    f"Rows that statements returned or changed, {_WHOSE}.",
)
BLOCKS_OF_STATEMENTS = registered(
    "counter",
    "statement_blocks_total",
    _LABELS,
    "statements",
    f"Shared blocks that statements needed, hit or read, {_WHOSE}.",
)
EVICTED = registered(
    "counter",
    "statements_evicted_total",
    "target",
    "statements_info",
    "How often pg_stat_statements removed its rarest entries (14 and later).",
)
ENTRIES = registered(
    "gauge", "statements_entries", "target", "statements_info", "Entries of pg_stat_statements."
)


@dataclass(slots=True)
class StatementSums:
    """What the statements of one series came to since the service began."""

    calls: float = 0
    seconds: float = 0.0
    rows: float = 0
    blocks: float = 0

    def add(self, s: Statement) -> None:
        """Add the difference of an entry."""
        self.calls += s.calls
        self.seconds += s.total_exec_ms / 1000
        self.rows += s.rows
        self.blocks += s.shared_blks_hit + s.shared_blks_read


@dataclass(slots=True)
class StatementCounters:
    """The counters of one target."""

    top: StickyTop[int] = field(default_factory=StickyTop)
    shown: dict[int, StatementSums] = field(default_factory=dict)
    other: StatementSums = field(default_factory=StatementSums)
    _before: Snapshot | None = None
    _left: dict[int, StatementSums] = field(default_factory=dict)
    _ours: set[int] = field(default_factory=set)

    def update(self, snapshot: Snapshot, now: float) -> None:
        """Add what happened since the last reading; the same reading again adds nothing."""
        before = self._before
        if "statements" in snapshot.missing:
            return
        if before is not None and before.statements is snapshot.statements:
            return
        self._before = snapshot
        if before is None:
            return
        self._ours |= {s.query_id for s in snapshot.statements if s.text and is_own(s.text)}
        found = [s for s in _differences(before, snapshot) if s.query_id not in self._ours]
        weights: dict[int, float] = {}
        for s in found:
            weights[s.query_id] = weights.get(s.query_id, 0.0) + s.total_exec_ms
            self.shown.get(s.query_id, self.other).add(s)
        self._show(self.top.update(weights, now))

    def _show(self, ids: Iterable[int]) -> None:
        """Give those at the top a series, born at 0: what was before was counted elsewhere."""
        wanted = set(ids)
        for gone in self.shown.keys() - wanted:
            self._left[gone] = self.shown.pop(gone)
        for new in wanted - self.shown.keys():
            self.shown[new] = self._left.pop(new) if new in self._left else StatementSums()
        while len(self._left) > _MOST_KEPT:
            del self._left[next(iter(self._left))]

    def readings(self, seen: SeenFacts) -> Readings:
        """Yield the counters, and what tells how far they can be trusted."""
        for info in seen.rows("statements_info"):
            yield ENTRIES, (seen.target,), info.entries
            yield EVICTED, (seen.target,), info.dealloc
        if not seen.has("statements"):
            return
        database = seen.snapshot.server.database
        series = [(OTHER, self.other), *((str(i), s) for i, s in sorted(self.shown.items()))]
        for name, sums in series:
            labels = (seen.target, database, name)
            yield CALLS, labels, sums.calls
            yield SECONDS, labels, sums.seconds
            yield ROWS_OF_STATEMENTS, labels, sums.rows
            yield BLOCKS_OF_STATEMENTS, labels, sums.blocks


def _differences(before: Snapshot, after: Snapshot) -> tuple[Statement, ...]:
    """Return what each top-level statement did in between; nested ones are part of those."""
    counters = COUNTERS["statements"]
    known: dict[Any, Statement] = counters.by_key(before.statements)
    changed = tuple(
        s for s in after.statements if s.is_toplevel and known.get(counters.key_of(s)) != s
    )
    return statement_delta(before, replace(after, statements=changed)).rows
