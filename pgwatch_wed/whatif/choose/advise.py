"""A target and a workload → the best set of indexes within a budget, with reasons."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import replace

from pgwatch_wed.progress import Progress, silent
from pgwatch_wed.whatif.choose import naming
from pgwatch_wed.whatif.choose.answer import Advice, AdviceOptions, IndexAdvice, QueryGain
from pgwatch_wed.whatif.choose.choosing import Choosing
from pgwatch_wed.whatif.choose.costs import Costs
from pgwatch_wed.whatif.choose.filling import Filling
from pgwatch_wed.whatif.choose.gains import Gains
from pgwatch_wed.whatif.choose.reasons import LATE, Reasons
from pgwatch_wed.whatif.choose.suggested import EXPLORE_SHARE, Suggested, suggested
from pgwatch_wed.whatif.choose.time_left import TimeLeft
from pgwatch_wed.whatif.model import Candidate, Configuration, PlanError, Query, Rejected
from pgwatch_wed.whatif.oracle import Oracle
from pgwatch_wed.whatif.workload import Workload

__all__ = ["Advice", "AdviceOptions", "Advisor", "IndexAdvice", "QueryGain", "advise"]

_BUDGET_SHARE = 0.25
# What the planner does not charge for, and no index saves: each row is sent to the client, or changed.
_PER_ROW = 0.1


class Advisor:
    """One run with one oracle. Use :func:`advise`."""

    def __init__(
        self,
        oracle: Oracle,
        workload: Workload,
        options: AdviceOptions,
        progress: Progress,
        taken: Mapping[str, Set[str]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._oracle = oracle
        self._workload = workload
        self._options = options
        self._progress = progress
        self._taken = taken or {}
        self._left = TimeLeft(options.seconds, clock)
        self._costs = Costs(oracle, guard=options.guard)
        self._rejected: dict[str, str] = {}
        self._plan_seconds: dict[str, float] = {}
        self._suggested: dict[str, Suggested] = {}
        self._budget = _budget(oracle, options.budget_bytes)
        self._filling = Filling(self._costs, self._budget, self._left, self._plan_seconds)
        self._reasons = Reasons(
            self._costs, self._budget, self._left, tries_keys=options.tries_keys
        )

    def run(self) -> Advice:
        """Run until done or out of time, and return the best set found."""
        self._progress("planning the workload", 0.1)
        for query in self._workload.queries:
            self._begin(query)
        self._progress("generating candidates", 0.2)
        self._suggested = suggested(self._costs, self._options.max_width, self._left)
        self._filling.fill(self._suggested, self._progress)
        chosen = Choosing(self._costs, self._budget, self._left).best(self._progress)
        self._progress("done", 1.0)
        return self._advice(chosen)

    def told(self, indexes: Iterable[Candidate]) -> Advice:
        """Return the advice with only some of the indexes, after :meth:`run`."""
        self._left.begin()  # this is not part of the search: it has its own time
        return self._advice(frozenset(indexes))

    @property
    def queries(self) -> Sequence[Query]:
        """The queries that could be planned, with their weights."""
        return self._costs.queries

    def _begin(self, query: Query) -> None:
        """Plan a query without changes; weight a measured one so that cost equals time, without that of its rows."""
        if self._left.until(EXPLORE_SHARE) <= 0 and self._costs.queries:
            self._rejected[query.name] = LATE
            return
        began = self._left.taken
        try:
            plan = self._costs.plan(query)
        except PlanError as error:
            self._rejected[query.name] = f"it cannot be planned: {error}"
            return
        self._plan_seconds[query.name] = self._left.taken - began
        weight = query.weight
        if query.total_ms is not None:
            weight = query.total_ms / max(plan.cost + _PER_ROW * (query.rows or 0.0), 0.01)
        self._costs.begin(replace(query, weight=weight), plan)

    def _advice(self, chosen: Configuration) -> Advice:
        names = naming.names(self._oracle.catalog, sorted(chosen), self._taken)
        found = Gains(self._costs, self._left, names)
        gains = found.of_queries()
        indexes = found.of_indexes()
        writes = sum(map(self._costs.of_writes, chosen))
        return Advice(
            indexes=indexes,
            cost_before=sum(g.cost_before for g in gains),
            cost_after=sum(g.cost_after for g in gains) + writes,
            bytes=sum(i.size_bytes for i in indexes),
            budget_bytes=self._budget,
            whatif_calls=self._oracle.calls,
            seconds=self._left.taken,
            per_query=gains,
            rejected=(*self._workload.rejected, *self._without_index(gains)),
            engine=self._oracle.engine,
            unit="ms" if self._workload.is_measured else "cost",
            notes=tuple(self._oracle.notes),
            hidden_statements=self._workload.hidden,
            is_default_budget=self._options.budget_bytes is None,
        )

    def _without_index(self, gains: Sequence[QueryGain]) -> list[Rejected]:
        found = [Rejected(name, reason) for name, reason in self._rejected.items()]
        idle = {g.name for g in gains if not g.indexes}
        for query in self._costs.queries:
            if query.name in idle:
                one = self._suggested.get(query.name)
                reason = self._reasons.why_not(query, one, self._filling.explored)
                found.append(Rejected(query.name, reason, query.query_id))
        return found


def _budget(oracle: Oracle, asked: int | None) -> int:
    """Return the budget in bytes: what was asked for, or a part of the tables' size."""
    pages = sum(t.pages for t in oracle.catalog.tables.values())
    return int(pages * 8192 * _BUDGET_SHARE) if asked is None else asked


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
