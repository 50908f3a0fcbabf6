"""Indexes that might help a query, from how its plan uses each table."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import permutations

from pgwatch_wed.sqltext import forms
from pgwatch_wed.sqltext.terms import (
    EQUAL,
    Conjunction,
    Kind,
    SortKey,
    Term,
    constants,
    holds_value,
)
from pgwatch_wed.whatif.catalog import Catalog, CatalogTable
from pgwatch_wed.whatif.choose import computed, indexable, methods
from pgwatch_wed.whatif.choose.indexable import CandidateOptions
from pgwatch_wed.whatif.model import Candidate, Key
from pgwatch_wed.whatif.usage import TableUse

MIN_PAGES = 10
"""A smaller table is read faster than an index."""
_MAX_COVERED = 8
_MAX_PERMUTED = 7
_COVER_SHARE = 0.6
# A predicate that excludes less than this share of the rows is not worth that other statements cannot use the index.
_EXCLUDED = 0.05
_MAX_PARTIAL = 8
_ORDERED_FROM = 3
_WIDER = 2
_HASHED = frozenset({Kind.EQUAL, Kind.IN})
_RANGED = frozenset({Kind.RANGE, Kind.PREFIX})

Keys = tuple[Key, ...]


@dataclass(slots=True)
class _Asked:
    """Keys of a conjunction, by kind of condition; the most selective first.

    ``has_value``: a column must be equal to one value, so that an index that begins with it can be in any order after it.
    ``single`` are the equal ones that must have one value each, and not one of a list, which would break that order.
    """

    equal: list[Key] = field(default_factory=list)
    single: list[Key] = field(default_factory=list)
    joined: list[Key] = field(default_factory=list)
    ranged: list[Key] = field(default_factory=list)
    join_sets: list[Keys] = field(default_factory=list)
    has_value: bool = False

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
        plain = [indexable.index(table, keys) for keys in sequences]
        found |= dict.fromkeys(plain)
        found |= dict.fromkeys(_covering(use, catalog, plain))
        found |= dict.fromkeys(_partial(use, catalog, terms, options))
        found |= dict.fromkeys(methods.candidates(use, catalog, terms, options))
    return [
        i for i in found if not _is_too_wide(use, catalog, i) and not _serves_one_call(i, options)
    ]


def _serves_one_call(index: Candidate, options: CandidateOptions) -> bool:
    """Tell whether an expression of the key compares with a value that other texts of the statement do not have."""
    compared = (k.text for k in index.keys if k.column is None and holds_value(k.text))
    return any(not constants(text).isdisjoint(options.varying) for text in compared)


def _is_too_wide(use: TableUse, catalog: Catalog, index: Candidate) -> bool:
    """Tell whether a B-tree would contain values of more than a third of a page, so that it could not be built.

    Where that is only possible, it is for those that a hash index serves, and those that it need not contain.
    """
    if index.method != "btree":
        return False
    wide = {n for n in use.table.columns if indexable.may_be_wide(catalog, use.table, n)}
    certain = {n for n in wide if not use.table.columns[n].has_values}
    equal = {t.operand.column for g in use.groups for t in use.mine(g) if t.kind in _HASHED}
    names = {k.column for k in index.keys}
    return not wide.isdisjoint(index.include) or bool(names & (certain | wide & equal))


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
        key = indexable.of_term(table, term, options)
        if key is None:
            continue
        if term.kind in EQUAL and term.is_constant:
            asked.equal.append(key)
            if term.kind is not Kind.IN:
                asked.single.append(key)
            asked.has_value |= term.kind is Kind.EQUAL
        elif term.kind is Kind.EQUAL and term.other is not None:
            asked.joined.append(key)
            sets.setdefault(term.other.alias, []).append(key)
        elif term.is_constant and (
            term.kind in _RANGED or indexable.is_network(table, term, options)
        ):
            asked.ranged.append(key)
    asked.equal = _by_distinct(table, asked.equal)
    asked.single = _by_distinct(table, asked.single)
    asked.joined = _by_distinct(table, asked.joined)
    asked.ranged = _by_distinct(table, asked.ranged)
    asked.join_sets = [tuple(dict.fromkeys(s)) for s in sets.values() if len(set(s)) > 1]
    return asked


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
        yield from _cut([_joined(equal, order), _joined(equal[:1], order)], width)
        yield from _ordered(equal, order, width)
        yield from _beside_lists(asked, order, width)
        yield from _cut([_joined(head, equal, order) for head in heads[1:]], width)
    for order in _alone(orders, asked):
        yield from _cut([order, *(_joined(order, (last,)) for last in asked.ranged)], width)
    for order in orders:
        yield from _cut(_filtered_after(order, asked), width)


def _ordered(equal: Keys, order: Keys, width: int) -> Iterator[Keys]:
    """Yield as many equal columns as leave room for an order, and all of them with it, for which more keys are allowed.

    If a column is left out, the server may sort what the others select, however much that is.
    """
    yield _joined(equal[: max(0, width - len(order))], order)[:width]
    if width >= _ORDERED_FROM:
        yield _joined(equal, order)[: width + _WIDER]


def _beside_lists(asked: _Asked, order: Keys, width: int) -> Iterator[Keys]:
    """Yield columns that have one value each before an order, which a list among them would break; it may be checked after that."""
    if width >= _ORDERED_FROM and asked.single != asked.equal:
        single = tuple(asked.single)
        yield _joined(single, order)[: width + _WIDER]
        yield _joined(single, order, tuple(asked.equal))[: width + _WIDER]


def _filtered_after(order: Keys, asked: _Asked) -> Iterator[Keys]:
    """Yield keys in an order, then columns of conditions, which are then checked without reading the table's rows.

    Where those that match come late in the order, only the index is read until they come.
    """
    equal = tuple(asked.equal)
    rest = (*equal[1:], *asked.ranged)
    if rest:
        yield _joined(equal[:1], order, rest)
        yield from (_joined(equal[:1], order, (key,)) for key in rest[1:])


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
        found = None if key.distance else indexable.of_operand(table, key.operand)
        if found is None:
            break
        made.append(Key(found.text, found.column, order="" if plain else key.order))
    return tuple(made)


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
            yield indexable.index(table, index.keys, include=rest)


def _partial(
    use: TableUse, catalog: Catalog, terms: Sequence[Term], options: CandidateOptions
) -> Iterator[Candidate]:
    """Yield partial candidates, without the rows that constant conditions exclude: each of them, and all together."""
    table = use.table
    worth = [t for t in terms if _is_worth_a_predicate(catalog, table, t, options)]
    sets: list[tuple[Term, ...]] = [(term,) for term in worth]
    sets += [tuple(worth)] if len(worth) > 1 else []
    for chosen in sets:
        rest = [t for t in terms if t not in chosen]
        asked = _asked(table, rest, options)
        excluded = {t.operand.column for t in chosen}
        orders = _orders(use, asked)
        sequences = dict.fromkeys(_strongest(asked, orders, options.max_width))
        predicate = " AND ".join(t.text for t in chosen)
        for keys in list(sequences)[:_MAX_PARTIAL]:
            if excluded.isdisjoint(k.column for k in keys):
                yield indexable.index(table, keys, predicate=predicate)
        if not sequences and (column := chosen[0].operand.column) is not None:
            yield indexable.index(table, (Key.of(column),), predicate=predicate)


def _strongest(asked: _Asked, orders: Sequence[Keys], width: int) -> Iterator[Keys]:
    """Yield the sequences of keys that serve most of what is asked, then single keys."""
    equal = tuple(asked.equal)
    heads: list[Keys] = [(), *asked.join_sets, *((j,) for j in asked.joined)]
    for head in heads:
        yield from _cut([_joined(head, equal, order) for order in orders], width)
        yield from _cut([_joined(head, equal, (last,)) for last in asked.ranged], width)
        yield from _cut([_joined(head, equal)], width)
    for order in orders:
        yield from _ordered(equal, order, width)
        yield from _beside_lists(asked, order, width)
        yield from _cut(_filtered_after(order, asked), width)
    yield from _cut(_alone(orders, asked), width)
    yield from ((key,) for key in asked.all)


def _alone(orders: Sequence[Keys], asked: _Asked) -> Sequence[Keys]:
    """Return the orders that may be the whole key, none if a value is given.

    In that order, rows of the value come with luck soon, or last. Those of an index that begins with the value come at once.
    """
    return () if asked.has_value else orders


def _is_worth_a_predicate(
    catalog: Catalog, table: CatalogTable, term: Term, options: CandidateOptions
) -> bool:
    if not term.is_constant or "$" in term.text or forms.changes_by_call(term.text):
        return False
    if not constants(term.text).isdisjoint(options.varying):
        return False
    column = table.columns.get(term.operand.column or "")
    if column is None or column.is_virtual:
        return computed.masks_few(catalog, table, term, 1 - _EXCLUDED)
    match term.kind:
        case Kind.IS_NULL:
            return 0 < column.null_fraction < 1 - _EXCLUDED
        case Kind.NOT_NULL:
            return column.null_fraction > _EXCLUDED
        case Kind.EQUAL | Kind.IN | Kind.BOOLEAN | Kind.DIFFERENT:
            return indexable.is_state(catalog, table, term)
        case Kind.RANGE:  # all states before or after one, in the order of their type
            return column.category == "E" and indexable.is_state(catalog, table, term)
        case _:
            return False
