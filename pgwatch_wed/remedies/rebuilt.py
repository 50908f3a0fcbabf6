"""Indexes that a rewrite of their table builds again, although that has failed before."""

from collections.abc import Iterator

from pgwatch_wed.facts import Index, Snapshot, Table
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.quote import ident
from pgwatch_wed.remedies.script import comment


def failed_before(snapshot: Snapshot, table: Table) -> Iterator[Index]:
    """Yield the invalid unique indexes of a table and its partitions: repeated values make a rewrite fail as they made the build fail."""
    for oid in ix.partitions(snapshot, table.oid):
        for index in snapshot.indexes_of[oid]:
            if index.is_unique and not index.is_usable:
                yield index


def warnings(snapshot: Snapshot, table: Table) -> Iterator[str]:
    """Yield comments for SQL that rewrites a table: what makes it fail, and how to prevent that."""
    for index in failed_before(snapshot, table):
        name = ident(index.schema, index.name)
        yield comment(
            f"{name} is invalid, and is built again with the table, which fails if values are repeated. Rebuild it, or drop it first:"
        )
        yield comment(f"DROP INDEX CONCURRENTLY {name};")
