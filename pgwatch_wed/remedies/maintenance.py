"""VACUUM and ANALYZE, and how to return a table's empty space, the least disruptive way first."""

from collections.abc import Iterator

from pgwatch_wed.facts import Snapshot, Table
from pgwatch_wed.findings import Remedy
from pgwatch_wed.quote import ident, on_one_line
from pgwatch_wed.remedies import locks as held

NOTHING_VISIBLE = "-- nothing to undo: it removes only row versions that no transaction can see"
_BRIEFLY = "does not block reads or writes, except for a brief ACCESS EXCLUSIVE lock at the end"


def remedies(snapshot: Snapshot, table: Table) -> tuple[Remedy, ...]:
    """Return VACUUM, with the rewrites that return space as comments: they call for a decision.

    A materialized view is rewritten by refreshing it, which has to be done from time to time anyway.
    """
    if table.kind == "m":
        return (_refresh(table),)
    name = on_one_line(table.schema, table.name)
    lines = [f"VACUUM (ANALYZE) {ident(table.schema, table.name)};", *_rewrites(snapshot, name)]
    return (
        Remedy(
            sql="\n".join(lines),
            lock=f"{held.SHARE_UPDATE}; the comments give the locks of the rewrites",
            in_transaction=False,
            undo=NOTHING_VISIBLE,
        ),
    )


def _refresh(table: Table) -> Remedy:
    name = ident(table.schema, table.name)
    return Remedy(
        sql="-- CONCURRENTLY would not block reads, but would not shrink it: it is what leaves empty space.\n"
        f"REFRESH MATERIALIZED VIEW {name};\nVACUUM (ANALYZE) {name};",
        lock=f"{held.ACCESS_EXCLUSIVE} while its query runs",
        in_transaction=False,
        undo="-- nothing to undo: its query has been run again",
    )


def _rewrites(snapshot: Snapshot, name: str) -> Iterator[str]:
    yield "-- VACUUM makes the space available for reuse. Only if the table will never need it again, rewrite it:"
    if snapshot.server.features.has_repack():
        yield f"-- REPACK (CONCURRENTLY) {name};  ({_BRIEFLY})"
    else:
        tools = [e.name for e in snapshot.extensions if e.name in ("pg_repack", "pg_squeeze")]
        with_what = " or ".join(sorted(tools)) or "pg_repack or pg_squeeze"
        yield f"-- {with_what} on {name}  ({_BRIEFLY})"
    yield f"-- Last resort, ACCESS EXCLUSIVE, blocks all reads and writes until it is done: VACUUM FULL {name};"


def vacuum(table: Table, options: str = "ANALYZE") -> Remedy:
    """Return a VACUUM of one table, including its TOAST table."""
    listed = f" ({options})" if options else ""
    return Remedy(
        sql=f"VACUUM{listed} {ident(table.schema, table.name)};",
        lock=held.SHARE_UPDATE,
        in_transaction=False,
        undo=NOTHING_VISIBLE,
    )


def analyze(table: Table) -> Remedy:
    """Return an ANALYZE of one table, including its partitions."""
    return Remedy(
        sql=f"ANALYZE {ident(table.schema, table.name)};",
        lock=held.SHARE_UPDATE,
        undo="-- nothing to undo: it only refreshes the planner's statistics",
    )
