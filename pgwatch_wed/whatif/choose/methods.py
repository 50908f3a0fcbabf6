"""Candidates that are not B-trees: BRIN, GIN, GiST and hash, from what the server's operator classes serve."""

import math
from collections.abc import Iterable, Iterator, Sequence

from pgwatch_wed.sqltext.terms import Kind, Term
from pgwatch_wed.whatif import operator_classes
from pgwatch_wed.whatif.catalog import Catalog, CatalogTable
from pgwatch_wed.whatif.choose import indexable
from pgwatch_wed.whatif.choose.indexable import CandidateOptions
from pgwatch_wed.whatif.model import Candidate, Key
from pgwatch_wed.whatif.operator_classes import OperatorClass
from pgwatch_wed.whatif.usage import TableUse

_BRIN_PAGES = 1024
_BRIN_CORRELATION = 0.9
_HASHED_WIDTH = 40
_SEARCHED = frozenset({Kind.CONTAINS, Kind.MATCH, Kind.PATTERN})
_COMPARED = frozenset({Kind.EQUAL, Kind.IN, Kind.RANGE})


def candidates(
    use: TableUse, catalog: Catalog, terms: Sequence[Term], options: CandidateOptions
) -> Iterator[Candidate]:
    """Yield candidates of other methods for conditions that all hold, and for an order by distance."""
    table = use.table
    yield from _brin(table, catalog, terms, options)
    yield from _hashed(table, catalog, terms)
    for term in terms:
        if term.kind in _SEARCHED:
            yield from _searching(table, catalog, term, terms, options)
    for order in use.sorts:
        first = order[0]
        key = (
            indexable.of_operand(table, first.operand)
            if first.distance and not first.order
            else None
        )
        kind = indexable.value_type(table, first.operand, options)
        if key is not None and kind is not None:
            found = operator_classes.ordering(catalog.operator_classes, kind, first.distance)
            for each in found:
                yield from _with_equal(table, catalog, each, key, terms, options)


def _searching(
    table: CatalogTable,
    catalog: Catalog,
    term: Term,
    terms: Iterable[Term],
    options: CandidateOptions,
) -> Iterator[Candidate]:
    key = indexable.of_operand(table, term.operand)
    kind = indexable.value_type(table, term.operand, options)
    if key is None or kind is None:
        return
    if indexable.is_network(table, term, options):
        yield indexable.index(table, (key,))
        if term.is_constant and "$" not in term.text:
            return
    for each in operator_classes.serving(catalog.operator_classes, kind, term.operator):
        yield from _with_equal(table, catalog, each, key, terms, options)


def _with_equal(
    table: CatalogTable,
    catalog: Catalog,
    found: OperatorClass,
    key: Key,
    terms: Iterable[Term],
    options: CandidateOptions,
) -> Iterator[Candidate]:
    """Yield an index on a key of an operator class, alone and after a column that must be equal.

    Of a state, GIN would read the long list of all its rows.
    """
    if found.method == "hash":
        return
    own = Key(key.text, key.column, found.written)
    yield indexable.index(table, (own,), method=found.method)
    equal = [t for t in terms if t.kind is Kind.EQUAL and t.is_constant]
    for term in equal if options.max_width > 1 else ():
        beside = indexable.of_operand(table, term.operand)
        kind = indexable.value_type(table, term.operand, options)
        if beside is None or kind is None or beside.text == key.text:
            continue
        column = table.columns.get(term.operand.column or "")
        if found.method == "gin" and column and indexable.has_states(catalog, table, column):
            continue
        for other in operator_classes.serving(catalog.operator_classes, kind, "="):
            if other.method == found.method:
                first = Key(beside.text, beside.column, other.written)
                yield indexable.index(table, (first, own), method=found.method)


def _brin(
    table: CatalogTable, catalog: Catalog, terms: Iterable[Term], options: CandidateOptions
) -> Iterator[Candidate]:
    """Yield BRIN indexes, except on columns that the workload sets: updated rows move, and widen the ranges."""
    if catalog.pages(table) < _BRIN_PAGES:
        return
    changed = options.changed.get((table.schema, table.name), frozenset())
    for term in terms:
        column = table.columns.get(term.operand.column or "")
        if column is None or column.is_virtual or column.name in changed:
            continue
        is_sorted = math.fabs(column.correlation or 0.0) >= _BRIN_CORRELATION
        if term.kind in _COMPARED and term.is_constant and is_sorted:
            yield indexable.index(table, (Key.of(column.name),), method="brin")


def _hashed(table: CatalogTable, catalog: Catalog, terms: Iterable[Term]) -> Iterator[Candidate]:
    """Yield hash indexes on wide values: a B-tree would store them again."""
    for term in terms:
        column = table.columns.get(term.operand.column or "")
        if column is None or column.is_virtual or term.kind not in (Kind.EQUAL, Kind.IN):
            continue
        is_wide = column.type_length < 0 and column.mean_width >= _HASHED_WIDTH
        if is_wide or indexable.may_be_wide(catalog, table, column.name):
            yield indexable.index(table, (Key.of(column.name),), method="hash")
