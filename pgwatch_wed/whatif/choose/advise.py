"""A target and a workload → the best set of indexes within a budget, with reasons."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import replace

from pgwatch_wed.progress import Progress, silent
from pgwatch_wed.whatif.choose import naming
from pgwatch_wed.whatif.choose.answer import Advice, AdviceOptions, IndexAdvice, QueryGain
from pgwatch_wed.whatif.choose.beyond import beyond
from pgwatch_wed.whatif.choose.choosing import Choosing
from pgwatch_wed.whatif.choose.costs import Costs
from pgwatch_wed.whatif.choose.filling import Filling
from pgwatch_wed.whatif.choose.gains import Gains
from pgwatch_wed.whatif.choose.reasons import Reasons
from pgwatch_wed.whatif.choose.time_left import TimeLeft
from pgwatch_wed.whatif.choose.worked_off import columns_set
from pgwatch_wed.whatif.model import Candidate, Configuration, Query, Rejected
from pgwatch_wed.whatif.oracle import Oracle
from pgwatch_wed.whatif.workload import Workload

__all__ = ["Advice", "AdviceOptions", "Advisor", "IndexAdvice", "QueryGain", "advise"]

# Indexes of small databases take nothing that anybody would miss, and often more than the tables' columns.
_BUDGET_SHARE = 0.5
_LEAST_BUDGET = 256 << 20


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
        known = columns_set(oracle.catalog, (q.sql for q in workload.queries))
        self._costs = Costs(oracle, self._left, guard=options.guard, columns_set=known)
        self._budget = _budget(oracle, options.budget_bytes)
        self._filling = Filling(self._costs, self._budget, options.max_width)
        self._reasons = Reasons(self._costs, self._budget, tries_keys=options.tries_keys)

    def run(self) -> Advice:
        """Run until done or out of time, and return the best set found."""
        self._filling.fill(self._workload.queries, self._progress)
        chosen = Choosing(self._costs, self._budget).best(self._progress)
        self._progress("done", 1.0)
        return self._advice(chosen)

    def told(self, indexes: Iterable[Candidate]) -> Advice:
        """Return the advice with only some of the indexes, after :meth:`run`."""
        self._left.begin()  # this is not part of the search: it has its own time
        return self._advice(frozenset(indexes))

    @property
    def queries(self) -> Sequence[Query]:
        """The queries that could be planned, with their weights."""
        return list(dict.fromkeys(q.whole for q in self._costs.queries))

    @property
    def seconds_left(self) -> float:
        """What is left of the time; negative if it is over."""
        return self._left.until(1.0)

    def _advice(self, chosen: Configuration) -> Advice:
        names = naming.names(self._oracle.catalog, sorted(chosen), self._taken)
        found = Gains(self._costs, names)
        gains = found.of_queries()
        rejected = (*self._workload.rejected, *self._without_index(gains))
        unplanned = self._workload.unseen_ms
        unplanned += sum(r.total_ms or 0.0 for r in rejected if not r.has_plan)
        indexes = tuple(_of_all(i, unplanned) for i in found.of_indexes())
        writes = self._costs.of_writes(chosen)
        return Advice(
            indexes=indexes,
            cost_before=sum(g.cost_before for g in gains) + unplanned,
            cost_after=sum(g.cost_after for g in gains) + writes + unplanned,
            bytes=sum(i.size_bytes for i in indexes),
            budget_bytes=self._budget,
            whatif_calls=self._oracle.calls,
            seconds=self._left.taken,
            per_query=gains,
            rejected=rejected,
            engine=self._oracle.engine,
            unit="ms" if self._workload.is_measured else "cost",
            notes=tuple(self._oracle.notes),
            hidden_statements=self._workload.hidden,
            is_default_budget=self._options.budget_bytes is None,
            beyond=beyond(self._costs, chosen, self._budget, unplanned),
            unseen_ms=self._workload.unseen_ms,
        )

    def _without_index(self, gains: Sequence[QueryGain]) -> list[Rejected]:
        by_name = {q.name: q for q in self._workload.queries}
        found = [
            Rejected(
                name,
                reason,
                by_name[name].query_id,
                has_plan=False,
                total_ms=by_name[name].total_ms,
            )
            for name, reason in self._filling.unplanned.items()
        ]
        idle = {g.name for g in gains if not g.indexes}
        for query in self._costs.queries:
            if query.whole.name in idle:
                idle.remove(query.whole.name)
                one = self._filling.suggested.get(query.name)
                reason = self._reasons.why_not(query, one, self._filling.explored)
                found.append(Rejected(query.whole.name, reason, query.query_id))
        return found


def _of_all(index: IndexAdvice, unplanned: float) -> IndexAdvice:
    """Add what statements without a plan cost, which an index does not change as far as is known."""
    return replace(
        index, cost_without=index.cost_without + unplanned, cost_with=index.cost_with + unplanned
    )


def _budget(oracle: Oracle, asked: int | None) -> int:
    """Return the budget in bytes: what was asked for, or a part of the tables' size, but not too little."""
    if asked is not None:
        return asked
    pages = sum(t.pages for t in oracle.catalog.tables.values())
    return max(int(pages * 8192 * _BUDGET_SHARE), _LEAST_BUDGET)


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
