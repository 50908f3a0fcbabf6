"""A target and a workload → the best set of indexes within a budget, with reasons."""

import time
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import closing, suppress
from dataclasses import dataclass, replace

from pgwatch_wed import units
from pgwatch_wed.progress import Progress, silent
from pgwatch_wed.quote import ident
from pgwatch_wed.remedies.script import Script
from pgwatch_wed.whatif import usage
from pgwatch_wed.whatif.choose import candidates, existing, naming, open_keys, untried, writes
from pgwatch_wed.whatif.choose.candidates import CandidateOptions
from pgwatch_wed.whatif.choose.explore import explore
from pgwatch_wed.whatif.choose.measured import with_measured_rows
from pgwatch_wed.whatif.choose.pool import Pool
from pgwatch_wed.whatif.choose.risk import Judge
from pgwatch_wed.whatif.choose.search import Problem, Search
from pgwatch_wed.whatif.choose.untried import Opening, Untried
from pgwatch_wed.whatif.model import Candidate, Configuration, Plan, PlanError, Query, Rejected
from pgwatch_wed.whatif.oracle import Oracle
from pgwatch_wed.whatif.proof.truth import Verified
from pgwatch_wed.whatif.workload import Workload

_EXPLORE_SHARE = 0.6
_SEARCH_SHARE = 0.9
_MIN_GAIN = 0.0005
_USEFUL = 0.995
_BUDGET_SHARE = 0.25
_CALLS_A_QUERY = 34
_ROUNDS = 20
_POLISHED = 3
_SLOW = 1.0  # seconds of planning
_JOINT = 0.5
# What the planner does not charge for, and no index saves: each row is sent to the client, or changed.
_PER_ROW = 0.1
_BUILT_AT_ONCE = 20
_WIDENING_ROUNDS = 3
_MISSED = 20
_MOST_OPENINGS = 10
_LATE = "out of time before it was considered; increase --seconds"


@dataclass(frozen=True, slots=True)
class AdviceOptions:
    """The user's options. ``budget_bytes`` None means a quarter of the tables' size.

    ``tries_keys``: keys of documents that are parameters are tried, for the reasons why queries have no index.
    """

    budget_bytes: int | None = None
    max_width: int = 3
    seconds: float = 60.0
    guard: bool = True
    tries_keys: bool = True


@dataclass(frozen=True, slots=True)
class QueryGain:
    """A query's weighted cost without and with the recommended set, and the indexes it then uses.

    ``calls``, and the time (ms) and blocks of a call, are measured values if the workload has them.
    """

    name: str
    query_id: int | None
    cost_before: float
    cost_after: float
    weight: float
    indexes: tuple[str, ...]
    calls: float | None = None
    call_ms: float | None = None
    call_blocks: float | None = None


@dataclass(frozen=True, slots=True)
class IndexAdvice:
    """A recommended index. Costs are the workload's present one, and that without this index's part of the gain.

    What a query saves through several indexes is divided among them, so that the gains of a set add up:
    ``saved`` is this index's part for each of ``queries``. ``is_joint`` tells that most of it is lost if
    only this index is built. ``doubts`` say why the target may plan otherwise.
    ``script`` builds it on the target, ``run_as`` says who may if our role may not, and ``drops`` remove what it
    makes redundant: :mod:`engines` adds them, since they depend on what exists on the target but not in the lab.
    """

    index: Candidate
    name: str
    ddl: str
    size_bytes: int
    cost_without: float
    cost_with: float
    write_cost: float
    queries: tuple[str, ...]
    query_ids: tuple[int, ...]
    makes_redundant: tuple[str, ...]
    caveats: tuple[str, ...]
    doubts: tuple[str, ...] = ()
    saved: tuple[float, ...] = ()
    is_joint: bool = False
    script: Script | None = None
    run_as: str = ""
    drops: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Advice:
    """The set, what it changes, and why the other queries do not benefit."""

    indexes: tuple[IndexAdvice, ...]
    cost_before: float
    cost_after: float
    bytes: int
    budget_bytes: int
    whatif_calls: int
    seconds: float
    per_query: tuple[QueryGain, ...]
    rejected: tuple[Rejected, ...]
    engine: str
    unit: str
    notes: tuple[str, ...] = ()
    hidden_statements: int = 0
    verified: Verified | None = None
    is_default_budget: bool = False


class Advisor:
    """One run with one oracle. Use :func:`advise`."""

    def __init__(
        self,
        oracle: Oracle,
        workload: Workload,
        options: AdviceOptions,
        progress: Progress,
        taken: Mapping[str, Set[str]] | None = None,
    ) -> None:
        self._oracle = oracle
        self._workload = workload
        self._options = options
        self._progress = progress
        self._taken = taken or {}
        self._began = time.monotonic()
        self._judge = Judge(oracle.catalog, is_on=options.guard)
        self._pool = Pool(self._plan, self._judge)
        self._rejected: dict[str, str] = {}
        self._base: dict[str, float] = {}
        self._queries: list[Query] = []
        self._writes: dict[str, list[writes.Write]] = {}
        self._candidates: dict[str, list[Candidate]] = {}
        self._untried: dict[str, Untried] = {}
        self._told_openings: dict[tuple[str, Opening], str] = {}
        self._explored: set[str] = set()
        self._plan_seconds: dict[str, float] = {}
        pages = sum(t.pages for t in oracle.catalog.tables.values())
        asked = options.budget_bytes
        self._budget = int(pages * 8192 * _BUDGET_SHARE) if asked is None else asked

    def run(self) -> Advice:
        """Run until done or out of time, and return the best set found."""
        self._progress("planning the workload", 0.1)
        self._queries = [q for each in self._workload.queries if (q := self._begin(each))]
        self._queries.sort(key=lambda q: -q.weight * self._base[q.name])
        self._progress("generating candidates", 0.2)
        self._make_candidates()
        found = self._explore()
        self._share(found)
        chosen = self._search()
        self._progress("done", 1.0)
        return self._advice(chosen)

    def told(self, indexes: Iterable[Candidate]) -> Advice:
        """Return the advice with only some of the indexes, after :meth:`run`."""
        self._began = time.monotonic()  # this is not part of the search: it has its own time
        return self._advice(frozenset(indexes))

    @property
    def queries(self) -> Sequence[Query]:
        """The queries that could be planned, with their weights."""
        return self._queries

    # The workload

    def _begin(self, query: Query) -> Query | None:
        """Plan a query without changes; weight a measured one so that cost equals time, without that of its rows."""
        if self._left(_EXPLORE_SHARE) <= 0 and self._base:
            self._rejected[query.name] = _LATE
            return None
        began = time.monotonic()
        try:
            plan = self._plan(query)
        except PlanError as error:
            self._rejected[query.name] = f"it cannot be planned: {error}"
            return None
        self._plan_seconds[query.name] = time.monotonic() - began
        self._judge.begin(query, plan)
        self._base[query.name] = plan.cost
        changes = writes.writes(query, plan.tree, self._oracle.catalog)
        if changes:
            self._writes[query.name] = changes
        weight = query.weight
        if query.total_ms is not None:
            weight = query.total_ms / max(plan.cost + _PER_ROW * (query.rows or 0.0), 0.01)
        query = replace(query, weight=weight)
        self._pool.put(query, frozenset(), plan)
        return query

    def _plan(self, query: Query, indexes: Configuration = frozenset()) -> Plan:
        return with_measured_rows(self._oracle.plan(query, indexes), query, self._oracle.catalog)

    def _make_candidates(self) -> None:
        allowed = CandidateOptions(
            self._options.max_width, self._oracle.is_c_collation, trigram=self._oracle.trigram
        )
        with closing(self._oracle.bare(self._queries)) as plans:
            for query, plan in plans:
                if self._left(_EXPLORE_SHARE * 0.5) <= 0:
                    break
                self._candidates[query.name] = self._candidates_of(query, plan, allowed)
        names = list(self._candidates)
        for start in range(0, len(names), _BUILT_AT_ONCE):
            self._build(names[start : start + _BUILT_AT_ONCE])

    def _build(self, names: Sequence[str]) -> None:
        """Build the candidates of some queries; none if no time would be left to explore."""
        if self._left(_EXPLORE_SHARE * 0.75) <= 0:
            for name in names:
                del self._candidates[name]
            return
        self._oracle.add(i for name in names for i in self._candidates[name])
        for name in names:
            refusals = {i: self._oracle.refusal(i) for i in self._candidates[name]}
            self._candidates[name] = [i for i, refused in refusals.items() if refused is None]
            refused = next((r for r in refusals.values() if r is not None), "")
            self._untried[name] = replace(self._untried[name], refused=refused)

    def _candidates_of(
        self, query: Query, plan: Plan, allowed: CandidateOptions
    ) -> list[Candidate]:
        catalog = self._oracle.catalog
        uses = usage.uses(plan.tree, catalog)
        self._pool.restrict(query, {(u.table.schema, u.table.name) for u in uses})
        found = dict.fromkeys(i for u in uses for i in candidates.candidates(u, catalog, allowed))
        covering = {i: existing.covering(catalog, i) for i in found}
        known = [e for e in covering.values() if e is not None]
        self._untried[query.name] = untried.untried(plan.tree, uses, catalog, known)
        return [i for i, index in covering.items() if index is None]

    # Filling the pool

    def _explore(self) -> Configuration:
        found: set[Candidate] = set()
        total = sum(q.weight * self._base[q.name] for q in self._queries) or 1.0
        for number, query in enumerate(self._queries):
            if self._left(_EXPLORE_SHARE) <= 0:
                break
            if query.name not in self._candidates:
                continue
            self._explored.add(query.name)
            self._progress("trying indexes", 0.3 + 0.3 * number / len(self._queries))
            share = query.weight * self._base[query.name] / total
            calls = max(6, min(_CALLS_A_QUERY, int(_CALLS_A_QUERY * len(self._queries) * share)))
            # a query with many joins may take seconds to plan, and must not use up the time of others
            left = self._left(_EXPLORE_SHARE)
            fair = left * max(share, 1 / (len(self._queries) - number))
            calls = min(calls, max(2, int(fair / max(self._plan_seconds[query.name], 1e-6))))
            found |= explore(
                self._pool,
                query,
                self._candidates.get(query.name, ()),
                self._oracle.size,
                self._budget,
                calls,
            )
        return frozenset(found)

    def _share(self, found: Configuration) -> None:
        """Try for every query the indexes that others use, and those merged from them."""
        new = self._mergers(found)
        self._oracle.add(new)
        everything = found | {i for i in new if self._oracle.refusal(i) is None}
        for query in self._queries:
            if self._left(_EXPLORE_SHARE + 0.15) <= 0:
                return
            visible = self._pool.relevant(query, everything)
            if visible and self._plan_seconds[query.name] < _SLOW:
                explore(self._pool, query, visible, self._oracle.size, self._budget, 6)

    def _mergers(self, found: Configuration) -> list[Candidate]:
        made = {
            merged
            for one in found
            for other in found
            if one < other and (merged := candidates.merged(one, other)) is not None
        }
        catalog = self._oracle.catalog
        return sorted(i for i in made if existing.covering(catalog, i) is None)

    # Choosing

    def _search(self) -> Configuration:
        deadline = self._began + self._options.seconds * _SEARCH_SHARE
        best: Configuration = frozenset()
        proven = {best: self._objective(best)}
        for round_number in range(_ROUNDS):
            self._progress("searching", 0.7 + 0.25 * round_number / _ROUNDS)
            calls = self._pool.calls
            best = self._searcher(deadline).best(
                best, polished=_POLISHED if not round_number else 1
            )
            for query in self._queries:
                if self._left(1.0) > 0:
                    self._ask(query, best)
            # what looked best by the known plans may be worse by plans that were not yet known
            proven[best] = self._objective(best)
            best = min(proven, key=lambda s: (proven[s], sorted(s)))
            if round_number < _WIDENING_ROUNDS:
                self._widen(best, deadline)
            if self._pool.calls == calls or time.monotonic() > deadline:
                break
        return self._pruned(self._without_idlers(best))

    def _objective(self, chosen: Configuration) -> float:
        """Return the cost of a set by plans that were requested: reads including risk, and writes."""
        reads = 0.0
        for query in self._queries:
            known = self._pool.exact(query, chosen) or self._pool.bound(query, chosen)
            reads += query.weight * (self._base[query.name] if known is None else known.value)
        return reads + sum(self._write_cost(i) for i in chosen)

    def _widen(self, chosen: Configuration, deadline: float) -> None:
        """Plan queries with chosen indexes that serve other queries, and with the most useful of the others.

        This only requests plans; the search decides whether it pays off.
        """
        users = self._users(chosen)
        pairs = [(a, b, users[b]) for a in chosen for b in chosen if a < b]
        pairs += [(a, b, [q]) for q, b in self._missed(chosen) for a in chosen]
        for index, other, others in pairs:
            joined = candidates.merged(index, other)
            if joined is None or joined in chosen or time.monotonic() > deadline:
                continue
            if existing.covering(self._oracle.catalog, joined) is None and self._fits(joined):
                for query in dict.fromkeys([*users[index], *others]):
                    self._ask(query, (chosen - {index, other}) | {joined})

    def _missed(self, chosen: Configuration) -> list[tuple[Query, Candidate]]:
        """Return the indexes that would help most but are not chosen, each with the query that it helps."""
        least = _MIN_GAIN * sum(q.weight * self._base[q.name] for q in self._queries)
        found = []
        for query in self._queries:
            best = min(self._pool.known(query), key=lambda k: k.value)
            gap = self._cost(query, chosen) - query.weight * best.value
            if gap > least:
                found += [(gap, query, index) for index in best.used - chosen]
        found.sort(key=lambda each: (-each[0], each[2]))
        return [(query, index) for _, query, index in found[:_MISSED]]

    def _fits(self, index: Candidate) -> bool:
        self._oracle.add([index])
        return self._oracle.refusal(index) is None and self._oracle.size(index) <= self._budget

    def _searcher(self, deadline: float) -> Search:
        return Search(self._problem(), self._pool, deadline)

    def _problem(self) -> Problem:
        used = {i for q in self._queries for k in self._pool.known(q) for i in k.used}
        total = sum(q.weight * self._base[q.name] for q in self._queries)
        return Problem(
            self._queries,
            {i: self._oracle.size(i) for i in used},
            {i: self._write_cost(i) for i in used},
            self._budget,
            _MIN_GAIN * total,
        )

    def _write_cost(self, index: Candidate) -> float:
        weights = {q.name: q.weight for q in self._queries}
        measured = {q.name: q.total_ms for q in self._queries if q.total_ms is not None}
        return writes.cost(index, self._oracle.catalog, self._writes, weights, measured)

    def _ask(self, query: Query, chosen: Configuration) -> float:
        """Return the cost of a query with a set; if it cannot be planned, the original cost."""
        try:
            return self._pool.plan(query, chosen).cost
        except PlanError:
            return self._base[query.name]

    def _without_idlers(self, chosen: Configuration) -> Configuration:
        """Remove indexes that no plan uses."""
        used = {
            i
            for q in self._queries
            if (known := self._pool.exact(q, chosen)) is not None
            for i in known.used
        }
        return chosen & used

    def _pruned(self, chosen: Configuration) -> Configuration:
        """Remove, least useful first, indexes whose real gain is below the minimum."""
        least = _MIN_GAIN * sum(q.weight * self._base[q.name] for q in self._queries)
        users = self._users(chosen)
        gains: dict[Candidate, float] = {}
        while chosen:
            for index in sorted(chosen - gains.keys()):
                if self._left(1.0) <= 0:
                    return chosen
                gains[index] = self._true_gain(index, chosen, users[index])
            worst = min(gains, key=lambda i: gains[i])
            if gains[worst] > least:
                break
            touched = {q.name for q in users[worst]}
            chosen = self._without_idlers(chosen - {worst})
            users = self._users(chosen)
            # only the gain of indexes that serve the same queries can have changed
            gains = {
                i: gain
                for i, gain in gains.items()
                if i in chosen and touched.isdisjoint(q.name for q in users[i])
            }
        return chosen

    def _users(self, chosen: Configuration) -> dict[Candidate, list[Query]]:
        """Return the queries that use each index in a set."""
        found: dict[Candidate, list[Query]] = {index: [] for index in chosen}
        for query in self._queries:
            known = self._pool.exact(query, chosen)
            for index in known.used if known is not None else ():
                found[index].append(query)
        return found

    def _true_gain(self, index: Candidate, chosen: Configuration, users: Iterable[Query]) -> float:
        """Return what an index saves in addition to the others, minus its cost for writes."""
        rest = chosen - {index}
        saved = sum(self._cost(q, rest) - self._cost(q, chosen) for q in users)
        return saved - self._write_cost(index)

    # Results

    def _advice(self, chosen: Configuration) -> Advice:
        names = naming.names(self._oracle.catalog, sorted(chosen), self._taken)
        gains = [self._query_gain(q, chosen, names) for q in self._queries]
        extra = sum(self._write_cost(i) for i in chosen)
        before = sum(g.cost_before for g in gains)
        reads = sum(g.cost_after for g in gains)
        users = self._users(chosen)
        advised = [self._index_advice(i, chosen, names, before, users[i]) for i in sorted(chosen)]
        advised.sort(key=lambda a: a.cost_with - a.cost_without)
        return Advice(
            indexes=tuple(advised),
            cost_before=before,
            cost_after=reads + extra,
            bytes=sum(a.size_bytes for a in advised),
            budget_bytes=self._budget,
            whatif_calls=self._oracle.calls,
            seconds=time.monotonic() - self._began,
            per_query=tuple(gains),
            rejected=(*self._workload.rejected, *self._reasons(gains)),
            engine=self._oracle.engine,
            unit="ms" if self._workload.is_measured else "cost",
            notes=tuple(self._oracle.notes),
            hidden_statements=self._workload.hidden,
            is_default_budget=self._options.budget_bytes is None,
        )

    def _query_gain(
        self, query: Query, chosen: Configuration, names: Mapping[Candidate, str]
    ) -> QueryGain:
        cost = self._ask(query, chosen)
        known = self._pool.exact(query, chosen)
        used = sorted(names[i] for i in known.used) if known is not None else []
        return QueryGain(
            query.name,
            query.query_id,
            self._base[query.name] * query.weight,
            cost * query.weight,
            query.weight,
            tuple(used),
            query.calls,
            query.total_ms / query.calls if query.total_ms and query.calls else None,
            query.blocks,
        )

    def _index_advice(
        self,
        index: Candidate,
        chosen: Configuration,
        names: Mapping[Candidate, str],
        before: float,
        users: Sequence[Query],
    ) -> IndexAdvice:
        catalog = self._oracle.catalog
        saved = tuple(self._part(index, q, chosen) for q in users)
        return IndexAdvice(
            index=index,
            name=names[index],
            ddl=index.ddl(names[index]),
            size_bytes=self._oracle.size(index),
            cost_without=before,
            cost_with=before - sum(saved),
            write_cost=self._write_cost(index),
            queries=tuple(q.name for q in users),
            query_ids=tuple(q.query_id for q in users if q.query_id is not None),
            saved=saved,
            is_joint=self._is_joint(index, users, chosen, sum(saved)),
            makes_redundant=tuple(
                ident(e.schema, e.name) for e in existing.made_redundant(catalog, index)
            ),
            caveats=tuple(self._caveats(index)),
            doubts=self._doubts(chosen, users),
        )

    def _doubts(self, chosen: Configuration, users: Sequence[Query]) -> tuple[str, ...]:
        """Return why the target may plan the queries that use an index otherwise."""
        found: dict[str, None] = {}
        for query in users:
            for indexes in ((), chosen):
                with suppress(PlanError):
                    tree = self._oracle.plan(query, indexes).tree
                    found |= dict.fromkeys(self._oracle.doubts(query, tree))
        return tuple(found)

    def _part(self, index: Candidate, query: Query, chosen: Configuration) -> float:
        """Return an index's part of what a set saves for a query, in proportion to what is lost without it."""
        saved = query.weight * self._base[query.name] - self._cost(query, chosen)
        known = self._pool.exact(query, chosen)
        used = known.used if known is not None and index in known.used else {index}
        if len(used) == 1:
            return saved
        lost = {i: max(0.0, self._lost(query, chosen, i)) for i in used}
        total = sum(lost.values())
        return saved * lost[index] / total if total > 0 else saved / len(used)

    def _lost(self, query: Query, chosen: Configuration, index: Candidate) -> float:
        return query.weight * self._without(query, chosen - {index}) - self._cost(query, chosen)

    def _is_joint(
        self, index: Candidate, users: Sequence[Query], chosen: Configuration, saved: float
    ) -> bool:
        """Tell whether an index alone saves less than half of its part."""
        if not any(self._shares(index, q, chosen) for q in users):
            return False
        alone = frozenset({index})
        kept = sum(q.weight * (self._base[q.name] - self._without(q, alone)) for q in users)
        return kept < _JOINT * saved

    def _shares(self, index: Candidate, query: Query, chosen: Configuration) -> bool:
        known = self._pool.exact(query, chosen)
        return known is not None and len(known.used - {index}) > 0

    def _caveats(self, index: Candidate) -> Iterable[str]:
        if index.method == "gin":
            yield "The benefit of a GIN index is only a rough estimate; use --verify to measure it."
        if any(k.column is None for k in index.keys):
            yield "Run ANALYZE after building it: until then, the expression has no statistics."

    def _without(self, query: Query, rest: Configuration) -> float:
        """Return the cost with a set; when out of time, that of the best known plan."""
        if self._left(1.0) > 0:
            return self._ask(query, rest)
        known = self._pool.bound(query, rest)
        return known.cost if known is not None else self._base[query.name]

    def _cost(self, query: Query, chosen: Configuration) -> float:
        return query.weight * self._ask(query, chosen)

    def _reasons(self, gains: Sequence[QueryGain]) -> list[Rejected]:
        reasons = [Rejected(name, reason) for name, reason in self._rejected.items()]
        by_name = {q.name: q for q in self._queries}
        idle = [by_name[g.name] for g in gains if not g.indexes]
        return [*reasons, *(Rejected(q.name, self._whole_reason(q), q.query_id) for q in idle)]

    def _whole_reason(self, query: Query) -> str:
        """Return why a query has no index, and of which of its expressions none could be tried."""
        found = self._untried.get(query.name, Untried())
        is_untried = query.name in self._candidates and not self._candidates[query.name]
        return "; ".join(
            filter(
                None,
                (
                    found.reason if is_untried else self._reason(query),
                    *(self._told(query, opening) for opening in found.openings),
                ),
            )
        )

    def _told(self, query: Query, opening: Opening) -> str:
        if (query.name, opening) not in self._told_openings:
            is_among_first = len(self._told_openings) < _MOST_OPENINGS
            has_time = self._options.tries_keys and is_among_first and self._left(1.0) > 0
            said = open_keys.told(self._oracle, query, opening, has_time=has_time)
            self._told_openings[query.name, opening] = said
        return self._told_openings[query.name, opening]

    def _reason(self, query: Query) -> str:
        if query.name not in self._candidates:
            return _LATE
        base = self._base[query.name]
        helpful = [k for k in self._pool.known(query) if k.used and k.cost < _USEFUL * base]
        if query.name not in self._explored:
            return _LATE
        if not helpful:
            return "none of the indexes tried lowers its cost"
        if all(k.value >= base for k in helpful):
            return "indexes would lower its estimated cost, but the plans risk being slower"
        least = min(sum(self._oracle.size(i) for i in k.used) for k in helpful)
        if least > self._budget:
            return (
                f"the smallest index that helps it takes {units.size(least)}, more than the budget"
            )
        return "indexes that would help it gain less than others within the budget, or too little"

    def _left(self, share: float) -> float:
        return self._began + self._options.seconds * share - time.monotonic()


def advise(
    oracle: Oracle,
    workload: Workload,
    options: AdviceOptions | None = None,
    progress: Progress = silent,
    taken: Mapping[str, Set[str]] | None = None,
) -> Advice:
    """Return the best set of indexes found within the given time and budget.

    ``taken`` are names by schema that are not available, in addition to those that the oracle knows.
    """
    return Advisor(oracle, workload, options or AdviceOptions(), progress, taken).run()
