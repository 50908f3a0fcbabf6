"""Indexes that might help a query, from how its plan uses each table."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import permutations

from pgwatch_wed.quote import ident
from pgwatch_wed.sqltext.terms import Conjunction, Kind, Operand, SortKey, Term
from pgwatch_wed.whatif.catalog import Catalog, CatalogColumn, CatalogTable
from pgwatch_wed.whatif.model import Candidate, Key
from pgwatch_wed.whatif.usage import TableUse

MIN_PAGES = 10
"""A smaller table is read faster than an index."""
_BRIN_PAGES = 1024
_BRIN_CORRELATION = 0.9
_MAX_COVERED = 8
_MAX_PERMUTED = 7
_COVER_SHARE = 0.6
_PARTIAL_SHARE = 0.3
_EQUAL = frozenset({Kind.EQUAL, Kind.IN, Kind.BOOLEAN, Kind.IS_NULL})
_RANGED = frozenset({Kind.RANGE, Kind.PREFIX})
_GIN_TYPES = frozenset({"jsonb", "tsvector"})
_TRIGRAM_TYPES = frozenset({"text", "varchar"})
_VOLATILE = ("now()", "current_", "localtime", "clock_timestamp", "random(")


@dataclass(frozen=True, slots=True)
class CandidateOptions:
    """Which kinds of candidates are allowed."""

    max_width: int = 3
    is_c_collation: bool = False
    trigram: str | None = None


Keys = tuple[Key, ...]


@dataclass(slots=True)
class _Asked:
    """Keys of a conjunction, by kind of condition; the most selective first."""

    equal: list[Key] = field(default_factory=list)
    joined: list[Key] = field(default_factory=list)
    ranged: list[Key] = field(default_factory=list)
    join_sets: list[Keys] = field(default_factory=list)

    @property
    def all(self) -> list[Key]:
        return list(dict.fromkeys([*self.equal, *self.joined, *self.ranged]))


def candidates(use: TableUse, catalog: Catalog, options: CandidateOptions) -> list[Candidate]:
    """Return indexes that could support this use of a table, plain ones first."""
    table = use.table
    if table.is_temporary or catalog.pages(table) < MIN_PAGES:
        return []
    found: dict[Candidate, None] = {}
    for terms in _conjunctions(use):
        asked = _asked(table, terms, options)
        sequences = list(dict.fromkeys(_sequences(asked, _orders(use, asked), options.max_width)))
        plain = [_index(table, keys) for keys in sequences]
        found |= dict.fromkeys(plain)
        found |= dict.fromkeys(_covering(use, catalog, plain))
        found |= dict.fromkeys(_partial(table, terms, plain, asked))
        found |= dict.fromkeys(_other_methods(table, catalog, terms, asked, options))
    return list(found)


def merged(one: Candidate, other: Candidate) -> Candidate | None:
    """Return an index that replaces both, if the keys of one are the leading keys of the other."""
    same = (one.schema, one.table, one.method, one.predicate, one.options)
    if same != (other.schema, other.table, other.method, other.predicate, other.options):
        return None
    long, short = (one, other) if one.width >= other.width else (other, one)
    if one.method != "btree" or long.keys[: short.width] != short.keys:
        return None
    columns = {k.column for k in long.keys}
    include = dict.fromkeys([*long.include, *short.include])
    rest = tuple(name for name in include if name not in columns)
    joined = Candidate(long.schema, long.table, long.keys, rest, long.predicate)
    return None if joined in (one, other) else joined


def _conjunctions(use: TableUse) -> Iterator[list[Term]]:
    base = [t for group in use.groups for t in use.mine(group)]
    yield base
    for group in use.groups:
        for arm in group.arms:
            for terms in _arm_terms(use, arm):
                yield [*terms, *base]


def _arm_terms(use: TableUse, arm: Conjunction) -> Iterator[list[Term]]:
    mine = use.mine(arm)
    if mine:
        yield mine
    for inner in arm.arms:
        yield from _arm_terms(use, inner)


def _asked(table: CatalogTable, terms: Iterable[Term], options: CandidateOptions) -> _Asked:
    asked = _Asked()
    sets: dict[str, list[Key]] = {}
    for term in terms:
        key = _key(table, term, options)
        if key is None:
            continue
        if term.kind in _EQUAL and term.is_constant:
            asked.equal.append(key)
        elif term.kind is Kind.EQUAL and term.other is not None:
            asked.joined.append(key)
            sets.setdefault(term.other.alias, []).append(key)
        elif term.kind in _RANGED and term.is_constant:
            asked.ranged.append(key)
    asked.equal = _by_distinct(table, asked.equal)
    asked.joined = _by_distinct(table, asked.joined)
    asked.ranged = _by_distinct(table, asked.ranged)
    asked.join_sets = [tuple(dict.fromkeys(s)) for s in sets.values() if len(set(s)) > 1]
    return asked


def _key(table: CatalogTable, term: Term, options: CandidateOptions) -> Key | None:
    operand = term.operand
    if operand.column is not None:
        column = table.columns.get(operand.column)
        if column is None or column.is_virtual:
            return None
        return Key.of(operand.column, _prefix_class(term, column, options))
    if operand.columns <= table.columns.keys() and _may_be_indexed(operand):
        return Key(operand.text, None)
    return None


def _may_be_indexed(operand: Operand) -> bool:
    """Tell whether an expression could be immutable; the server decides."""
    return not any(word in operand.text.lower() for word in _VOLATILE)


def _prefix_class(term: Term, column: CatalogColumn, options: CandidateOptions) -> str:
    """Return the operator class that LIKE 'x%' requires, except in the collation C."""
    if term.kind is not Kind.PREFIX or options.is_c_collation:
        return ""
    classes = {"bpchar": "bpchar_pattern_ops", "varchar": "varchar_pattern_ops"}
    return classes.get(column.base_type, "text_pattern_ops")


def _by_distinct(table: CatalogTable, keys: Iterable[Key]) -> list[Key]:
    return sorted(dict.fromkeys(keys), key=lambda k: (-_distinct(table, k), k.text))


def _distinct(table: CatalogTable, key: Key) -> float:
    column = table.columns.get(key.column) if key.column is not None else None
    return column.distinct if column is not None else 200.0


def _sequences(asked: _Asked, orders: Sequence[Keys], width: int) -> Iterator[Keys]:
    """Yield sequences of keys: single keys, all pairs, then equality, join, range and sort keys."""
    everything = asked.all[:_MAX_PERMUTED]
    yield from ((key,) for key in asked.all)
    if width >= 2:
        yield from permutations(everything, 2)
    equal = tuple(asked.equal)
    yield from _cut([equal, *asked.join_sets], width)
    heads: list[Keys] = [equal, *((j,) for j in asked.joined), *asked.join_sets]
    for head in heads:
        for rest in (equal, *((k,) for k in (*asked.joined, *asked.ranged))):
            yield from _cut([_joined(head, rest), _joined(rest, head)], width)
        for last in asked.ranged:
            yield from _cut([_joined(head, equal, (last,)), _joined(equal, head, (last,))], width)
    for order in orders:
        yield from _cut([order, _joined(equal, order), _joined(equal[:1], order)], width)
        yield from _cut([_joined(order, (last,)) for last in asked.ranged], width)


def _cut(sequences: Iterable[Keys], width: int) -> Iterator[Keys]:
    yield from (s[:width] for s in sequences if s)


def _joined(*parts: Keys) -> Keys:
    """Join keys, using each column only once."""
    found: dict[str, Key] = {}
    for key in (k for part in parts for k in part):
        found.setdefault(key.text, key)
    return tuple(found.values())


def _orders(use: TableUse, asked: _Asked) -> list[Keys]:
    """Return what the table is sorted and grouped by; group keys with conditions come first."""
    found = [_sorted_keys(use.table, keys) for keys in use.sorts]
    grouped = [_sorted_keys(use.table, keys) for keys in use.grouped]
    wanted = {k.text for k in asked.all}
    found += [tuple(sorted(keys, key=lambda k: k.text not in wanted)) for keys in grouped]
    return [keys for keys in dict.fromkeys(found) if keys]


def _sorted_keys(table: CatalogTable, keys: Sequence[SortKey]) -> Keys:
    # an index can be read backward: reversing all directions gives the same order
    orders = {k.order for k in keys}
    plain = orders in ({""}, {"DESC"})
    made: list[Key] = []
    for key in keys:
        operand = key.operand
        order = "" if plain else key.order
        if operand.column is not None and operand.column in table.columns:
            if table.columns[operand.column].is_virtual:
                break
            made.append(Key.of(operand.column, order=order))
        elif operand.column is None and operand.columns <= table.columns.keys():
            made.append(Key(operand.text, None, order=order))
        else:
            break
    return tuple(made)


def _index(table: CatalogTable, keys: Keys, **more: object) -> Candidate:
    return Candidate(table.schema, table.name, keys, **more)  # type: ignore[arg-type]


def _covering(use: TableUse, catalog: Catalog, plain: Sequence[Candidate]) -> Iterator[Candidate]:
    """Yield plain candidates with the other columns that the query reads, if they are narrow."""
    table = use.table
    if use.is_target or catalog.rows(table) < 1:
        return
    row_bytes = catalog.pages(table) * 8192 / catalog.rows(table)
    for index in plain:
        keys = {k.column for k in index.keys}
        rest = tuple(sorted(use.needed - keys, key=lambda n: table.columns[n].number))
        if not rest or len(rest) > _MAX_COVERED or any(table.columns[n].is_virtual for n in rest):
            continue
        width = sum(table.columns[n].mean_width for n in {*rest, *(k for k in keys if k)})
        if width + 16 <= _COVER_SHARE * row_bytes:
            yield _index(table, index.keys, include=rest)


def _partial(
    table: CatalogTable, terms: Sequence[Term], plain: Sequence[Candidate], asked: _Asked
) -> Iterator[Candidate]:
    """Yield partial candidates, without the rows that a constant condition excludes."""
    for term in terms:
        if not _is_worth_a_predicate(table, term):
            continue
        others = [i for i in plain if term.operand.column not in i.columns][:_MAX_PERMUTED]
        yield from (_index(table, i.keys, predicate=term.text) for i in others)
        if not others and term.operand.column is not None:
            keys = asked.joined[:1] or [Key.of(term.operand.column)]
            yield _index(table, tuple(keys), predicate=term.text)


def _is_worth_a_predicate(table: CatalogTable, term: Term) -> bool:
    if not term.is_constant or "$" in term.text or not _may_be_indexed(term.operand):
        return False
    if any(word in term.text.lower() for word in _VOLATILE):
        return False
    column = table.columns.get(term.operand.column or "")
    if column is None or column.is_virtual:
        return False
    match term.kind:
        case Kind.IS_NULL:
            return 0 < column.null_fraction < _PARTIAL_SHARE
        case Kind.NOT_NULL:
            return column.null_fraction > 1 - _PARTIAL_SHARE
        case Kind.EQUAL | Kind.BOOLEAN:
            # with many values, each would need its own index
            return column.distinct <= 20
        case _:
            return False


def _other_methods(
    table: CatalogTable,
    catalog: Catalog,
    terms: Sequence[Term],
    asked: _Asked,
    options: CandidateOptions,
) -> Iterator[Candidate]:
    pages = catalog.pages(table)
    for key in (*asked.ranged, *asked.equal):
        column = table.columns.get(key.column) if key.column is not None else None
        if column is not None and pages >= _BRIN_PAGES and _is_correlated(column):
            yield _index(table, (Key.of(column.name),), method="brin")
    for term in terms:
        yield from _inverted(table, term, options)


def _is_correlated(column: CatalogColumn) -> bool:
    return math.fabs(column.correlation or 0.0) >= _BRIN_CORRELATION


def _inverted(table: CatalogTable, term: Term, options: CandidateOptions) -> Iterator[Candidate]:
    operand = term.operand
    column = table.columns.get(operand.column or "")
    if column is None:
        if term.kind is Kind.MATCH and _may_be_indexed(operand):
            yield _index(table, (Key(operand.text, None),), method="gin")
        return
    if term.kind in (Kind.CONTAINS, Kind.MATCH):
        if column.base_type in _GIN_TYPES or column.category == "A":
            yield _index(table, (Key.of(column.name),), method="gin")
            if column.base_type == "jsonb" and term.operator == "@>":
                yield _index(table, (Key.of(column.name, "jsonb_path_ops"),), method="gin")
        elif column.category in ("R", "G", "I"):
            yield _index(table, (Key.of(column.name),), method="gist")
    elif (
        term.kind is Kind.PATTERN
        and term.is_constant
        and column.base_type in _TRIGRAM_TYPES
        and options.trigram
    ):
        name = f"{ident(options.trigram)}.gin_trgm_ops"
        yield _index(table, (Key.of(column.name, name),), method="gin")
