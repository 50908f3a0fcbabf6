"""Collations whose version changed while indexes rely on their order.

## Why it matters
A B-tree on text is sorted by the rules of glibc or ICU. If an upgrade of the operating system or of a container image changes
these rules, the index is no longer in order: searches miss existing rows, and unique indexes allow duplicates.

## How sure we are
B that the version differs from the recorded one. Only a check (amcheck's bt_index_check with heapallindexed), which reads the whole
index, shows whether the order of your strings has changed.

## Not reported
Collations that do not depend on a library (C, POSIX, C.UTF-8, PostgreSQL's builtin provider); indexes with `…_pattern_ops`
operator classes, which compare bytes, and hash indexes. Collations that no index uses are info. Before 15 the version of a
database's default collation is not recorded, and the verdict is unknown.

## Remedy
REINDEX INDEX CONCURRENTLY for each index listed, then REFRESH VERSION to end the warning. In that order: the refresh alone only
hides it. If a unique index fails to rebuild, it has duplicates: remove them first. Range partitions by text and CHECK constraints
that depend on the order may also be wrong.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pgwatch_wed import units
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

    # If there are more indexes, use a single REINDEX DATABASE.
    max_listed: int = 50


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for the database's default collation, and for each other collation."""
    database = snapshot.database
    if database is not None and _changed(database):
        yield _default(snapshot, database, limits)
    for collation in snapshot.collation_versions:
        yield _named(snapshot, collation, limits)
    recorded = snapshot.server.features.has_database_collation_version()
    if not recorded and (database is None or database.collation_version is None):
        yield Unknown(
            recorded.why_not,
            "after an operating system upgrade, check indexes with amcheck",
        )


def _changed(database: Database) -> bool:
    recorded, actual = database.collation_version, database.actual_collation_version
    return recorded is not None and actual is not None and recorded != actual


def _default(snapshot: Snapshot, database: Database, limits: Limits) -> Finding:
    affected = _sorted_by(snapshot.indexes, _DEFAULT_COLLATION)
    return _finding(
        snapshot,
        Object("database", database.name, database=database.name),
        f"the default collation of {database.name}",
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
        f"collation {collation.name}",
        (collation.recorded, collation.actual),
        _sorted_by(indexes, collation.oid),
        f"ALTER COLLATION {ident(schema, name)} REFRESH VERSION;",
        limits,
    )


def _sorted_by(indexes: Iterable[Index], collation: int | None) -> list[Index]:
    """Return the indexes whose order depends on a collation; None: of any other than the default."""
    return [
        i
        for i in indexes
        if i.kind != "I"
        and i.access_method != "hash"
        and any(
            (c == collation if collation is not None else c not in (0, _DEFAULT_COLLATION))
            and not name.endswith("pattern_ops")
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
        title=f"The version of {who} has changed; {_relying(len(affected))} on its order",
        detail=f"The recorded version is {recorded or 'unknown'}; the library's version is {actual or 'unknown'}.",
        evidence={
            "recorded_version": recorded,
            "actual_version": actual,
            "indexes": [i.qualified for i in affected[:200]],
            "unique_indexes": sum(i.is_unique for i in affected),
            "size_bytes": sum(i.pages for i in affected) * snapshot.server.block_size,
        },
        impact=Impact(
            risk="searches miss rows and unique indexes allow duplicates" if affected else ""
        ),
        remedy=(*_rebuild(snapshot, affected, limits), _refresh(refresh)),
        caveats=(
            "Do not refresh the version before the indexes are rebuilt: that only hides the warning.",
        )
        if affected
        else (),
    )


def _relying(number: int) -> str:
    if not number:
        return "no index relies"
    return f"{units.count(number, 'index', 'indexes')} {'relies' if number == 1 else 'rely'}"


def _rebuild(snapshot: Snapshot, affected: list[Index], limits: Limits) -> Iterator[Remedy]:
    if len(affected) > limits.max_listed:
        lines = [f"REINDEX DATABASE CONCURRENTLY {ident(snapshot.server.database)};"]
    else:
        lines = [_reindex(i) for i in affected]
    if lines:
        yield Remedy(
            sql="\n".join(lines),
            lock=held.CONCURRENTLY
            + "; indexes of exclusion constraints are rebuilt with a SHARE lock, which blocks writes",
            in_transaction=False,
            undo="-- nothing to undo: they are the same indexes, in order",
        )


def _reindex(index: Index) -> str:
    how = "" if index.is_exclusion else "CONCURRENTLY "
    return f"REINDEX INDEX {how}{ident(index.schema, index.name)};"


def _refresh(sql: str) -> Remedy:
    return Remedy(
        sql=sql,
        lock="ROW EXCLUSIVE on a system catalog: does not block reads or writes",
        undo="-- none: the recorded version cannot be restored",
    )
