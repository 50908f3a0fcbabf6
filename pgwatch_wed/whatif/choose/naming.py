"""Names for new indexes: what PostgreSQL itself would choose, but free."""

from collections.abc import Iterable

from pgwatch_wed.whatif.catalog import Catalog
from pgwatch_wed.whatif.model import Candidate

_MAX_BYTES = 63


def names(catalog: Catalog, indexes: Iterable[Candidate]) -> dict[Candidate, str]:
    """Return a name for each index that nothing in its schema has."""
    taken = {(i.schema, i.name) for i in catalog.indexes.values()} | set(catalog.by_name)
    found: dict[Candidate, str] = {}
    for index in indexes:
        stem = "_".join([index.table, *map(_word, index.columns)])
        suffix, number = _kind(index), 0
        while (index.schema, name := _fitted(stem, suffix, number)) in taken:
            number += 1
        taken.add((index.schema, name))
        found[index] = name
    return found


def _kind(index: Candidate) -> str:
    method = "" if index.method == "btree" else f"_{index.method}"
    part = "_part" if index.predicate else ""
    return f"{method}{part}{'_incl' if index.include else ''}_idx"


def _word(column: str) -> str:
    kept = "".join(c if c.isalnum() or c == "_" else " " for c in column)
    return "_".join(kept.split())[:30] or "expr"


def _fitted(stem: str, suffix: str, number: int) -> str:
    tail = f"{suffix}{number or ''}"
    room = _MAX_BYTES - len(tail.encode())
    return stem.encode()[:room].decode(errors="ignore") + tail
