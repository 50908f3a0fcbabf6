"""The unique indexes without which INSERT … ON CONFLICT is an error."""

from pgwatch_wed.quote import ident
from pgwatch_wed.sqltext import arbiters
from pgwatch_wed.sqltext.arbiters import Conflict
from pgwatch_wed.whatif.catalog import Catalog, ExistingIndex
from pgwatch_wed.whatif.model import Query


def needed(catalog: Catalog, query: Query) -> set[int]:
    """Return the oids of the existing indexes that a query needs."""
    return {
        index.oid
        for conflict in arbiters.conflicts(query.sql)
        for index in catalog.indexes.values()
        if (index.is_unique or index.is_constraint) and _is_of(catalog, index, conflict)
    }


def all_others(catalog: Catalog, query: Query) -> list[int]:
    """Return the oids of the existing indexes that it does not need."""
    kept = needed(catalog, query)
    return [oid for oid in catalog.indexes if oid not in kept]


def predicate(catalog: Catalog, conflict: Conflict) -> str | None:
    """Return the predicate of the partial unique index that an ON CONFLICT selects."""
    return next(
        (
            index.predicate
            for index in catalog.indexes.values()
            if index.is_unique
            and index.predicate
            and set(index.keys) == {ident(c) for c in conflict.columns}
            and _is_of(catalog, index, conflict)
        ),
        None,
    )


def _is_of(catalog: Catalog, index: ExistingIndex, conflict: Conflict) -> bool:
    """Tell whether an index is on the table of an ON CONFLICT, or on a partition of it."""
    table = catalog.tables.get(index.table_oid)
    while table is not None:
        if table.name == conflict.table.name and conflict.table.schema in (None, table.schema):
            return True
        table = catalog.tables.get(table.parent) if table.parent is not None else None
    return False
