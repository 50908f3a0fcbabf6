"""Names for candidates: as PostgreSQL itself would choose them, but not in use."""

import re
from collections.abc import Iterable, Iterator, Mapping, Set

from pgwatch_wed.remedies.free_names import FreeNames
from pgwatch_wed.whatif.catalog import Catalog
from pgwatch_wed.whatif.model import Candidate


def names(
    catalog: Catalog, indexes: Iterable[Candidate], taken: Mapping[str, Set[str]]
) -> dict[Candidate, str]:
    """Return a name for each index that is not in use in its schema, according to the catalog and ``taken``."""
    free = FreeNames(taken)
    for schema, name in (*((i.schema, i.name) for i in catalog.indexes.values()), *catalog.by_name):
        free.take(schema, name)
    return {i: free.new(i.schema, i.table, _words(i)) for i in indexes}


def _words(index: Candidate) -> Iterator[str]:
    yield from map(_word, index.columns)
    if index.method != "btree":
        yield index.method
    if index.predicate:
        yield "part"
    if index.include:
        yield "incl"


# `CAST(x AS text)` and `x::text`: what it is cast to says nothing that x does not
_CAST = re.compile(r"\bCAST\s*\(|\s+AS\s+[\w ]+(?:\([\d, ]*\))?(?:\[\])?(?=\))|::[\w ]+(?:\[\])?")


def _word(column: str) -> str:
    column = _CAST.sub(" ", column)
    kept = "".join(c if c.isalnum() or c == "_" else " " for c in column)
    return "_".join(kept.split())[:30] or "expr"
