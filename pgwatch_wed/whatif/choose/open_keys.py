"""Keys of documents that a statement has as parameters: tried with the keys that statistics and indexes show.

``payload ->> $1 = $2`` is what pg_stat_statements keeps of ``payload ->> 'customer' = '7'``. Which key it was cannot be
known, so nothing is recommended; but what an index would gain with each key can be told.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pgwatch_wed import units
from pgwatch_wed.quote import ident, literal
from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import walk
from pgwatch_wed.sqltext.repairs import with_values
from pgwatch_wed.sqltext.terms import OpenOperand
from pgwatch_wed.whatif.choose.late import may_be_limit
from pgwatch_wed.whatif.choose.rows_found import rows_found
from pgwatch_wed.whatif.choose.untried import Opening
from pgwatch_wed.whatif.model import Candidate, Key, Plan, PlanError, Query
from pgwatch_wed.whatif.oracle import DocumentPath, Oracle

_MOST_KEYS = 6
_MOST_TRIED = 12
_USEFUL = 0.9
_ALIKE = 2.5
_APART = 3.0
_FEW = 0.002
_NEARLY_ALL = 0.95
_UNSEEN = 0.02  # of the documents may be others though none of the hundred in statistics is
_RANGES = frozenset({"<", "<=", ">", ">="})
_OF_ARRAYS = frozenset({"?", "?|", "?&", "@>"})
_NUMBERS = frozenset({"number", "whole number"})
_CAST = re.compile(r"CAST\(.* AS (\w+)")
_KINDS = {
    **dict.fromkeys(("numeric", "float8", "float4", "double", "real"), _NUMBERS),
    **dict.fromkeys(("int", "integer", "bigint", "int4", "int8"), frozenset({"whole number"})),
    **dict.fromkeys(("date", "timestamp", "timestamptz", "uuid"), frozenset({"string"})),
    **dict.fromkeys(("bool", "boolean"), frozenset({"boolean"})),
}

KeyPath = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Tried:
    """A path with the existing index that serves it, or with the fraction of the cost that is left with a new one.

    ``rows`` are those that the statement then finds, if a number of rows is all that it is about; ``is_limited``: not all are returned.
    """

    path: KeyPath
    index: Candidate
    served_by: str = ""
    left: float = 1.0
    rows: float | None = None
    is_limited: bool = False

    @property
    def key(self) -> str:
        """The path in readable form."""
        return ".".join(self.path)


def told(oracle: Oracle, query: Query, opening: Opening, *, has_time: bool) -> str:
    """Say why no index was tried for an expression, and what one would gain with the keys that are known."""
    operand = opening.operand
    if not operand.keys:
        return f"{operand.text} contains a parameter, so that no index on it can be tried"
    head = f"which key {operand.text} reads is a parameter"
    paths = _paths(oracle, opening)[:_MOST_KEYS] if has_time else ()
    tried = _tried(oracle, query, opening, paths)
    said = [*_served(tried), *_gains(tried)]
    if tried and not said:
        known = ", ".join(each.key for each in tried)
        said.append(f"an index on none of its known keys ({known}) would help")
    advice = (
        "for advice, put the statement with its key into --workload DIR; a GIN index on"
        f" {ident(operand.document)} would serve any key, for conditions that are written with @>"
    )
    return "; ".join([head, *said, advice])


def inferred(oracle: Oracle, query: Query, opening: Opening) -> tuple[Query, ...]:
    """Return a query with the only key whose values are of the kind that is compared, or for which it would return as many rows as it does.

    Two of half the calls each if two keys would; itself if there are none, or more. Another key must be much farther from what was
    counted. What may be the number of a LIMIT tells nothing then. A query that asks for a rare value of a key is a part of the one with the key.
    """
    rows = query.rows
    if rows is None or not opening.operand.keys:
        return (query,)
    paths = _paths(oracle, opening)
    of_kind = [p.names for p in paths if p.kind in _kinds(opening.operand)]
    if len(of_kind) == 1:
        why = "no other key that most documents have leads to such values"
        return (_assumed(query, opening, of_kind[0], why),)
    tried = [t for t in _tried(oracle, query, opening, paths) if t.rows is not None]
    if any(t.is_limited for t in tried) and may_be_limit(rows):
        return (query,)
    most = oracle.catalog.rows(opening.table)
    fitting, rare = _fitting(opening, paths, tried, rows, most)
    found = (*fitting, *rare)
    if len(found) == 1:
        one, why = query, "with another key, it would return more or fewer rows than were counted"
    elif len(found) == 2:
        first, other = sorted(map(".".join, found))
        one = _half(query)
        why = f"with {first} and with {other}, it would return as many rows as were counted, so each is assumed for half of the calls"
    else:
        return (query,)
    assumed = {path: _assumed(_called(one, query, path), opening, path, why) for path in found}
    return tuple(_rare(each, opening) if path in rare else each for path, each in assumed.items())


def _fitting(
    opening: Opening,
    paths: Sequence[DocumentPath],
    tried: Sequence[_Tried],
    rows: float,
    most: float,
) -> tuple[list[KeyPath], list[KeyPath]]:
    """Return the keys with which a statement would return as many rows as were counted: with an average value, and with a rare one.

    A rare value is that of a key of which nearly all documents have the same one; it is not thought of if an average value of another key is exact.
    """
    distances = sorted((_ratio(t.rows or 0.0, rows, most), t.path) for t in tried)
    alike: list[KeyPath] = []
    if distances and distances[0][0] <= _ALIKE:
        alike = [path for distance, path in distances if distance < _APART * distances[0][0]]
    rare: list[KeyPath] = []
    is_exact = any(_apart(t.rows or 0.0, rows) <= _ALIKE for t in tried if t.path in alike)
    if opening.operand.operator == "=" and opening.operand.value and not is_exact:
        rare = [p.names for p in paths if _has_rare(p, rows / max(most, 1.0))]
        alike = [path for path in alike if path not in rare]
    if len(alike) + len(rare) > 1 and not _kinds(opening.operand):
        # what is compared as it is, is more likely to be text than a number
        kinds = {p.names: p.kind for p in paths}
        alike = [path for path in alike if kinds[path] not in ("number", "boolean")]
    return alike, rare


def _has_rare(path: DocumentPath, share: float) -> bool:
    """Tell whether nearly all documents have the same value, and the others may be as few as a share of all."""
    return path.common_share >= _NEARLY_ALL and share <= 1 - path.common_share + _UNSEEN


def _half(query: Query) -> Query:
    return replace(
        query,
        weight=query.weight / 2,
        calls=None if query.calls is None else query.calls / 2,
        total_ms=None if query.total_ms is None else query.total_ms / 2,
    )


def _called(one: Query, query: Query, path: KeyPath) -> Query:
    """Return one of two queries with a name that tells its key."""
    return one if one is query else replace(one, name=f"{query.name} {'.'.join(path)}")


def _rare(query: Query, opening: Opening) -> Query:
    """Return the part of a query that compares a value which no statistics show."""
    number = opening.operand.value
    text = with_values(query.sql, lambda n, _: literal("") if n == number else None)
    return replace(query, name=f"{query.name} #1", sql=text, of=query)


def _assumed(query: Query, opening: Opening, path: KeyPath, why: str) -> Query:
    values = _values(opening, path)
    if opening.operand.operator in _RANGES:
        # what a range is ordered by is usually the same
        for document, keys in terms.ordered_keys(query.sql):
            if document == opening.operand.document and len(keys) == len(opening.operand.keys):
                values |= dict(zip(keys, _values(opening, path).values(), strict=True))
    told_ = ", ".join(f"${n} is {v}" for n, v in sorted(values.items()))
    both = "; ".join(filter(None, (query.assumed, f"it is assumed that {told_}: {why}")))
    text = with_values(query.sql, lambda number, _: values.get(number))
    return replace(query, sql=text, assumed=both)


def _kinds(operand: OpenOperand) -> frozenset[str]:
    """Return of what kind the values are that an operand compares, as far as that is known."""
    if ">>" not in operand.text:
        return frozenset({"array"} if operand.operator in _OF_ARRAYS else ())
    cast = _CAST.match(operand.text)
    return _KINDS.get(cast[1].lower(), frozenset()) if cast else frozenset()


def _ratio(expected: float, counted: float, most: float) -> float:
    """Return by which factor rows differ; the hundred documents of statistics do not tell more than that there are few."""
    return 1.0 if max(expected, counted) <= _FEW * most else _apart(expected, counted)


def _apart(expected: float, counted: float) -> float:
    return (max(expected, counted) + 0.5) / (min(expected, counted) + 0.5)


def _tried(
    oracle: Oracle, query: Query, opening: Opening, paths: Iterable[DocumentPath]
) -> list[_Tried]:
    tried = (_try(oracle, query, opening, path.names) for path in paths)
    return [found for found in tried if found is not None]


def _paths(oracle: Oracle, opening: Opening) -> tuple[DocumentPath, ...]:
    """Return the keys that indexes on the column name, then the paths of this length that statistics show, to values of the kind that is compared."""
    operand = opening.operand
    shown = {p.names: p for p in oracle.document_paths(opening.table, operand.document)}
    named = [
        shown.get((key,), DocumentPath((key,)))
        for index in oracle.catalog.indexes_of.get(opening.table.oid, ())
        for text in index.keys
        for key in terms.document_keys(text, operand.document)
    ]
    is_plain, length = ">>" in operand.text, len(operand.keys)
    fitting = [p for p in shown.values() if not is_plain or p.kind != "array"]
    if operand.is_path:
        fitting = [p for p in fitting if len(p.names) > 1] or fitting
    else:
        named, fitting = ([p for p in some if len(p.names) == length] for some in (named, fitting))
    fitting = [p for p in fitting if p.kind in _kinds(operand)] or fitting
    return tuple(dict.fromkeys([*named, *fitting]))[:_MOST_TRIED]


def _values(opening: Opening, path: KeyPath) -> dict[int, str]:
    """Return the constants for the parameters of an opening, as the server prints them."""
    if opening.operand.is_path:
        return {opening.operand.keys[0]: f"{literal(_array(path))}::text[]"}
    keys = zip(opening.operand.keys, path, strict=True)
    return {number: f"{literal(key)}::text" for number, key in keys}


def _array(path: KeyPath) -> str:
    quoted = (
        p if p.isidentifier() else '"' + p.replace("\\", "\\\\").replace('"', '\\"') + '"'
        for p in path
    )
    return "{" + ",".join(quoted) + "}"


def _given(text: str, opening: Opening, path: KeyPath) -> str:
    values = _values(opening, path)
    return with_values(text, lambda number, _: values.get(number))


def _try(oracle: Oracle, query: Query, opening: Opening, path: KeyPath) -> _Tried | None:
    """Plan a query with a path, with and without an index on what it then reads."""
    operand = opening.operand
    key = Key(_given(operand.text, opening, path), None)
    index = Candidate(opening.table.schema, opening.table.name, (key,))
    with_key = replace(
        query, name=f"{query.name} {'.'.join(path)}", sql=_given(query.sql, opening, path)
    )
    try:
        before = oracle.plan(with_key)
        if name := _serving(oracle, before, operand.document, path[-1]):
            return _Tried(path, index, served_by=name)
        oracle.add([index])
        if oracle.refusal(index) is not None:
            return None
        after = oracle.plan(with_key, [index])
    except PlanError:
        return None
    is_limited = any(n["Node Type"] == "Limit" for n in walk(after.tree))
    left = after.cost / max(before.cost, 0.01)
    return _Tried(path, index, left=left, rows=rows_found(after.tree), is_limited=is_limited)


def _serving(oracle: Oracle, plan: Plan, document: str, key: str) -> str:
    """Return the name of the existing index on a key that a plan uses, if there is one."""
    used = (oracle.catalog.indexes[oid] for oid in plan.used_existing)
    keys = ((i.name, terms.document_keys(text, document)) for i in used for text in i.keys)
    return next((name for name, found in keys if key in found), "")


def _served(tried: Iterable[_Tried]) -> Iterator[str]:
    for each in tried:
        if each.served_by:
            yield f"with the key {each.key}, the index {each.served_by} serves it"


def _gains(tried: Iterable[_Tried]) -> Iterator[str]:
    for each in tried:
        if not each.served_by and each.left <= _USEFUL:
            saved = units.share(1 - each.left)
            yield f"with the key {each.key}, an index on ({each.index.keys[0].sql}) would save {saved} of its cost"
