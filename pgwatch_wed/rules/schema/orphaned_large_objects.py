"""Large objects that no row refers to.

## Why it matters
Deleting a row does not delete the large object whose number it held: that takes lo_unlink. What is left behind is never
used again, cannot be seen in any table of the application, and is part of every dump, backup and upgrade.

## How sure we are
C: no row is read. A column of type oid or lo refers to at most one large object per row that is not null, so what exists
beyond the estimated number of such rows is referred to by none. How many of the others are orphaned is not known:
`vacuumlo -n` counts them, and until then the verdict is unknown.

## Not reported
- Large objects that occupy less than `min_size_bytes`, and few orphans.
- Databases in which no column has type oid or lo, or a domain over them: the numbers may be stored in columns of another
  type, such as the text columns that Hibernate uses for @Lob strings. The verdict is unknown, and vacuumlo must not be run
  there: it would remove everything. The same holds for arrays of numbers, and for tables that are left out of the analysis.

## Remedy
Count them with the query, or with `vacuumlo -n`; then delete them with lo_unlink, a thousand per transaction, as vacuumlo
does. This cannot be undone: take a dump first. The trigger lo_manage of the extension lo unlinks the large object with its row
from then on.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Column, LargeObjects, Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.quote import ident
from pgwatch_wed.remedies import maintenance
from pgwatch_wed.units import count, size

NEEDS = ("large_objects", "tables", "columns", "table_activity")
PRIMARY_ONLY = True


_CAVEATS = (
    (
        "If the application also stores their numbers in columns of another type, such as text or bigint "
        "(Hibernate does for @Lob strings), rows refer to more of them: then do not delete them, and do not "
        "run vacuumlo."
    ),
    (
        "The number of rows is an estimate. Compare what the first query prints, or vacuumlo -n -v, before "
        "you go on: both read the tables that refer to large objects. Run it while nobody stores new ones whose "
        "rows are not yet committed."
    ),
    (
        "From then on, the trigger lo_manage (CREATE EXTENSION lo) unlinks a large object with its row, provided "
        "that no two rows share one."
    ),
    (
        "The space becomes free for new large objects. Only VACUUM FULL pg_largeobject, by a superuser, returns it "
        "to the operating system, and it locks out everybody who uses large objects."
    ),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Less space is not worth the effort.
    min_size_bytes: int = 1_000_000
    # Fewer orphans, or a smaller fraction of all large objects, may be an error of the estimate.
    min_orphans: int = 100
    min_orphan_share: float = 0.1
    # Orphans that occupy at least this much are a warning.
    warn_size_bytes: int = 100_000_000


@dataclass(frozen=True, slots=True)
class _Reference:
    """A column whose values may be the numbers of large objects."""

    table: Table
    column: Column

    @property
    def label(self) -> str:
        return f"{self.table.qualified}.{self.column.name}"


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding if there are more large objects than rows that can refer to one."""
    for objects in snapshot.large_objects:
        if objects.objects and objects.size_bytes >= limits.min_size_bytes:
            yield _judge(snapshot, objects, limits)


def _judge(snapshot: Snapshot, objects: LargeObjects, limits: Limits) -> Finding | Unknown:
    references = tuple(_references(snapshot, objects.number_types))
    why_not = _unseen(snapshot, objects, references)
    if why_not is not None:
        return why_not
    most = sum(_most_rows(snapshot, r) for r in references)
    orphans = objects.objects - round(most)
    if orphans >= max(limits.min_orphans, limits.min_orphan_share * objects.objects):
        return _finding(snapshot, objects, references, orphans, limits)
    return Unknown(
        f"{_what(objects)}; whether rows refer to each of them was not looked at",
        "vacuumlo -n -v DATABASE counts those to which no column of type oid or lo refers",
    )


def _what(objects: LargeObjects) -> str:
    about = "" if objects.is_counted else "about "
    occupy = "occupies" if objects.objects == 1 else "occupy"
    return f"{about}{count(objects.objects, 'large object')} {occupy} {size(objects.size_bytes)}"


def _references(snapshot: Snapshot, types: tuple[int, ...]) -> Iterator[_Reference]:
    """Yield the columns with storage whose type is one of these."""
    for column in snapshot.columns:
        table = snapshot.table_by_oid.get(column.table_oid)
        if column.type_oid in types and table is not None and table.kind != "p":
            yield _Reference(table, column)


def _unseen(
    snapshot: Snapshot, objects: LargeObjects, references: tuple[_Reference, ...]
) -> Unknown | None:
    """Return why there may be references that are not known."""
    arrays = [r.label for r in _references(snapshot, objects.array_types)]
    if arrays:
        return Unknown(
            f"{_what(objects)}; {', '.join(arrays[:3])} may hold arrays of their numbers, which were not looked at",
            "do not run vacuumlo, which does not look at arrays either",
        )
    if not references:
        return Unknown(
            f"{_what(objects)}, but no column has type oid or lo: their numbers are stored in columns of another "
            "type, or in none",
            "do not run vacuumlo, which would remove all of them; ask the application's developers where it "
            "stores the numbers",
        )
    cut = any(f"{fact}:left-out" in snapshot.missing for fact in ("tables", "columns"))
    if cut or any(o.kind in ("r", "m") for o in snapshot.other_relations):
        return Unknown(
            f"{_what(objects)}; tables that are left out of this analysis may refer to them",
            "vacuumlo -n -v DATABASE looks at all tables",
        )
    unknown = [r.label for r in references if _is_uncounted(snapshot, r.table)]
    if unknown:
        return Unknown(
            f"{_what(objects)}; how many rows of {', '.join(unknown[:3])} may refer to them is not known",
            "run ANALYZE, and run again",
        )
    return None


def _is_uncounted(snapshot: Snapshot, table: Table) -> bool:
    """Tell whether neither the catalog nor the counters can tell how many rows a table has."""
    return table.rows < 0 and ix.rows(snapshot, table) <= 0


def _most_rows(snapshot: Snapshot, reference: _Reference) -> float:
    own = snapshot.activity_by_oid.get(reference.table.oid)
    return max(reference.table.rows, float(own.n_live_tup) if own else 0.0, 0.0)


def _finding(
    snapshot: Snapshot,
    objects: LargeObjects,
    references: tuple[_Reference, ...],
    orphans: int,
    limits: Limits,
) -> Finding:
    wasted = objects.size_bytes * orphans // objects.objects
    return Finding(
        object=Object(
            "table",
            "pg_largeobject",
            snapshot.server.database,
            schema="pg_catalog",
            table="pg_largeobject",
        ),
        severity=Severity.WARNING if wasted >= limits.warn_size_bytes else Severity.INFO,
        grade=Grade.C,
        title=f"At least {orphans:,} of {objects.objects:,} large objects are referred to by no row",
        detail=f"All {objects.objects:,} together occupy {size(objects.size_bytes)}. The columns that can refer to them, "
        f"{', '.join(r.label for r in references[:5])}, have about {objects.objects - orphans:,} rows, and each refers to "
        "one at most.",
        evidence={
            "large_objects": objects.objects,
            "is_counted": objects.is_counted,
            "orphans_at_least": orphans,
            "size_bytes": objects.size_bytes,
            "referring_columns": [r.label for r in references],
        },
        impact=Impact(bytes=wasted, risk="every dump, backup and upgrade copies them"),
        remedy=tuple(_remedies(references)),
        caveats=_CAVEATS,
    )


def _remedies(references: tuple[_Reference, ...]) -> Iterator[Remedy]:
    conditions = "\n".join(
        f"  AND NOT EXISTS (SELECT FROM {ident(r.table.schema, r.table.name)} t "
        f"WHERE t.{ident(r.column.name)} = m.oid)"
        for r in references
    )
    which = f"FROM pg_catalog.pg_largeobject_metadata m\nWHERE true\n{conditions}"
    yield Remedy(
        sql=f"SET row_security = off;\nSELECT count(*) {which};",
        lock="ACCESS SHARE: blocks no reads or writes, but scans the tables that refer to large objects",
        undo="RESET row_security;",
    )
    yield Remedy(
        sql=_unlink(which),
        lock="ACCESS EXCLUSIVE on each large object that it deletes, at most 1,000 at a time; run it as a superuser, "
        "or as the owner of the large objects",
        in_transaction=False,
        undo="-- cannot be undone: dump the database first; pg_dump includes large objects",
    )
    yield Remedy(
        sql="VACUUM (ANALYZE) pg_catalog.pg_largeobject;\nVACUUM (ANALYZE) pg_catalog.pg_largeobject_metadata;",
        lock="SHARE UPDATE EXCLUSIVE on the catalogs: blocks neither reads nor writes; run it as a superuser or the "
        "owner of the database",
        in_transaction=False,
        undo=maintenance.NOTHING_VISIBLE,
    )


def _unlink(which: str) -> str:
    quotes = "$$"
    while quotes in which:
        quotes = f"$x{quotes[1:]}"
    return f"""DO {quotes}
DECLARE
  id oid;
  done bigint := 0;
BEGIN
  -- an error rather than rows that a policy hides
  PERFORM pg_catalog.set_config('row_security', 'off', true);
  FOR id IN SELECT m.oid {which}
  LOOP
    PERFORM pg_catalog.lo_unlink(id);
    done := done + 1;
    IF done % 1000 = 0 THEN COMMIT; END IF;
  END LOOP;
END {quotes};"""
