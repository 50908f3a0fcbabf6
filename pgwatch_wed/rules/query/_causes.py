"""Why the planner expects a wrong number of rows, and what corrects it: computed with PostgreSQL's own formulas."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations as choose

from pgwatch_wed.facts import Column, ExtendedStatistics, Snapshot, Table
from pgwatch_wed.findings import Grade, Remedy
from pgwatch_wed.postgres import cardinality, named
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres.cardinality import ValueShares
from pgwatch_wed.remedies import planner_statistics as mend
from pgwatch_wed.rules._comparison import Comparison, Pair

# Two computed numbers of rows within this factor are the same.
_SAME = 1.3
_SIMILAR = 3.0
_MOST_COMBINED = 6
_MOST_PARTITIONS = 30
# The largest statistics target, and what it is by default.
_LARGEST_TARGET = 10_000
_USUAL_TARGET = 100
# ANALYZE certainly finds a value of which its sample has this many rows.
_CERTAINLY_SEEN = 20
_ROWS_A_TARGET = 300
_SEEN_OFTEN = 3
_HIDDEN_NODE = "EXPLAIN (ANALYZE) shows at which node of the plan the numbers differ."


@dataclass(frozen=True, slots=True)
class Explained:
    """A cause in words, how well it is established, its remedy, and the rows that the planner will then expect."""

    detail: str
    grade: Grade = Grade.C
    remedy: tuple[Remedy, ...] = ()
    predicted: float | None = None
    caveats: tuple[str, ...] = ()


def cause(snapshot: Snapshot, found: Comparison) -> Explained:
    """Return the cause of a wrong estimate."""
    if found.groups:
        return _groups(snapshot, found)
    several = [c for t in found.tables if len(c := found.compared_of(t)) > 1]
    if len(several) == 1 and found.factor > 1:
        return _correlated(snapshot, found, several[0])
    if len(found.tables) == 1 and len(found.compared) == 1:
        column = found.compared[0]
        return (
            _missed(snapshot, found, column) if found.factor > 1 else _clustered(snapshot, column)
        )
    if len(found.pairs) == 1 and not found.compared and found.factor < 1:
        return _joined(snapshot, found, found.pairs[0])
    return _other(found)


def _other(found: Comparison) -> Explained:
    if len(found.pairs) > 1:
        detail = "The planner takes the columns that are joined as independent; no statistics describe columns of two tables."
    else:
        detail = "The statistics that PostgreSQL has do not describe the rows that its conditions select."
    return Explained(detail, caveats=(_HIDDEN_NODE,))


# Columns that depend on each other


def _correlated(
    snapshot: Snapshot, found: Comparison, compared: tuple[ValueShares, ...]
) -> Explained:
    columns = tuple(sorted(compared, key=lambda c: c.column.attnum))
    table = columns[0].table
    names = _listed(columns)
    detail = f"The planner takes {names} of {table.qualified} as independent, but their values occur together."
    holders = _holders(snapshot, table)
    present = list(_present(snapshot, holders, columns))
    if any("f" in e.kinds for e in present):
        caveat = f"{present[0].schema}.{present[0].name} does not mend it: their values only partly depend on each other."
        return Explained(detail, caveats=(caveat, _HIDDEN_NODE))
    if len(holders) > _MOST_PARTITIONS:
        caveat = f"{table.qualified} has too many partitions to list: each needs its own extended statistics."
        return Explained(detail, caveats=(caveat, _HIDDEN_NODE))
    chosen = _dependent(found, columns)
    if chosen is not None:
        return _dependency(snapshot, found, chosen, detail)
    return _common_combinations(snapshot, found, columns, detail)


def _dependent(
    found: Comparison, columns: tuple[ValueShares, ...]
) -> tuple[ValueShares, ...] | None:
    """Return the columns whose dependency gives the rows that were measured; None if none does.

    PostgreSQL expects the share of the rarest value if the others follow from it.
    """
    base = max(found.expected, 1.0) if len(found.tables) > 1 else found.rows * _product(columns)
    for number in range(2, min(len(columns), _MOST_COMBINED) + 1):
        for some in choose(columns, number):
            rows = _with_dependency(base, some)
            if rows / _SAME <= found.real <= rows * _SAME:
                return some
    rows = _with_dependency(base, columns)
    return columns if found.real > rows and not all(c.is_even for c in columns) else None


def _with_dependency(base: float, columns: Sequence[ValueShares]) -> float:
    return base * min(c.average for c in columns) / _product(columns)


def _product(columns: Sequence[ValueShares]) -> float:
    return math.prod(c.average for c in columns)


def _dependency(
    snapshot: Snapshot, found: Comparison, columns: tuple[ValueShares, ...], detail: str
) -> Explained:
    base = (
        max(found.expected, 1.0) if len(found.tables) > 1 else found.rows * _product(found.compared)
    )
    is_even = all(c.is_even for c in columns)
    caveat = (
        "Computed from the rows of the values that were looked up. If other rows have other combinations of values, "
        "EXPLAIN will still show the old estimate after ANALYZE; then drop the statistics again."
    )
    skewed = "Some values are far more common than others, so it is not proven that one column follows from the other."
    chosen = [c.column for c in columns]
    caveats = [caveat] if is_even else [skewed, caveat]
    if columns[0].table.kind == "p":
        caveats.append(
            "The planner uses the statistics of the partitions: new ones need them, too."
        )
    return Explained(
        detail,
        Grade.B if is_even and len(found.tables) == 1 else Grade.C,
        _extended(snapshot, columns[0].table, chosen, "dependencies"),
        _with_dependency(base, columns),
        tuple(caveats),
    )


def _common_combinations(
    snapshot: Snapshot, found: Comparison, columns: tuple[ValueShares, ...], detail: str
) -> Explained:
    """Return a list of the common combinations as remedy, if it can contain all of them."""
    number = math.ceil(columns[0].rows / max(found.real, 1.0))
    if len(found.tables) > 1 or number > _LARGEST_TARGET:
        why = "No kind of extended statistics is certain to correct it: no column follows from another, and the combinations are too many to list."
        return Explained(detail, caveats=(why, _HIDDEN_NODE))
    target = min(max(2 * number, _USUAL_TARGET), _LARGEST_TARGET)
    caveat = (
        "PostgreSQL uses the list only for known values: not in generic plans of prepared statements "
        "(plan_cache_mode = force_custom_plan avoids them)."
    )
    chosen = [c.column for c in columns]
    listed = target if target > _USUAL_TARGET else None
    remedy = _extended(snapshot, columns[0].table, chosen, "mcv", listed)
    return Explained(detail, Grade.C, remedy, None, (caveat,))


def _holders(snapshot: Snapshot, table: Table) -> list[Table]:
    """Return the tables whose rows are scanned: the planner uses the statistics of each partition."""
    each = (snapshot.table_by_oid.get(oid) for oid in ix.partitions(snapshot, table.oid))
    return sorted((t for t in each if t is not None and t.kind != "p"), key=lambda t: t.qualified)


def _extended(
    snapshot: Snapshot,
    table: Table,
    columns: Sequence[Column],
    kind: str,
    combinations: int | None = None,
) -> tuple[Remedy, ...]:
    """Return extended statistics of one kind on a table, or on each of its partitions."""
    found = []
    for holder in _holders(snapshot, table):
        same = [named.column(snapshot, holder, c.name) for c in columns]
        present = [c for c in same if c is not None]
        if len(present) == len(columns):
            found.append(mend.extended(snapshot, holder, present, kind, combinations))
    return tuple(found)


def _present(
    snapshot: Snapshot, tables: Sequence[Table], columns: Sequence[ValueShares]
) -> Iterator[ExtendedStatistics]:
    """Yield the extended statistics on some columns of some tables."""
    wanted = {c.column.name for c in columns}
    oids = {t.oid for t in tables}
    for each in snapshot.extended_statistics:
        if each.table_oid in oids:
            names = snapshot.column_names(each.table_oid, each.columns)
            if wanted <= set(names):
                yield each


# A single column


def _missed(snapshot: Snapshot, found: Comparison, column: ValueShares) -> Explained:
    """Return a larger sample, in which a value that ANALYZE missed is certain to be."""
    share = found.real / column.rows
    target = math.ceil(_CERTAINLY_SEEN / share / _ROWS_A_TARGET)
    where = f"{column.table.qualified}.{column.column.name}"
    detail = f"Values of {where} are looked up that have more rows than any that ANALYZE found in its sample."
    if target > _LARGEST_TARGET or target <= cardinality.target(snapshot, column.table):
        return Explained(
            detail, caveats=("The table may have changed: ANALYZE it, and look again.",)
        )
    remedy = mend.target(column.table, column.column, target)
    return Explained(detail, Grade.C, (remedy,))


def _clustered(snapshot: Snapshot, column: ValueShares) -> Explained:
    """Return the number of values as the cause: the rows per call and the order of the rows agree on that."""
    where = f"{column.table.qualified}.{column.column.name}"
    return Explained(
        f"{where} has more values than the {column.distinct:,.0f} that ANALYZE estimates: equal values are stored next "
        "to each other, so that its sample of blocks contains too few.",
        Grade.C,
        (mend.counted_distinct(snapshot, column.table, column.column),),
    )


# Joins


def _joined(snapshot: Snapshot, found: Comparison, pair: Pair) -> Explained:
    sides = (pair.left, pair.right)
    filled = math.prod(1 - s.null_fraction for s in sides)
    if filled < 1 / _SIMILAR and _is_similar(found.expected * filled, found.real):
        side = max(sides, key=lambda s: s.null_fraction)
        where = f"{side.table.qualified}.{side.column.name}"
        detail = f"{side.null_fraction:.0%} of {where} is NULL, which the planner ignores in a join on a foreign key."
        caveat = f"Add the condition {side.column.name} IS NOT NULL to the statement: its estimate is then right."
        return Explained(detail, Grade.B, caveats=(caveat,))
    needed = max(s.distinct for s in sides) * found.expected / max(found.real, 1.0)
    return _unmatched(
        snapshot, [s for s in sides if needed <= s.rows and _is_doubtful(snapshot, s)]
    )


def _unmatched(snapshot: Snapshot, doubtful: Sequence[ValueShares]) -> Explained:
    """Say what is left: values have no partner, which no statistics tell, or more of them exist than is known."""
    if not doubtful:
        return Explained(
            "The values that occur in both tables are fewer, or have fewer rows, than the average. PostgreSQL has no "
            "statistics about that, so nothing corrects the estimate.",
            caveats=(_HIDDEN_NODE,),
        )
    where = " and ".join(
        f"{s.table.qualified}.{s.column.name} ({s.distinct:,.0f})" for s in doubtful
    )
    caveat = (
        "If the planner still expects as many rows afterwards, values without a partner are the cause, about which there "
        "are no statistics; the number that was set is right all the same."
    )
    return Explained(
        f"ANALYZE probably estimates too few values of {where}: its sample is small for values that are stored next to "
        "each other, or of which some are far more common than others.",
        remedy=tuple(mend.counted_distinct(snapshot, s.table, s.column) for s in doubtful),
        caveats=(caveat,),
    )


def _is_doubtful(snapshot: Snapshot, side: ValueShares) -> bool:
    """Tell whether ANALYZE may have found far fewer values of a column than it has."""
    if side.is_listed or _is_exact(snapshot, side):
        return False
    return side.is_clustered or not side.is_even


def _is_exact(snapshot: Snapshot, side: ValueShares) -> bool:
    return cardinality.reads_all(snapshot, side.table) or cardinality.is_unique(
        snapshot, side.table, side.column
    )


def _is_similar(one: float, other: float) -> bool:
    return (
        max(one, 1.0) / max(other, 1.0) <= _SIMILAR and max(other, 1.0) / max(one, 1.0) <= _SIMILAR
    )


# Grouping


def _groups(snapshot: Snapshot, found: Comparison) -> Explained:
    tables = {g.table.oid for g in found.groups}
    is_known = found.factor > 1 or found.is_unrestricted
    if not is_known or len(tables) > 1:
        return _other(found)
    return (
        _one_group(snapshot, found) if len(found.groups) == 1 else _several_groups(snapshot, found)
    )


def _one_group(snapshot: Snapshot, found: Comparison) -> Explained:
    """Return the number of values: the statement counts them."""
    column = found.groups[0]
    values = max(found.real - (column.null_fraction > 0), 1.0)
    where = f"{column.table.qualified}.{column.column.name}"
    least = "" if found.is_unrestricted else "at least "
    return Explained(
        f"ANALYZE estimates {column.distinct:,.0f} values of {where} from its sample; the statement returns each value "
        f"once, so there are {least}{values:,.0f}.",
        Grade.B,
        (
            mend.distinct(
                snapshot, column.table, column.column, cardinality.stored(values, column.rows)
            ),
        ),
        found.real,
    )


def _several_groups(snapshot: Snapshot, found: Comparison) -> Explained:
    columns = tuple(sorted(found.groups, key=lambda c: c.column.attnum))
    table = columns[0].table
    detail = f"The planner takes {_listed(columns)} of {table.qualified} as independent, but their values occur together."
    if any("d" in e.kinds for e in _present(snapshot, [table], columns)):
        return Explained(detail, caveats=(_HIDDEN_NODE,))
    is_seen = found.real * _SEEN_OFTEN <= cardinality.sample_rows(snapshot, table)
    return Explained(
        detail,
        Grade.B if is_seen and found.is_unrestricted else Grade.C,
        (mend.extended(snapshot, table, [c.column for c in columns], "ndistinct"),),
        found.real if found.is_unrestricted else None,
        ()
        if is_seen
        else (
            "ANALYZE estimates the number of combinations from a sample that does not contain most of them.",
        ),
    )


def _listed(columns: Sequence[ValueShares]) -> str:
    return ", ".join(c.column.name for c in columns)
