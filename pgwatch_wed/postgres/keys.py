"""What identifies a row."""

from pgwatch_wed.facts import Index, Snapshot


def identifies(snapshot: Snapshot, index: Index) -> bool:
    """Tell whether a unique index identifies every row: immediate, not partial, on NOT NULL columns."""
    columns = [snapshot.column_by_key.get((index.table_oid, a)) for a in index.keys]
    return (
        index.is_unique
        and index.is_immediate
        and index.is_usable
        and index.predicate is None
        and index.expressions is None
        and bool(columns)
        and all(c is not None and c.is_not_null for c in columns)
    )
