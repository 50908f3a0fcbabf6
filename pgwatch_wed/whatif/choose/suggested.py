"""The candidates of each query, built; and why there are none, or not for all of it."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace

from pgwatch_wed.whatif import usage
from pgwatch_wed.whatif.choose import candidates, existing, hindrances, indexable, untried
from pgwatch_wed.whatif.choose.costs import Costs
from pgwatch_wed.whatif.choose.indexable import CandidateOptions
from pgwatch_wed.whatif.choose.time_left import EXPLORED
from pgwatch_wed.whatif.choose.untried import Untried
from pgwatch_wed.whatif.model import Candidate, Configuration, Plan, PlanError, Query
from pgwatch_wed.whatif.usage import TableUse


@dataclass(frozen=True, slots=True)
class Suggested:
    """The candidates for a query that the server accepts, and what was left untried.

    ``ordered`` are those of them that contain what the query sorts by.
    """

    indexes: tuple[Candidate, ...]
    untried: Untried
    ordered: Configuration = frozenset()


def suggested(
    costs: Costs,
    queries: Sequence[Query],
    max_width: int,
    varying: Mapping[str, frozenset[str]],
) -> dict[str, Suggested]:
    """Return what is suggested for queries, as far as there is time to build some of it.

    ``varying`` are by name constants of a query that no index may contain.
    """
    oracle = costs.oracle
    allowed = CandidateOptions(max_width, oracle.is_c_collation, oracle.type_of, costs.changed)
    found: dict[str, Suggested] = {}
    planned: list[Candidate] = []
    parts: dict[str, list[Query]] = {}
    for query in queries:
        parts.setdefault(query.whole.name, []).append(query)
    # made from the statement as it is: values of its parameters must not get into an index
    wholes = list(dict.fromkeys(q.whole for q in queries))
    # closed before anything is built: building waits for the session that it holds
    with closing(_without_indexes(costs, wholes)) as plans:
        for query, plan in plans:
            mine = replace(allowed, varying=varying.get(query.name, frozenset()))
            one = _suggestion(costs, query, plan, mine, parts[query.name])
            planned += one.indexes
            if found and costs.left.until(EXPLORED) <= costs.build_seconds(planned):
                break
            found |= {part.name: one for part in parts[query.name]}
    built = costs.build((i for one in found.values() for i in one.indexes), EXPLORED)
    return {
        name: _accepted(costs, one, built)
        for name, one in found.items()
        if not one.indexes or any(i in built or costs.oracle.refusal(i) for i in one.indexes)
    }


def _without_indexes(
    costs: Costs, queries: Sequence[Query]
) -> Generator[tuple[Query, Plan], None, None]:
    """Yield the plans without existing indexes; one that uses none of them is known already."""
    others = []
    for query in queries:
        with suppress(PlanError):  # HypoPG asks again, and may have to wait for a lock now
            plan = costs.oracle.plan(query)
            if plan.used_existing:
                others.append(query)
            else:
                yield query, plan
    if others:
        with closing(costs.oracle.bare(others, costs.left.patience)) as found:
            yield from found


def _suggestion(
    costs: Costs, query: Query, plan: Plan, allowed: CandidateOptions, parts: Sequence[Query]
) -> Suggested:
    catalog = costs.oracle.catalog
    uses = usage.uses(plan.tree, catalog)
    for part in parts:
        costs.pool.restrict(part, {(u.table.schema, u.table.name) for u in uses})
    found = dict.fromkeys(i for u in uses for i in candidates.candidates(u, catalog, allowed))
    covering = {i: existing.covering(catalog, i) for i in found}
    known = [e for e in covering.values() if e is not None]
    has_trigrams = any("trgm" in key.operator_class for i in found for key in i.keys)
    hindrance = hindrances.hindrances(
        query.sql, plan.tree, uses, catalog, has_trigrams=has_trigrams
    )
    new = tuple(i for i, index in covering.items() if index is None)
    return Suggested(
        new,
        untried.untried(
            plan.tree, uses, catalog, known, hindrance, hindrances.of_paging(query.sql)
        ),
        frozenset(i for i in new if any(_has_order(i, use) for use in uses)),
    )


def _has_order(index: Candidate, use: TableUse) -> bool:
    """Tell whether an index contains what rows of a table are sorted by."""
    if (index.schema, index.table) != (use.table.schema, use.table.name):
        return False
    keys = {k.text for k in index.keys}
    firsts = (indexable.of_operand(use.table, order[0].operand) for order in use.sorts)
    return any(key is not None and key.text in keys for key in firsts)


def _accepted(costs: Costs, one: Suggested, built: Configuration) -> Suggested:
    refusals = {i: costs.oracle.refusal(i) for i in one.indexes}
    tables = costs.oracle.catalog.by_name
    said = (
        hindrances.refused(i, tables.get((i.schema, i.table)), error)
        for i, error in refusals.items()
        if error is not None
    )
    return Suggested(
        tuple(i for i in one.indexes if i in built),
        replace(one.untried, refused=next(said, "")),
        one.ordered & built,
    )
