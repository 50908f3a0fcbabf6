"""What tells the planner more about columns: extended statistics, numbers of values, larger samples."""

from collections.abc import Sequence

from pgwatch_wed.facts import Column, Snapshot, Table
from pgwatch_wed.findings import Remedy
from pgwatch_wed.quote import ident, literal
from pgwatch_wed.remedies import locks as held

_MOST_COLUMNS = 8


def extended(
    snapshot: Snapshot,
    table: Table,
    columns: Sequence[Column],
    kind: str,
    combinations: int | None = None,
) -> Remedy:
    """Return CREATE STATISTICS of one kind; ``combinations`` is how many a list of common ones must hold."""
    chosen = columns[:_MOST_COLUMNS]
    name = ident(table.schema, _free_name(snapshot, table, chosen))
    where = ident(table.schema, table.name)
    listed = ", ".join(ident(c.name) for c in chosen)
    lines = [f"CREATE STATISTICS {name} ({kind}) ON {listed} FROM {where};"]
    if combinations is not None:
        lines.append(f"ALTER STATISTICS {name} SET STATISTICS {combinations};")
    return Remedy(
        sql="\n".join([*lines, _analyze(table)]),
        lock=held.SHARE_UPDATE,
        undo=f"DROP STATISTICS {name};",
    )


def _free_name(snapshot: Snapshot, table: Table, columns: Sequence[Column]) -> str:
    taken = {e.name for e in snapshot.extended_statistics if e.schema == table.schema}
    base = f"{table.name}_{'_'.join(c.name for c in columns)}"
    ends = ("_stat", *(f"_stat{n}" for n in range(2, 1000)))
    names = (base.encode()[: 63 - len(e)].decode("utf-8", "ignore") + e for e in ends)
    return next(n for n in names if n not in taken)


def distinct(snapshot: Snapshot, table: Table, column: Column, value: str) -> Remedy:
    """Return what sets a column's number of values, instead of what ANALYZE estimates."""
    change, option, undo = _distinct_option(snapshot, table, column)
    return Remedy(
        sql=f"{change} SET ({option} = {value});\n{_analyze(table)}",
        lock=held.SHARE_UPDATE,
        undo=undo,
    )


def counted_distinct(snapshot: Snapshot, table: Table, column: Column) -> Remedy:
    """Return what counts a column's values, and sets their number: it is right whatever ANALYZE estimates."""
    change, option, undo = _distinct_option(snapshot, table, column)
    lines = (
        "DECLARE found numeric; total numeric;",
        "BEGIN",
        f"  SELECT count(DISTINCT {ident(column.name)}), count(*) INTO found, total",
        f"    FROM {ident(table.schema, table.name)};",
        "  -- a fraction of the rows if the values become more as the table grows",
        "  IF found > 0.1 * total THEN found := -found / total; END IF;",
        f"  EXECUTE {literal(f'{change} SET ({option} = ')} || round(found, 6) || ')';",
        "END",
    )
    body = "\n".join(lines)
    tag = next(t for n in range(1000) if (t := f"$count{n or ''}$") not in body)
    return Remedy(
        sql=f"DO {tag}\n{body} {tag};\n{_analyze(table)}",
        lock=f"reads the whole table first; then {held.SHARE_UPDATE}",
        undo=undo,
    )


def _distinct_option(snapshot: Snapshot, table: Table, column: Column) -> tuple[str, str, str]:
    """Return the beginning of ALTER TABLE, the option's name, and what restores it."""
    has_children = bool(snapshot.partitions_of[table.oid])
    option = "n_distinct_inherited" if has_children else "n_distinct"
    change = f"ALTER TABLE {ident(table.schema, table.name)} ALTER COLUMN {ident(column.name)}"
    before = None if has_children else column.n_distinct_option
    back = f"SET ({option} = {before})" if before is not None else f"RESET ({option})"
    return change, option, f"{change} {back};\n{_analyze(table)}"


def _analyze(table: Table) -> str:
    return f"ANALYZE {ident(table.schema, table.name)};"


def target(table: Table, column: Column, value: int) -> Remedy:
    """Return what makes ANALYZE read a larger sample for a column."""
    change = f"ALTER TABLE {ident(table.schema, table.name)} ALTER COLUMN {ident(column.name)}"
    before = column.statistics_target if column.statistics_target is not None else -1
    return Remedy(
        sql=f"{change} SET STATISTICS {value};\n{_analyze(table)}",
        lock=held.SHARE_UPDATE,
        undo=f"{change} SET STATISTICS {before};\n{_analyze(table)}",
    )
