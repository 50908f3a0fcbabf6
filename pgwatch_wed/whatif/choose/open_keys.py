"""Keys of documents that a statement has as parameters: tried with the keys that statistics and indexes show.

``payload ->> $1 = $2`` is what pg_stat_statements keeps of ``payload ->> 'customer' = '7'``. Which key it was cannot be
known, so nothing is recommended; but what an index would gain with each key can be told.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from pgwatch_wed import units
from pgwatch_wed.quote import ident, literal
from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import walk
from pgwatch_wed.sqltext.repairs import with_values
from pgwatch_wed.whatif.choose.late import may_be_limit
from pgwatch_wed.whatif.choose.rows_found import rows_found
from pgwatch_wed.whatif.choose.untried import Opening
from pgwatch_wed.whatif.model import Candidate, Key, Plan, PlanError, Query
from pgwatch_wed.whatif.oracle import Oracle

_MOST_KEYS = 6
_MOST_TRIED = 12
_USEFUL = 0.9
_ALIKE = 2.5
_APART = 3.0
_FEW = 0.002
DocumentPath = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Tried:
    """A path with the existing index that serves it, or with the fraction of the cost that is left with a new one.

    ``rows`` are those that the statement then finds, if a number of rows is all that it is about; ``is_limited``: not all are returned.
    """

    path: DocumentPath
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
    tried = _tried(oracle, query, opening)[:_MOST_KEYS] if has_time else []
    said = [*_served(tried), *_gains(tried)]
    if tried and not said:
        known = ", ".join(each.key for each in tried)
        said.append(f"an index on none of its known keys ({known}) would help")
    advice = (
        "for advice, put the statement with its key into --workload DIR; a GIN index on"
        f" {ident(operand.document)} would serve any key, for conditions that are written with @>"
    )
    return "; ".join([head, *said, advice])


def inferred(oracle: Oracle, query: Query, opening: Opening) -> Query:
    """Return a query with the only key for which it would return as many rows as it does; itself if there is none.

    Another key must be much farther from what was counted. What may be the number of a LIMIT tells nothing then.
    """
    rows = query.rows
    if rows is None or not opening.operand.keys:
        return query
    most = oracle.catalog.rows(opening.table)
    tried = [t for t in _tried(oracle, query, opening) if t.rows is not None]
    if any(t.is_limited for t in tried) and may_be_limit(rows):
        return query
    distances = sorted((_ratio(t.rows or 0.0, rows, most), t.path) for t in tried)
    if not distances or distances[0][0] > _ALIKE:
        return query
    if len(distances) > 1 and distances[1][0] < _APART * distances[0][0]:
        return query
    path = distances[0][1]
    told_ = ", ".join(f"${n} is {v}" for n, v in sorted(_values(opening, path).items()))
    reason = f"it is assumed that {told_}: with another key, it would return more or fewer rows than were counted"
    both = "; ".join(filter(None, (query.assumed, reason)))
    return replace(query, sql=_given(query.sql, opening, path), assumed=both)


def _ratio(expected: float, counted: float, most: float) -> float:
    """Return by which factor rows differ; the hundred documents of statistics do not tell more than that there are few."""
    if max(expected, counted) <= _FEW * most:
        return 1.0
    return (max(expected, counted) + 0.5) / (min(expected, counted) + 0.5)


def _tried(oracle: Oracle, query: Query, opening: Opening) -> list[_Tried]:
    paths = _paths(oracle, opening)
    return [found for path in paths if (found := _try(oracle, query, opening, path)) is not None]


def _paths(oracle: Oracle, opening: Opening) -> tuple[DocumentPath, ...]:
    """Return the keys that indexes on the column name, then the paths of this length that statistics show."""
    operand = opening.operand
    named = (
        (key,)
        for index in oracle.catalog.indexes_of.get(opening.table.oid, ())
        for text in index.keys
        for key in terms.document_keys(text, operand.document)
    )
    is_plain = ">>" in operand.text
    shown = oracle.document_paths(opening.table, operand.document, plain=is_plain)
    length = len(operand.keys)
    return tuple(p for p in dict.fromkeys([*named, *shown]) if operand.is_path or len(p) == length)[
        :_MOST_TRIED
    ]


def _values(opening: Opening, path: DocumentPath) -> dict[int, str]:
    """Return the constants for the parameters of an opening, as the server prints them."""
    if opening.operand.is_path:
        return {opening.operand.keys[0]: f"{literal(_array(path))}::text[]"}
    keys = zip(opening.operand.keys, path, strict=True)
    return {number: f"{literal(key)}::text" for number, key in keys}


def _array(path: DocumentPath) -> str:
    quoted = (
        p if p.isidentifier() else '"' + p.replace("\\", "\\\\").replace('"', '\\"') + '"'
        for p in path
    )
    return "{" + ",".join(quoted) + "}"


def _given(text: str, opening: Opening, path: DocumentPath) -> str:
    values = _values(opening, path)
    return with_values(text, lambda number, _: values.get(number))


def _try(oracle: Oracle, query: Query, opening: Opening, path: DocumentPath) -> _Tried | None:
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
    return _Tried(path, index, left=left, rows=rows_found(after), is_limited=is_limited)


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
