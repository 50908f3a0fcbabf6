"""Plans that skip the first keys of a B-tree, which PostgreSQL cannot before 18.

Since 18, an index on ``(deleted, account_id)`` serves ``account_id = 5``: it is descended once for each value of
``deleted``, and charged for no more. Before, the whole index is read, and charged for. The planner assumes that nothing is
skipped if it does not know how many values a column has. So a plan as of 17 is that of 18 which knows nothing about
the skipped columns, provided that the statement does not need to know it elsewhere.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import PlanNode, walk
from pgwatch_wed.sqltext.terms import Conjunction, Kind, Term
from pgwatch_wed.whatif import usage
from pgwatch_wed.whatif.catalog import Catalog, CatalogTable
from pgwatch_wed.whatif.spreads import bare

# Conditions whose selectivity does not depend on the number of values.
_WITHOUT_VALUES = frozenset({Kind.RANGE, Kind.NOT_NULL, Kind.PREFIX})

_ARRAY = re.compile(r"\b(?:in|any|some)\s*\(", re.IGNORECASE)
_PARAMETERS = re.compile(r"(.+) = ANY\(ARRAY\[(.*)\]\)")
_JOINED = 1001  # a number that no other parameter has
_UNKNOWN_VALUES = 200  # as many as the planner assumes if it does not know


@dataclass(frozen=True, slots=True)
class BTree:
    """A B-tree: its oid, its keys as in CREATE INDEX, and the number of its pages."""

    oid: int
    keys: tuple[str, ...]
    pages: float


@dataclass(frozen=True, slots=True, order=True)
class Skip:
    """A scan that rests on skipped keys: oids of its index and table, their columns, and whose statistics they have.

    ``attributes`` are oids of relations with numbers of their columns. ``has_array``: a key after them is compared with
    several values.
    """

    index: int
    table: int
    columns: tuple[str, ...]
    attributes: tuple[tuple[int, int], ...]
    has_array: bool


@dataclass(frozen=True, slots=True)
class _Scan:
    """A node that reads an index, the table and the alias that it is of."""

    node: PlanNode
    index: str
    table: tuple[str, str]
    alias: str


@dataclass(frozen=True, slots=True)
class _Key:
    """A key without an equality condition before one that has a condition: its position from 0, and if it has a range."""

    position: int
    has_range: bool


def found(plan: PlanNode, catalog: Catalog, btree: Callable[[str], BTree | None]) -> Iterator[Skip]:
    """Yield the scans of a plan for which the planner may count on skipping; ``btree`` returns an index by name."""
    for scan in _scans(plan):
        table, tree = catalog.by_name.get(scan.table), btree(scan.index)
        if table is not None and tree is not None:
            yield from _skip(scan, table, tree)


def bounds(node: PlanNode, tree: BTree) -> list[str]:
    """Return the conditions of an index scan that bound what it reads, without aliases; others only exclude some of it.

    Values from other tables are parameters.
    """
    mine = terms.of_index(node)
    bound: list[str] = []
    for key in tree.keys:
        own = [t for t in mine if t.operand.alias == node.get("Alias") and _is_of(t, key)]
        bound += [_with_parameter(t, _JOINED + len(bound) + n) for n, t in enumerate(own)]
        if not {t.kind for t in own} & terms.EQUAL:
            break
    return bound


def met(node: PlanNode, kinds: Collection[Kind] | None = None) -> list[str]:
    """Return the conditions of an index scan, or those of some kinds, in the form of :func:`bounds`; what has no alias is of its table."""
    found = (
        t
        for t in terms.of_index(node)
        if t.operand.alias in (node.get("Alias"), "") and (kinds is None or t.kind in kinds)
    )
    return [_with_parameter(t, _JOINED + n) for n, t in enumerate(found)]


def _with_parameter(term: Term, number: int) -> str:
    if term.kind is Kind.IN and (parameters := _PARAMETERS.fullmatch(term.text)):
        return f"{parameters[1]} in ({parameters[2]})"  # so that the server finds their types
    is_joined = not term.is_constant and term.kind in (Kind.EQUAL, Kind.RANGE)
    return f"{term.operand.text} {term.operator} ${number}" if is_joined else term.text


def _skip(scan: _Scan, table: CatalogTable, tree: BTree) -> Iterator[Skip]:
    keys = _skipped(scan, tree)
    if not keys or not _pays(keys, table, tree):
        return
    columns = frozenset[str]().union(*(terms.columns(tree.keys[k.position]) for k in keys))
    attributes = (
        (tree.oid, k.position + 1) if column is None else (table.oid, column.number)
        for k, column in ((k, table.columns.get(bare(tree.keys[k.position]))) for k in keys)
    )
    bound = _bound_keys(scan, tree)[keys[0].position :]
    has_array = any(Kind.IN in kinds for kinds in bound)
    yield Skip(tree.oid, table.oid, tuple(sorted(columns)), tuple(attributes), has_array)


def _scans(plan: PlanNode) -> Iterator[_Scan]:
    """Yield the scans of indexes that have conditions."""
    stack: list[tuple[PlanNode, PlanNode]] = [(plan, plan)]
    while stack:
        node, scan = stack.pop()
        scan = node if "Alias" in node else scan  # the index scan below a bitmap names no table
        if "Index Name" in node and "Index Cond" in node:
            table = (scan.get("Schema", ""), scan.get("Relation Name", ""))
            yield _Scan(node, node["Index Name"], table, scan.get("Alias", ""))
        stack += [(child, scan) for child in node.get("Plans", ())]


def _skipped(scan: _Scan, tree: BTree) -> tuple[_Key, ...]:
    bound = _bound_keys(scan, tree)
    last = max((n for n, each in enumerate(bound) if each), default=0)
    return tuple(
        _Key(n, bool(each)) for n, each in enumerate(bound[:last]) if not each & terms.EQUAL
    )


def _bound_keys(scan: _Scan, tree: BTree) -> list[set[Kind]]:
    """Return the kinds of the conditions on each key, up to a comparison of rows, after which nothing is skipped."""
    group = terms.conditions(str(scan.node["Index Cond"]))
    mine = [t for t in group.terms if t.operand.alias == scan.alias]
    bound = [_bound(mine, key) for key in tree.keys]
    rows = [n for t in mine if _is_row(t) for n in _positions(t, tree.keys)]
    return [*bound[: min(rows)], {Kind.RANGE}] if rows else bound


def _pays(keys: Iterable[_Key], table: CatalogTable, tree: BTree) -> bool:
    """Tell whether the planner may count on skipping keys.

    It does not if they have more combinations than the index has pages, or if a range leaves less than a third.
    """
    number = 1.0
    for key in keys:
        column = table.columns.get(bare(tree.keys[key.position]))
        values = 1.0 if column is None else column.distinct
        number *= max(1.0, values / 3) if key.has_range else values + 1
    return number <= tree.pages


def has_arrays(text: str) -> bool:
    """Tell whether a statement itself compares with arrays; since 18, the planner makes them of OR, too."""
    return _ARRAY.search(text) is not None


def is_free(plan: PlanNode, columns: Iterable[str], catalog: Catalog) -> bool:
    """Tell whether no condition of a plan is estimated by how many values any of these columns has."""
    names = frozenset(columns)
    tables = {
        node["Alias"]: catalog.table_of(node)
        for node in walk(plan)
        if "Alias" in node and "Relation Name" in node
    }
    texts = (text for node in walk(plan) for text in usage.conditions(node))
    return all(_is_free(text, names, tables) for text in texts)


def _is_free(text: str, names: frozenset[str], tables: Mapping[str, CatalogTable | None]) -> bool:
    if names.isdisjoint(column for _, column in terms.references(text)):
        return True
    mine = [t for t in _all(terms.conditions(text)) if t.operand.columns & names]
    return bool(mine) and all(t.kind in _WITHOUT_VALUES or _is_join(t, tables) for t in mine)


def _is_join(term: Term, tables: Mapping[str, CatalogTable | None]) -> bool:
    """Tell whether a term is a join with a column that has more values, which alone count then."""
    if term.kind is not Kind.EQUAL or term.other is None:
        return False
    table = tables.get(term.other.alias)
    column = table.columns.get(term.other.column or "") if table is not None else None
    return column is not None and column.distinct >= _UNKNOWN_VALUES


def _all(group: Conjunction) -> Iterator[Term]:
    yield from group.terms
    for arm in group.arms:
        yield from _all(arm)


def _bound(found: Iterable[Term], key: str) -> set[Kind]:
    """Return the kinds of the conditions on a key."""
    return {t.kind for t in found if _is_of(t, key)}


def _is_of(term: Term, key: str) -> bool:
    columns = terms.columns(key)
    is_column = bare(key) in columns
    operand = term.operand
    return operand.columns == columns and (operand.column is not None or not is_column)


def _is_row(term: Term) -> bool:
    return term.operand.column is None and term.operand.text.upper().startswith(("ROW(", "("))


def _positions(term: Term, keys: Iterable[str]) -> Iterator[int]:
    return (n for n, key in enumerate(keys) if terms.columns(key) <= term.operand.columns)
