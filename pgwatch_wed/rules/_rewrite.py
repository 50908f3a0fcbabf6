"""How to give a table's empty space back, the gentlest way first."""

from collections.abc import Iterator

from pgwatch_wed.facts import Snapshot, Table
from pgwatch_wed.findings import Remedy
from pgwatch_wed.quote import ident
from pgwatch_wed.rules import _vacuum as vac


def remedies(snapshot: Snapshot, table: Table) -> tuple[Remedy, ...]:
    """Return VACUUM, with the rewrites that give space back as comments: they want a decision."""
    # A comment ends with its line, a name may hold a line's end.
    name = " ".join(ident(table.schema, table.name).splitlines())
    lines = [f"VACUUM (ANALYZE) {ident(table.schema, table.name)};", *_rewrites(snapshot, name)]
    return (
        Remedy(
            sql="\n".join(lines),
            lock=f"{vac.SHARE_UPDATE}. The rewrites below it: as said there",
            in_transaction=False,
            undo="-- nothing to undo: it removes only what nobody can see",
        ),
    )


def _rewrites(snapshot: Snapshot, name: str) -> Iterator[str]:
    yield "-- It makes the space usable again. Only if the table will never need it, give it back:"
    if snapshot.server.major >= 19:
        yield f"-- REPACK (CONCURRENTLY) {name};  (others go on; a short ACCESS EXCLUSIVE at its end)"
    else:
        tools = [e.name for e in snapshot.extensions if e.name in ("pg_repack", "pg_squeeze")]
        with_what = " or ".join(sorted(tools)) or "pg_repack or pg_squeeze"
        yield f"-- {with_what} on {name}  (others go on; a short ACCESS EXCLUSIVE at its end)"
    yield f"-- Last choice, ACCESS EXCLUSIVE, nobody reads or writes until it is done: VACUUM FULL {name};"
