"""The candidates of each query, built; and why there are none, or not for all of it."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from pgwatch_wed.whatif import usage
from pgwatch_wed.whatif.choose import candidates, existing, untried
from pgwatch_wed.whatif.choose.costs import Costs
from pgwatch_wed.whatif.choose.indexable import CandidateOptions
from pgwatch_wed.whatif.choose.time_left import TimeLeft
from pgwatch_wed.whatif.choose.untried import Untried
from pgwatch_wed.whatif.model import Candidate, Plan, Query

EXPLORE_SHARE = 0.6
_BUILT_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Suggested:
    """What was proposed for a query: the candidates that the server accepts, and what was left untried."""

    indexes: tuple[Candidate, ...]
    untried: Untried


def suggested(costs: Costs, max_width: int, left: TimeLeft) -> dict[str, Suggested]:
    """Return what is proposed for each query, as far as there is time to explore it."""
    oracle = costs.oracle
    allowed = CandidateOptions(max_width, oracle.is_c_collation, oracle.type_of, costs.changed)
    found: dict[str, Suggested] = {}
    with closing(oracle.bare(costs.queries)) as plans:
        for query, plan in plans:
            if left.until(EXPLORE_SHARE * 0.5) <= 0:
                break
            found[query.name] = _suggestion(costs, query, plan, allowed)
    return dict(_built(costs, found, left))


def _suggestion(costs: Costs, query: Query, plan: Plan, allowed: CandidateOptions) -> Suggested:
    catalog = costs.oracle.catalog
    uses = usage.uses(plan.tree, catalog)
    costs.pool.restrict(query, {(u.table.schema, u.table.name) for u in uses})
    found = dict.fromkeys(i for u in uses for i in candidates.candidates(u, catalog, allowed))
    covering = {i: existing.covering(catalog, i) for i in found}
    known = [e for e in covering.values() if e is not None]
    return Suggested(
        tuple(i for i, index in covering.items() if index is None),
        untried.untried(plan.tree, uses, catalog, known),
    )


def _built(
    costs: Costs, found: dict[str, Suggested], left: TimeLeft
) -> Iterator[tuple[str, Suggested]]:
    names = list(found)
    for start in range(0, len(names), _BUILT_AT_ONCE):
        if left.until(EXPLORE_SHARE * 0.75) <= 0:
            return  # no time would be left to explore
        some = names[start : start + _BUILT_AT_ONCE]
        costs.oracle.add(i for name in some for i in found[name].indexes)
        yield from ((name, _accepted(costs, found[name])) for name in some)


def _accepted(costs: Costs, one: Suggested) -> Suggested:
    refusals: Sequence[str | None] = [costs.oracle.refusal(i) for i in one.indexes]
    return Suggested(
        tuple(i for i, r in zip(one.indexes, refusals, strict=True) if r is None),
        replace(one.untried, refused=next((r for r in refusals if r is not None), "")),
    )
