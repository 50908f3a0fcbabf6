"""What the server's own planner estimates for statements, compared with the lab.

Nothing is executed, and a statement is planned only where planning runs no user-defined code and waits for no lock:
:mod:`pgwatch_wed.target.plans`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pgwatch_wed import units
from pgwatch_wed.errors import Error
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.target import plans
from pgwatch_wed.whatif.choose.answer import Advice, IndexAdvice
from pgwatch_wed.whatif.model import PlanError, Query
from pgwatch_wed.whatif.oracle import Oracle

_FAR = 2.0  # times
_SMALL = 10.0  # costs below this are alike
_MOST = 100
_LEAST_SECONDS = 1.0
_MOST_SECONDS = 10.0
_FORBIDDEN = 1e9  # what a setting forbids costs more before PostgreSQL 18


@dataclass(frozen=True, slots=True)
class Difference:
    """A statement that the lab estimates otherwise than the server."""

    query: str
    lab: float
    server: float

    @property
    def text(self) -> str:
        """What differs, for a reader of advice."""
        return (
            f"the server estimates the cost of {self.query} at {self.server:,.0f}, the lab at {self.lab:,.0f},"
            " both without new indexes"
        )


def differences(
    conninfo: str, here: Snapshot, oracle: Oracle, queries: Sequence[Query], seconds: float
) -> list[Difference]:
    """Compare the costs of the first queries without new indexes; those that the server may not plan or that contain assumed values are left out.

    It takes no longer than ``seconds``, but for one if there are fewer.
    """
    limit = min(max(seconds, _LEAST_SECONDS), _MOST_SECONDS)
    # what was assumed comes from statistics: the server's log is no place for it
    asked = [q for q in queries if not (q.assumed or q.cause)][:_MOST]
    texts = [plans.Asked(q.sql, q.user) for q in asked]
    try:
        there = plans.costs(conninfo, here, texts, limit)
    except Error:
        return []
    pairs = zip(asked, there, strict=True)
    return [d for q, cost in pairs if cost is not None for d in _difference(oracle, q, cost)]


def _difference(oracle: Oracle, query: Query, server: float) -> Iterator[Difference]:
    try:
        lab = oracle.plan(query).cost
    except PlanError:
        return
    low, high = sorted((max(lab, _SMALL), max(server, _SMALL)))
    if high > _FAR * low and high < _FORBIDDEN:
        yield Difference(query.name, lab, server)


def told(advice: Advice, found: Iterable[Difference]) -> Advice:
    """Return advice that says where the server and the lab differ: indexes for such statements are in doubt."""
    by_name = {each.query: each for each in found}
    if not by_name:
        return advice
    indexes = tuple(_doubted(one, by_name) for one in advice.indexes)
    without = [each for name, each in by_name.items() if not _serves(indexes, name)]
    notes = [_note(without)] if without else []
    return replace(advice, indexes=indexes, notes=(*advice.notes, *notes))


def _doubted(one: IndexAdvice, by_name: Mapping[str, Difference]) -> IndexAdvice:
    texts = [by_name[name].text for name in one.queries if name in by_name]
    return replace(one, doubts=(*one.doubts, *texts)) if texts else one


def _serves(indexes: Iterable[IndexAdvice], name: str) -> bool:
    return any(name in one.queries for one in indexes)


def _note(without: Sequence[Difference]) -> str:
    number = units.count(len(without), "statement")
    return (
        f"{number} without a recommended index: the estimates of the server and the lab differ by more than a factor of"
        f" {_FAR:.0f}, so an index may be missing. For example, {without[0].text}."
    )
