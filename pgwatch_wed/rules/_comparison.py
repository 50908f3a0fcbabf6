"""Rows that statements return, compared with the rows that the planner expects.

An average is no estimate of a skewed value: a difference counts only if no values of the parameters explain it. Rare and
missing values explain any small number of rows; the most common values of the columns, as if they were independent, are
the largest number that any plan expects.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum

from pgwatch_wed.facts import (
    ExtendedStatistics,
    Snapshot,
    Statement,
    StatementPlan,
    Table,
    TableActivity,
)
from pgwatch_wed.postgres import cardinality, named
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres.cardinality import ValueShares
from pgwatch_wed.quote import ident
from pgwatch_wed.sqltext.levels import Level, Name
from pgwatch_wed.sqltext.reading import Reading, query

# Statistics are samples: a limit must be exceeded by this factor.
_MARGIN = 2.0
# How many times more common than the average a value of an evenly distributed column may be.
_SKEW = 3.0
_ON_ITS_OWN = "Reset the statement's counters (pg_stat_statements_reset), and run this again after some calls."


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What counts as a difference, and when statistics are too old to be compared."""

    min_ratio: float
    min_difference: float
    max_changed_share: float


class Likeness(Enum):
    """What a comparison tells."""

    RIGHT = "the estimate is about right"
    EXPLAINED = "the values of the parameters may explain the difference"
    WRONG = "nothing explains the difference but a wrong estimate"
    UNCLEAR = "either the values or the estimate explain it"
    UNSEEN = "the number of rows says nothing about the estimate"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two columns, of different tables, that must be equal."""

    left: ValueShares
    right: ValueShares


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result for one statement: rows per call, rows that the planner expects, and what both depend on.

    ``limit`` is the largest number of rows that any plan of the statement expects, if it has parameters.
    ``compared`` are the columns that are equal to a parameter, ``groups`` those of GROUP BY or DISTINCT.
    """

    outcome: Likeness
    real: float = 0.0
    expected: float = 0.0
    limit: float | None = None
    reason: str = ""
    mend: str = ""
    compared: tuple[ValueShares, ...] = ()
    pairs: tuple[Pair, ...] = ()
    groups: tuple[ValueShares, ...] = ()
    tables: tuple[Table, ...] = ()
    is_unrestricted: bool = False

    @property
    def rows(self) -> float:
        """The rows of the only table."""
        return max((c.rows for c in self.compared), default=math.inf)

    @property
    def is_wrong(self) -> bool:
        """Whether nothing but a wrong estimate explains the difference."""
        return self.outcome is Likeness.WRONG

    @property
    def factor(self) -> float:
        """How many times more rows than expected; below 1: fewer."""
        return max(self.real, 1.0) / max(self.expected, 1.0)

    def compared_of(self, table: Table) -> tuple[ValueShares, ...]:
        """Return the columns of a table that are equal to a parameter."""
        return tuple(c for c in self.compared if c.table.oid == table.oid)


def compare(
    snapshot: Snapshot, s: Statement, plan: StatementPlan, tolerance: Tolerance
) -> Comparison:
    """Compare a statement's rows per call with its plan."""
    return _Comparing(snapshot, s, plan, tolerance).result()


@dataclass(frozen=True, slots=True)
class _Comparing:
    snapshot: Snapshot
    s: Statement
    plan: StatementPlan
    tolerance: Tolerance

    @property
    def _real(self) -> float:
        return self.s.rows / max(self.s.calls, 1)

    def result(self) -> Comparison:
        parsed = query(self.s.text)
        if parsed is None:
            return _unseen("the text cannot be read")
        if not parsed.sources:
            return Comparison(Likeness.RIGHT, self._real, self.plan.plan_rows)
        why_not = self._why_not(parsed)
        if why_not:
            return _unseen(why_not)
        right = Comparison(Likeness.RIGHT, self._real, self.plan.plan_rows)
        if not self._differs(right):
            return right
        level = parsed.levels[0]
        tables = [named.relation(self.snapshot, r) for r in level.relations if not r.is_only]
        known = tuple(t for t in tables if t is not None)
        if len(known) < len(level.relations):
            return _unseen("a name in FROM is not that of one table with its children")
        if not all(_is_fresh(self.snapshot, t, self.tolerance) for t in known):
            return _unseen("the statistics of a table are missing or too old")
        return self._compared(parsed, level, known)

    def _why_not(self, parsed: Reading) -> str:
        if self.plan.is_cut or parsed.has_limit:
            return "LIMIT"
        if len(parsed.levels) != 1 or parsed.kind == "InsertStmt":
            return "a subquery or WITH"
        level = parsed.levels[0]
        is_grouped = self.plan.is_grouped or parsed.is_grouped
        if is_grouped and (not level.grouped or None in level.grouped or level.has_having):
            return "an aggregate"
        return "a function in FROM" if parsed.has_functions_in_from else ""

    def _compared(self, parsed: Reading, level: Level, tables: tuple[Table, ...]) -> Comparison:
        reader = _Columns(self.snapshot, level)
        compared = tuple(reader.compared())
        pairs = tuple(reader.pairs())
        groups = tuple(reader.spread(n) for n in level.grouped if n is not None)
        if None in compared or None in pairs or None in groups:
            return _unseen("the statistics of a column are missing or hidden")
        found = Comparison(
            Likeness.WRONG,
            self._real,
            self.plan.plan_rows,
            compared=tuple(c for c in compared if c is not None),
            pairs=tuple(p for p in pairs if p is not None),
            groups=tuple(g for g in groups if g is not None),
            tables=tables,
            is_unrestricted=not (level.conditions or level.others or level.equated),
        )
        result = _explained(self.snapshot, found, parsed, level)
        is_state = bool(level.conditions) and not parsed.parameters
        return self._of_changing(result, is_state=is_state) if result.is_wrong else result

    def _of_changing(self, found: Comparison, *, is_state: bool) -> Comparison:
        """Judge a statement on tables whose rows come and go, or change: their number may have been any other.

        ``is_state``: it reads the rows that are in a state, which an update changes.
        """
        enough = abs(found.real - found.expected) if is_state else math.inf
        changing = [t for t in found.tables if _is_changing(self.snapshot, t, enough)]
        if not changing:
            return found
        names = ", ".join(t.qualified for t in changing)
        why = (
            f"a call returns {found.real:,.1f} rows on average and the planner now expects {found.expected:,.0f}, but "
            f"enough rows of {names} have changed meanwhile to explain that"
        )
        return replace(found, outcome=Likeness.UNCLEAR, reason=why, mend=_ON_ITS_OWN)

    def _differs(self, found: Comparison) -> bool:
        ratio = max(found.factor, 1 / found.factor)
        return (
            ratio >= self.tolerance.min_ratio
            and abs(found.real - found.expected) >= self.tolerance.min_difference
        )


def _unseen(reason: str) -> Comparison:
    return Comparison(Likeness.UNSEEN, reason=reason)


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns that a level's names mean, with their distributions; None if one is not known."""

    snapshot: Snapshot
    level: Level

    def spread(self, name: Name) -> ValueShares | None:
        table = named.table_of(self.snapshot, self.level, name)
        column = named.column(self.snapshot, table, name.column) if table else None
        if table is None or column is None:
            return None
        return cardinality.spread(self.snapshot, table, column, _SKEW)

    def compared(self) -> Iterator[ValueShares | None]:
        names = [
            c.column
            for c in self.level.conditions
            if c.operator == "=" and c.column is not None and not c.is_alternative
        ]
        for name in dict.fromkeys(names):
            yield self.spread(name)

    def pairs(self) -> Iterator[Pair | None]:
        for left, right in self.level.equated:
            sides = self._using(left) if left == right else [self.spread(left), self.spread(right)]
            found = [side for side in sides if side is not None]
            yield Pair(*found) if len(found) == 2 else None

    def _using(self, name: Name) -> list[ValueShares | None]:
        """Return both columns of USING (name)."""
        qualified = (Name(r.alias, name.column) for r in self.level.relations)
        found = [self.spread(n) for n in qualified]
        return [f for f in found if f is not None]


def _explained(snapshot: Snapshot, found: Comparison, parsed: Reading, level: Level) -> Comparison:
    """Return a comparison of different numbers with the outcome that the possible values leave."""
    if found.is_unrestricted and not found.groups and len(found.tables) == 1:
        return replace(found, outcome=Likeness.EXPLAINED)  # all rows: only their number has changed
    is_fewer = found.real < found.expected
    if found.groups and is_fewer and not found.is_unrestricted:
        return replace(found, outcome=Likeness.EXPLAINED)
    if not parsed.parameters:
        return found if _is_constant(level) else replace(found, outcome=Likeness.EXPLAINED)
    if is_fewer:
        return _rarer(snapshot, found, level)
    limit = _group_limit(found) if found.groups else _limit(found, level)
    if limit is None or found.real < _MARGIN * limit:
        return replace(found, outcome=Likeness.EXPLAINED)
    listed = [e for t in found.tables for e in _lists(snapshot, t, found.compared_of(t))]
    if listed and not found.groups:
        names = ", ".join(f"{e.schema}.{e.name}" for e in listed)
        why = f"only plans for known values use the common combinations in {names}"
        mend = "EXPLAIN the statement with its usual values."
        return replace(found, outcome=Likeness.UNCLEAR, reason=why, mend=mend)
    return replace(found, limit=limit)


def _is_constant(level: Level) -> bool:
    """Tell whether conditions without parameters always mean the same: those on the time do not."""
    exact = ("=", "is null", "is not null")
    return not level.others and all(
        c.column is not None and c.operator in exact for c in level.conditions
    )


def _limit(found: Comparison, level: Level) -> float | None:
    """Return the largest number of rows that the planner would expect for any values; None if there is no limit."""
    if len(found.tables) == 1:
        return found.rows * math.prod(c.highest for c in found.compared)
    exact = ("=", "is null", "is not null")
    if level.others or any(
        c.is_alternative or c.column is None or c.operator not in exact for c in level.conditions
    ):
        return None
    joined = [side for pair in found.pairs for side in (pair.left, pair.right)]
    more = math.prod(c.headroom for c in (*found.compared, *joined))
    return max(found.expected, 1.0) * more


def _group_limit(found: Comparison) -> float:
    return min(math.prod(g.distinct for g in found.groups), max(g.rows for g in found.groups))


def _lists(
    snapshot: Snapshot, table: Table, compared: tuple[ValueShares, ...]
) -> Iterator[ExtendedStatistics]:
    columns = {c.column.attnum for c in compared}
    for each in snapshot.extended_statistics:
        shared = columns & set(each.columns)
        if each.table_oid == table.oid and "m" in each.kinds and len(shared) > 1:
            yield each


def _rarer(snapshot: Snapshot, found: Comparison, level: Level) -> Comparison:
    """Judge a statement that returns fewer rows: rare or missing values explain that, unless all are alike."""
    explained = replace(found, outcome=Likeness.EXPLAINED)
    if found.groups or found.pairs or len(found.compared) != 1 or len(level.conditions) != 1:
        return explained
    column = found.compared[0]
    if level.others or not column.is_even or column.is_listed:
        return explained
    if cardinality.reads_all(snapshot, column.table):
        return explained
    rows_each = column.rows * (1 - column.null_fraction) / cardinality.corrected(snapshot, column)
    if max(rows_each / found.real, found.real / rows_each) <= _SKEW if found.real else False:
        return found
    where, name = ident(column.table.schema, column.table.name), ident(column.column.name)
    return replace(
        found,
        outcome=Likeness.UNCLEAR,
        reason=f"a call returns {found.real:,.1f} rows and not the {found.expected:,.0f} expected: either values are "
        f"looked up that do not exist, or there are more of them than the {column.distinct:,.0f} that ANALYZE estimated",
        mend=f"Compare with SELECT count(DISTINCT {name}) FROM {where}; if there are more, set that number: "
        f"ALTER TABLE {where} ALTER COLUMN {name} SET (n_distinct = …), then ANALYZE.",
    )


def _is_changing(snapshot: Snapshot, table: Table, enough: float) -> bool:
    """Tell whether as many rows as a table has were deleted, or enough of them were updated or deleted."""
    parts = (snapshot.activity_by_oid.get(oid) for oid in ix.partitions(snapshot, table.oid))
    known = [a for a in parts if a is not None]
    deleted = sum(a.n_tup_del for a in known)
    changed = deleted + sum(a.n_tup_upd for a in known)
    return changed >= enough or 0 < cardinality.counted_rows(snapshot, table) <= deleted


def _is_fresh(snapshot: Snapshot, table: Table, tolerance: Tolerance) -> bool:
    return not any(
        below is not None and below.kind != "p" and _is_stale(snapshot, below, tolerance)
        for oid in ix.partitions(snapshot, table.oid)
        if (below := snapshot.table_by_oid.get(oid)) is not None
    )


def _is_stale(snapshot: Snapshot, table: Table, tolerance: Tolerance) -> bool:
    if table.rows < 0:
        return True
    activity = snapshot.activity_by_oid.get(table.oid)
    if activity is None:
        return False
    allowed = tolerance.max_changed_share * max(table.rows, 1.0)
    if activity.n_mod_since_analyze <= allowed:
        return False
    return not _saw_all(activity, table, allowed)


def _saw_all(activity: TableActivity, table: Table, allowed: float) -> bool:
    """Tell whether ANALYZE saw every row, although changes were counted after it.

    A session reports its changes up to a second late, even after its own ANALYZE.
    """
    present = activity.n_tup_ins - activity.n_tup_del
    return abs(present - table.rows) <= allowed / 3 and activity.n_tup_upd <= allowed
