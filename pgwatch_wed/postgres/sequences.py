"""Which columns get their values from sequences, directly or through foreign keys, and how many are left."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from pgwatch_wed.facts import Column, Sequence, Snapshot, Table

_INTEGERS = {"int2": 2**15, "int4": 2**31, "int8": 2**63}
_NUMERIC = re.compile(r"numeric\((\d+)(?:,(-?\d+))?\)\Z")
BIGINT_MAX = 2**63 - 1

_TYPE_ENDS = {"smallint": 2**15 - 1, "integer": 2**31 - 1}

ColumnId = tuple[int, int]


def end_of(sequence_type: str, *, is_ascending: bool) -> int:
    """Return the last value that the type of a sequence allows."""
    largest = _TYPE_ENDS.get(sequence_type, BIGINT_MAX)
    return largest if is_ascending else -largest - 1


def bounds(column: Column) -> tuple[int, int] | None:
    """Return the smallest and largest integer of a column's type; None if it is unbounded."""
    size = _INTEGERS.get(column.base_type)
    if size is not None:
        return -size, size - 1
    found = _NUMERIC.match(column.type)
    if found is None:
        return None
    digits = int(found[1]) - int(found[2] or 0)
    return -(10**digits) + 1, 10**digits - 1


@dataclass(frozen=True)
class SequencePosition:
    """A sequence and its position."""

    sequence: Sequence

    @property
    def is_ascending(self) -> bool:
        """Whether it counts upwards."""
        return self.sequence.increment > 0

    @property
    def position(self) -> int | None:
        """The last value returned; None before the first."""
        return self.sequence.last_value

    @property
    def own_end(self) -> int:
        """The last value that the sequence itself allows."""
        return self.sequence.max_value if self.is_ascending else self.sequence.min_value

    def end_in(self, column: Column) -> int | None:
        """Return the last value that a column's type allows in the sequence's direction."""
        found = bounds(column)
        if found is None:
            return None
        return found[1] if self.is_ascending else found[0]

    def comes_before(self, one: int, other: int) -> bool:
        """Tell whether the sequence reaches ``one`` before ``other``."""
        return one < other if self.is_ascending else one > other

    def share(self, end: int) -> float:
        """Return the used fraction of the range from its beginning to ``end``."""
        begin = self.sequence.min_value if self.is_ascending else self.sequence.max_value
        begin = max(begin, 0) if self.is_ascending and self.sequence.start_value >= 0 else begin
        way = abs(end - begin)
        gone = (self.position - begin) if self.position is not None else 0
        gone = gone if self.is_ascending else -gone
        return min(max(gone / way, 0.0), 1.0) if way else 1.0

    def left(self, end: int) -> int:
        """Return the number of values left before ``end``."""
        if self.position is None:
            return abs(end - self.sequence.start_value) // abs(self.sequence.increment)
        over = self.comes_before(end, self.position)
        return 0 if over else abs(end - self.position) // abs(self.sequence.increment)


@dataclass(frozen=True)
class Feeds:
    """Every column that gets its values from a sequence."""

    snapshot: Snapshot

    @cached_property
    def direct(self) -> dict[ColumnId, SequencePosition]:
        """Columns with a sequence as identity, owner or default; those of partitions with their parent."""
        found: dict[ColumnId, SequencePosition] = {}
        for sequence in sorted(self.snapshot.sequences, key=lambda s: s.oid):
            for key in _fed(self.snapshot, sequence):
                found.setdefault(key, SequencePosition(sequence))
        return {key: clock for key, clock in found.items() if not self._is_inherited(key, found)}

    def _is_inherited(self, key: ColumnId, found: dict[ColumnId, SequencePosition]) -> bool:
        table = self.snapshot.table_by_oid.get(key[0])
        if table is None or table.parent_oid is None:
            return False
        name = self.snapshot.column_by_key[key].name
        above = (
            (table.parent_oid, c.attnum)
            for c in self.snapshot.columns_of[table.parent_oid]
            if c.name == name
        )
        return any(
            k in found and found[k].sequence.oid == found[key].sequence.oid and k != key
            for k in above
        )

    @cached_property
    def by_reference(self) -> dict[ColumnId, tuple[ColumnId, SequencePosition]]:
        """Foreign key columns that lead to such a column: what they refer to, and its sequence."""
        found: dict[ColumnId, tuple[ColumnId, SequencePosition]] = {}
        open_ = list(self.direct.items())
        while open_:
            target, clock = open_.pop()
            for column in self._references.get(target, ()):
                if column not in self.direct and column not in found:
                    found[column] = (target, clock)
                    open_.append((column, clock))
        return found

    def followers(self, key: ColumnId) -> tuple[ColumnId, ...]:
        """Return the foreign keys that lead to a column and have a type that ends at the same value."""
        known, clock = self.snapshot.column_by_key, self.direct[key]
        end = clock.end_in(known[key])
        found = self._referring.get(key, ())
        return tuple(c for c in found if c in known and clock.end_in(known[c]) == end)

    @cached_property
    def _referring(self) -> dict[ColumnId, list[ColumnId]]:
        """Map each key to the foreign keys that refer to it, directly or indirectly."""
        found: dict[ColumnId, list[ColumnId]] = {}
        for column in self.by_reference:
            root, passed = column, set[ColumnId]()
            while root in self.by_reference and root not in passed:  # references may be circular
                passed.add(root)
                root = self.by_reference[root][0]
            found.setdefault(root, []).append(column)
        return found

    @cached_property
    def _references(self) -> dict[ColumnId, list[ColumnId]]:
        found: dict[ColumnId, list[ColumnId]] = {}
        for key in sorted(self.snapshot.constraints, key=lambda c: c.oid):
            if key.kind != "f" or key.parent_oid is not None or key.referenced_oid is None:
                continue
            for own, theirs in zip(key.columns, key.referenced_columns, strict=False):
                found.setdefault((key.referenced_oid, theirs), []).append((key.table_oid, own))
        return found


def _fed(snapshot: Snapshot, sequence: Sequence) -> Iterator[ColumnId]:
    """Yield identity columns, plain defaults, and owning columns without a default, set by the application."""
    known = snapshot.column_by_key
    if sequence.owner_table_oid is not None and sequence.owner_column is not None:
        owner = known.get((sequence.owner_table_oid, sequence.owner_column))
        if owner is not None and (sequence.owner_kind == "i" or not owner.has_default):
            yield owner.table_oid, owner.attnum
    for key in zip(sequence.default_tables, sequence.default_columns, strict=False):
        if key in known:
            yield key


def days_left(snapshot: Snapshot, table: Table, left: int, min_days: float) -> float | None:
    """Divide the values left by the rows inserted per day; None if the counters are too young for a rate."""
    rows = sum(
        a.n_tup_ins
        for oid in (table.oid, *(p.oid for p in snapshot.partitions_of[table.oid]))
        if (a := snapshot.activity_by_oid.get(oid))
    )
    length = snapshot.window.length
    days = length.total_seconds() / 86_400 if length is not None else 0.0
    return left * days / rows if rows and days >= min_days else None
