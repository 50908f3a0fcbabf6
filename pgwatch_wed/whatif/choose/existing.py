"""Candidates compared with existing indexes: copies, prefixes, and what a new one makes redundant."""

from pgwatch_wed.quote import ident
from pgwatch_wed.whatif.catalog import Catalog, ExistingIndex
from pgwatch_wed.whatif.model import Candidate

_DESCENDING, _NULLS_FIRST = 1, 2

KeyForm = tuple[str, str, bool, bool]


def covering(catalog: Catalog, index: Candidate) -> ExistingIndex | None:
    """Return an existing index that can do everything that a candidate could, if there is one."""
    table = catalog.by_name.get((index.schema, index.table))
    if table is None:
        return None
    for existing in catalog.indexes_of.get(table.oid, ()):
        if existing.is_valid and _covers(existing, index):
            return existing
    return None


def made_redundant(catalog: Catalog, index: Candidate) -> list[ExistingIndex]:
    """Return existing indexes that enforce nothing and that a new index could replace."""
    table = catalog.by_name.get((index.schema, index.table))
    if table is None or index.method != "btree" or index.predicate:
        return []
    return [
        e
        for e in catalog.indexes_of.get(table.oid, ())
        if e.is_valid
        and not (e.is_unique or e.is_constraint or e.parent is not None)
        and e.method == "btree"
        and (e.predicate is None)
        and _begins(existing_form(e), candidate_form(index))
        and set(e.include) <= stored(index)
    ]


def does_all(wider: Candidate, index: Candidate) -> bool:
    """Tell whether a B-tree can do everything that another could: it begins with its keys, and has its columns and its rows."""
    one, other = ((i.schema, i.table, i.method) for i in (wider, index))
    return (
        one == other
        and wider != index
        and index.method == "btree"
        and wider.predicate in ("", index.predicate)
        and _begins(candidate_form(index), candidate_form(wider))
        and set(map(ident, index.include)) <= stored(wider)
    )


def stored(index: Candidate) -> set[str]:
    """Return the columns that a candidate stores, quoted."""
    return {k.text for k in index.keys if k.column} | {ident(n) for n in index.include}


def _covers(existing: ExistingIndex, index: Candidate) -> bool:
    if existing.method != index.method or (existing.predicate or "") != index.predicate:
        return False
    keys, wanted = existing_form(existing), candidate_form(index)
    if existing.method != "btree":
        return [k[:2] for k in keys] == [k[:2] for k in wanted]
    has = {*existing.keys, *existing.include}
    return _begins(wanted, keys) and {ident(n) for n in index.include} <= has


def _begins(short: list[KeyForm], long: list[KeyForm]) -> bool:
    """Tell whether keys are the leading keys of others, read forward or backward."""
    head = long[: len(short)]
    turned = [(t, o, not d, not n) for t, o, d, n in head]
    return short in (head, turned)


def existing_form(index: ExistingIndex) -> list[KeyForm]:
    """Return the text, operator class, direction and position of NULLs of each key."""
    return [
        (_core(text), opclass, bool(option & _DESCENDING), bool(option & _NULLS_FIRST))
        for text, opclass, option in zip(
            index.keys, index.operator_classes, index.options, strict=False
        )
    ]


def candidate_form(index: Candidate) -> list[KeyForm]:
    """Return the same for a candidate."""
    found = []
    for key in index.keys:
        is_descending = key.order.startswith("DESC")
        nulls_first = "NULLS FIRST" in key.order or (is_descending and "NULLS" not in key.order)
        found.append(
            (_core(key.text), key.operator_class.rpartition(".")[2], is_descending, nulls_first)
        )
    return found


def _core(text: str) -> str:
    """Remove parentheses and spaces, in which texts of the same expression may differ."""
    return "".join(c for c in text.lower() if c not in "() ") if not text.startswith('"') else text
