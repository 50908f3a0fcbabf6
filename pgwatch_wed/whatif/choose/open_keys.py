"""Keys of documents that a statement has as parameters: tried with the keys that statistics and indexes show.

``payload ->> $1 = $2`` is what pg_stat_statements keeps of ``payload ->> 'customer' = '7'``. Which key it was cannot be
known, so nothing is recommended; but what an index would gain with each key can be told.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from pgwatch_wed import units
from pgwatch_wed.quote import literal
from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.repairs import with_values
from pgwatch_wed.whatif.choose.untried import Opening
from pgwatch_wed.whatif.model import Candidate, Key, Plan, PlanError, Query
from pgwatch_wed.whatif.oracle import Oracle

_MOST_KEYS = 6
_USEFUL = 0.9


@dataclass(frozen=True, slots=True)
class _Tried:
    """A key with the existing index that serves it, or with the fraction of the cost that is left with a new one."""

    key: str
    index: Candidate
    served_by: str = ""
    left: float = 1.0


def told(oracle: Oracle, query: Query, opening: Opening, *, has_time: bool) -> str:
    """Say why no index was tried for an expression, and what one would gain with the keys that are known."""
    operand = opening.operand
    if operand.key is None:
        return f"{operand.text} contains a parameter, so that no index on it can be tried"
    head = f"which key {operand.text} reads is a parameter"
    keys = _keys(oracle, opening) if has_time else ()
    tried = [found for key in keys if (found := _try(oracle, query, opening, key)) is not None]
    said = [*_served(tried), *_gains(tried)]
    if tried and not said:
        said.append(f"an index on none of its known keys ({', '.join(keys)}) would help")
    advice = "for advice, put the statement with its key into --workload DIR"
    return "; ".join([head, *said, advice])


def _keys(oracle: Oracle, opening: Opening) -> tuple[str, ...]:
    """Return the keys that indexes on the column name, then those that statistics show."""
    named = (
        key
        for index in oracle.catalog.indexes_of.get(opening.table.oid, ())
        for text in index.keys
        for key in terms.document_keys(text, opening.operand.document)
    )
    shown = oracle.document_keys(opening.table, opening.operand.document)
    return tuple(dict.fromkeys([*named, *shown]))[:_MOST_KEYS]


def _try(oracle: Oracle, query: Query, opening: Opening, key: str) -> _Tried | None:
    """Plan a query with a key, with and without an index on what it then reads."""
    operand, value = opening.operand, f"{literal(key)}::text"  # as the server prints it

    def given(text: str) -> str:
        return with_values(text, lambda number, _: value if number == operand.key else None)

    index = Candidate(opening.table.schema, opening.table.name, (Key(given(operand.text), None),))
    with_key = replace(query, name=f"{query.name} {key}", sql=given(query.sql))
    try:
        before = oracle.plan(with_key)
        if name := _serving(oracle, before, operand.document, key):
            return _Tried(key, index, served_by=name)
        oracle.add([index])
        if oracle.refusal(index) is not None:
            return None
        after = oracle.plan(with_key, [index])
    except PlanError:
        return None
    return _Tried(key, index, left=after.cost / max(before.cost, 0.01))


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
