"""Collations whose library changed under indexes that rely on their order.

## Why it matters
A B-tree on text is sorted by the rules of glibc or ICU. When an upgrade of the operating system, or of an image, changes
those rules, the tree is out of order: searches miss rows that exist, and unique indexes admit duplicates.

## How sure we are
B that the version differs from the one recorded. Whether the order of your strings changed only a check tells (amcheck's
bt_index_check with heapallindexed), which reads the whole index.

## Not reported
Collations that do not depend on a library (C, POSIX, C.UTF-8, PostgreSQL's builtin provider); indexes of the `…_pattern_ops`
classes, which compare bytes, and hash indexes; collations that no index uses are for information. Before 15 the version
of a database's default collation is not recorded, and the verdict is unknown.

## Remedy
REINDEX INDEX CONCURRENTLY for each index named, then REFRESH VERSION so that the warning ends. In that order: the refresh
alone only hides it. A unique index that fails to rebuild has met duplicates: remove them first. Partitions by ranges of
text and CHECK constraints on its order may also be wrong.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import CollationVersion, Database, Index, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.quote import ident
from pgwatch_wed.remedies import locks as held

NEEDS = ("databases", "collation_versions", "indexes")
PRIMARY_ONLY = True

_DEFAULT_COLLATION = 100


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # More indexes than these are rebuilt by one REINDEX DATABASE.
    max_listed: int = 50


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for the database's default collation, and for each other one."""
    database = snapshot.database
    if database is not None and _changed(database):
        yield _default(snapshot, database, limits)
    for collation in snapshot.collation_versions:
        yield _named(snapshot, collation, limits)
    recorded = snapshot.server.features.has_database_collation_version()
    if not recorded and (database is None or database.collation_version is None):
        yield Unknown(
            recorded.why_not,
            "after an upgrade of the operating system, check with amcheck",
        )


def _changed(database: Database) -> bool:
    recorded, actual = database.collation_version, database.actual_collation_version
    return recorded is not None and actual is not None and recorded != actual


def _default(snapshot: Snapshot, database: Database, limits: Limits) -> Finding:
    affected = _sorted_by(snapshot.indexes, _DEFAULT_COLLATION)
    return _finding(
        snapshot,
        Object("database", database.name, database=database.name),
        f"The default collation of {database.name}",
        (database.collation_version, database.actual_collation_version),
        affected,
        f"ALTER DATABASE {ident(database.name)} REFRESH COLLATION VERSION;",
        limits,
    )


def _named(snapshot: Snapshot, collation: CollationVersion, limits: Limits) -> Finding:
    using = set(collation.index_oids)
    schema, _, name = collation.name.partition(".")
    indexes = [i for i in snapshot.indexes if i.oid in using]
    return _finding(
        snapshot,
        Object("collation", name, database=snapshot.server.database, schema=schema),
        f"The collation {collation.name}",
        (collation.recorded, collation.actual),
        [i for i in indexes if i.access_method != "hash"],
        f"ALTER COLLATION {ident(schema, name)} REFRESH VERSION;",
        limits,
    )


def _sorted_by(indexes: Iterable[Index], collation: int) -> list[Index]:
    """Return the indexes whose order depends on a collation."""
    return [
        i
        for i in indexes
        if i.kind != "I"
        and i.access_method != "hash"
        and any(
            c == collation and not name.endswith("pattern_ops")
            for c, name in zip(i.collations, i.opclass_names, strict=False)
        )
    ]


def _finding(
    snapshot: Snapshot,
    subject: Object,
    who: str,
    versions: tuple[str | None, str | None],
    affected: list[Index],
    refresh: str,
    limits: Limits,
) -> Finding:
    recorded, actual = versions
    affected = sorted(affected, key=lambda i: (not i.is_unique, -i.pages, i.oid))
    return Finding(
        object=subject,
        related=tuple(ix.object_of(snapshot, i) for i in affected[: limits.max_listed]),
        severity=Severity.CRITICAL if affected else Severity.INFO,
        grade=Grade.B,
        title=f"{who} changed its version; {len(affected)} indexes rely on its order",
        detail=f"They were built under version {recorded or 'unknown'}; the library is now at "
        f"{actual or 'unknown'}.",
        evidence={
            "recorded_version": recorded,
            "actual_version": actual,
            "indexes": [i.qualified for i in affected[:200]],
            "unique_indexes": sum(i.is_unique for i in affected),
            "size_bytes": sum(i.pages for i in affected) * snapshot.server.block_size,
        },
        impact=Impact(
            risk="searches miss rows and unique indexes admit duplicates" if affected else ""
        ),
        remedy=(*_rebuild(snapshot, affected, limits), _refresh(refresh)),
        caveats=(
            "Until the indexes are rebuilt, do not refresh the version: it only hides the warning.",
        )
        if affected
        else (),
    )


def _rebuild(snapshot: Snapshot, affected: list[Index], limits: Limits) -> Iterator[Remedy]:
    if len(affected) > limits.max_listed:
        lines = [f"REINDEX DATABASE CONCURRENTLY {ident(snapshot.server.database)};"]
    else:
        lines = [_reindex(i) for i in affected]
    if lines:
        yield Remedy(
            sql="\n".join(lines),
            lock=held.CONCURRENTLY
            + "; exclusion constraints are rebuilt under SHARE, which stops writes",
            in_transaction=False,
            undo="-- nothing to undo: the same indexes, in order",
        )


def _reindex(index: Index) -> str:
    how = "" if index.is_exclusion else "CONCURRENTLY "
    return f"REINDEX INDEX {how}{ident(index.schema, index.name)};"


def _refresh(sql: str) -> Remedy:
    return Remedy(
        sql=sql,
        lock="ROW EXCLUSIVE on a catalog: holds up nobody",
        undo="-- the recorded version cannot be set back",
    )
