"""Published tables on which UPDATE and DELETE fail for lack of a replica identity.

## Why it matters
If a publication publishes updates or deletes, PostgreSQL rejects them on a table whose rows it cannot identify for the
subscriber: the application gets an error on the publisher.

## How sure we are
B: publications, replica identities and keys are in the catalogs. A table that only receives inserts is not affected; if no
update or delete has been counted, it is info.

## Not reported
Tables that are not published, or whose publications publish neither updates nor deletes; unlogged tables, which are never
published; REPLICA IDENTITY FULL. Partitions are judged by their own replica identity and reported with their parent.

## Remedy
A primary key, or REPLICA IDENTITY USING INDEX with a unique index on NOT NULL columns. FULL works at once, but writes whole
old rows to WAL, and a subscriber before 16 scans its whole table for each change.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Index, Publication, Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Remedy, Severity, Unknown
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres import keys
from pgwatch_wed.quote import ident
from pgwatch_wed.units import count

NEEDS = ("publications", "tables", "indexes", "columns")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """No thresholds: a table either has a replica identity or not."""


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:  # noqa: ARG001 - none
    """Yield a finding for each published table, or partitioned parent, without a replica identity."""
    publications = [p for p in snapshot.publications if p.publishes_update or p.publishes_delete]
    if not publications:
        return
    lacking: dict[int, list[Table]] = {}
    for table in snapshot.tables:
        if table.kind != "r" or table.persistence != "p" or _has_identity(snapshot, table):
            continue
        above = _lineage(snapshot, table)
        if any(_publishes(p, above) for p in publications):
            lacking.setdefault(above[-1].oid, []).append(table)
    for oid, tables in lacking.items():
        yield _finding(snapshot, snapshot.table_by_oid[oid], tables, publications)


def _lineage(snapshot: Snapshot, table: Table) -> list[Table]:
    """Return a table and the partitioned tables above it, the topmost last."""
    found = [table]
    while found[-1].is_partition and found[-1].parent_oid is not None:
        above = snapshot.table_by_oid.get(found[-1].parent_oid)
        if above is None or above in found:
            break
        found.append(above)
    return found


def _publishes(publication: Publication, lineage: list[Table]) -> bool:
    oids = {t.oid for t in lineage}
    if publication.is_all_tables:
        return not oids & set(publication.except_oids)
    return bool(oids & set(publication.table_oids)) or any(
        t.schema in publication.schemas for t in lineage
    )


def _has_identity(snapshot: Snapshot, table: Table) -> bool:
    """Do as PostgreSQL does: the primary key unless deferrable, the chosen index, or the whole row."""
    indexes = snapshot.indexes_of[table.oid]
    if table.replica_identity == "d":
        return any(i.is_primary and i.is_immediate and i.is_usable for i in indexes)
    if table.replica_identity == "i":
        return any(i.is_replica_identity and i.is_usable for i in indexes)
    return table.replica_identity == "f"


def _finding(
    snapshot: Snapshot, table: Table, lacking: list[Table], publications: list[Publication]
) -> Finding:
    deletes, updates = ix.changes(snapshot, table.oid)
    parts = [t for t in lacking if t.oid != table.oid]
    return Finding(
        object=ix.table_object(snapshot, table),
        related=tuple(ix.table_object(snapshot, t) for t in parts[:20]),
        severity=Severity.WARNING if deletes + updates else Severity.INFO,
        grade=Grade.B,
        title=f"{table.qualified} is published without a replica identity",
        detail="UPDATE and DELETE fail on it as long as a publication publishes them."
        + (f" {count(len(parts), 'partition')} affected." if parts else ""),
        evidence={
            "publications": sorted(
                p.name for p in publications if _publishes(p, _lineage(snapshot, lacking[0]))
            ),
            "replica_identity": table.replica_identity,
            "updates": updates,
            "deletes": deletes,
            "partitions": [t.qualified for t in parts[:50]],
        },
        impact=Impact(risk="updates and deletes fail with an error"),
        remedy=tuple(_remedy(snapshot, t) for t in lacking[:50]),
        caveats=("FULL writes whole old rows to WAL; a primary key is better.",),
    )


def _remedy(snapshot: Snapshot, table: Table) -> Remedy:
    index = _candidate(snapshot, table)
    how = f"USING INDEX {ident(index.name)}" if index else "FULL"
    where = ident(table.schema, table.name)
    before = "NOTHING" if table.replica_identity == "n" else "DEFAULT"
    return Remedy(
        sql=f"ALTER TABLE {where} REPLICA IDENTITY {how};",
        lock="ACCESS EXCLUSIVE on the table: briefly blocks all reads and writes; set lock_timeout first",
        undo=f"ALTER TABLE {where} REPLICA IDENTITY {before};",
    )


def _candidate(snapshot: Snapshot, table: Table) -> Index | None:
    fitting = (i for i in snapshot.indexes_of[table.oid] if keys.identifies(snapshot, i))
    return min(fitting, key=lambda i: (not i.is_primary, i.key_count, i.oid), default=None)
