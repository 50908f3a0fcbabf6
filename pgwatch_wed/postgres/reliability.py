"""Whether the planner's statistics of a table can be relied on."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot, Table
from pgwatch_wed.postgres import autovacuum as vac
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres import named
from pgwatch_wed.postgres.statistics import State, Statistics
from pgwatch_wed.units import count

# Statistics of a table of which a larger fraction has changed describe another table.
MOST_CHANGED = 0.3


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why estimates of a table may be wrong, and whether ANALYZE corrects that."""

    text: str
    needs_analyze: bool = True


def flaws(snapshot: Snapshot, table: Table, columns: Iterable[str]) -> Iterator[Flaw]:
    """Yield what is wrong with the statistics of a table and of some of its columns."""
    state = Statistics(snapshot).state(table, with_children=table.kind == "p")
    if state is State.NEVER:
        yield Flaw(
            f"{table.qualified} was never analyzed: the planner guesses. ANALYZE it, then run this again."
        )
    elif state is State.UNKNOWN:
        yield Flaw(f"The statistics of {table.qualified} are not visible to this role.", False)
    else:
        yield from _outdated(snapshot, table)
        yield from _incomplete(snapshot, table, columns)


def _outdated(snapshot: Snapshot, table: Table) -> Iterator[Flaw]:
    parts = (snapshot.table_by_oid.get(oid) for oid in ix.partitions(snapshot, table.oid))
    stored = [t for t in parts if t is not None and t.kind != "p"]
    changed = sum(vac.changed_rows(snapshot, t) for t in stored)
    rows = round(sum(max(t.rows, 0.0) for t in stored))
    if changed > MOST_CHANGED * max(rows, 1):
        yield Flaw(
            f"The statistics of {table.qualified} are outdated: since it was analyzed with {count(rows, 'row')}, "
            f"{count(changed, 'row')} changed. ANALYZE it, then run this again: the planner may not use the index then."
        )


def _incomplete(snapshot: Snapshot, table: Table, columns: Iterable[str]) -> Iterator[Flaw]:
    if "column_statistics:left-out" in snapshot.missing:
        return
    known = snapshot.statistics_by_key
    wanted = (c for n in columns if (c := named.column(snapshot, table, n)) is not None)
    lacking = [c.name for c in wanted if c.generated != "v" and (table.oid, c.attnum) not in known]
    if lacking:
        yield Flaw(
            f"The planner has no statistics of {', '.join(lacking)} in {table.qualified}, and guesses. ANALYZE the table, "
            "then run this again."
        )
