"""What queries cost with sets of indexes: by plans that are known, or requested now."""

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from statistics import median

from pgwatch_wed.sqltext.plan_trees import PlanNode
from pgwatch_wed.whatif.choose import (
    alternatives,
    computed,
    counted_blocks,
    one_each,
    workers,
    writes,
)
from pgwatch_wed.whatif.choose.batches import with_full_batch
from pgwatch_wed.whatif.choose.late import has_limit, least_short, scans_of_limit, short_share
from pgwatch_wed.whatif.choose.measured import passing_scan, with_measured_rows
from pgwatch_wed.whatif.choose.pool import Known, Pool
from pgwatch_wed.whatif.choose.referring import blocks_of_referring
from pgwatch_wed.whatif.choose.risk import ExpectedCost, Judge
from pgwatch_wed.whatif.choose.rows_found import as_told
from pgwatch_wed.whatif.choose.sorted_whole import MoreRows, more_rows, sorted_scan
from pgwatch_wed.whatif.choose.time_left import ASKED, TimeLeft
from pgwatch_wed.whatif.choose.touched import Touched
from pgwatch_wed.whatif.choose.worked_off import ColumnsSet
from pgwatch_wed.whatif.choose.writes import Burden, Write
from pgwatch_wed.whatif.choose.written_blocks import most_written
from pgwatch_wed.whatif.model import (
    Candidate,
    Configuration,
    Plan,
    PlanError,
    Query,
    SlowPlanError,
)
from pgwatch_wed.whatif.oracle import Oracle

_MIN_GAIN = 0.0005
_MIN_OF_REST = 0.01
_BUILT_AT_ONCE = 100
_BEGUN = 25.0  # blocks that are read in the time that it takes to begin and to end a call


class Costs:
    """The queries that can be planned with their weights, and what is known of their plans and writes.

    ``queries`` are sorted by what they cost now, the costliest first. ``plan_seconds`` is how long planning each
    took of late. ``columns_set`` are those that the workload sets, by the oid of their table.
    """

    def __init__(
        self,
        oracle: Oracle,
        left: TimeLeft,
        *,
        guard: bool,
        columns_set: ColumnsSet = (),
    ) -> None:
        self.oracle = oracle
        self.left = left
        self.queries: list[Query] = []
        self.base: dict[str, float] = {}
        self.plan_seconds: dict[str, float] = {}
        self._touched = Touched(
            oracle.catalog,
            oracle.rows_in_order,
            oracle.index_shape,
            oracle.rows_meeting,
            oracle.usual_values,
            columns_set,
        )
        self._judge = Judge(
            oracle.catalog,
            oracle.rows_in_order,
            oracle.index_shape,
            oracle.rows_meeting,
            oracle.usual_values,
            is_on=guard,
            columns_set=columns_set,
        )
        self._more: dict[str, MoreRows | None] = {}
        self._writes: dict[str, list[Write]] = {}
        self._burdens: list[Burden] | None = None  # each set that is tried asks for them
        self._build_seconds = 0.0
        self.pool = Pool(self.plan, self._valued)

    def plan(self, query: Query, indexes: Configuration = frozenset()) -> Plan:
        """Return a plan at the cost of the rows that were counted. Raises :class:`PlanError`."""
        began = self.left.taken
        try:
            found = self._planned(query, indexes)
        except SlowPlanError:
            self.left.lose_patience()
            raise
        finally:
            took = self.left.taken - began
            self.plan_seconds[query.name] = (took + self.plan_seconds.get(query.name, took)) / 2
        return with_measured_rows(found, query, self.oracle.catalog)

    def _planned(self, query: Query, indexes: Configuration) -> Plan:
        """Return a plan. Where values decide, it is the better one of those with and without what exists and is read in order until LIMIT is satisfied.

        The planner prefers that for a parameter; the server, which knows the values, does not where few rows match.
        """
        found = self._asked_of_server(query, indexes)
        if not indexes or query.is_write or not self.pool.is_by_value(query):
            return found
        if found.used_existing and any(scans_of_limit(found.tree)):
            with suppress(PlanError):
                hidden = found.used_existing
                other = self._asked_of_server(query, indexes, hidden)
                if other.used:
                    return min(found, other, key=lambda plan: self._judge(query, plan).value)
        return found

    def _asked_of_server(
        self, query: Query, indexes: Configuration, hidden: Iterable[int] = ()
    ) -> Plan:
        found = self.oracle.plan(query, indexes, hidden, seconds=self.left.patience)
        return alternatives.as_hashed(found, self.oracle.catalog)

    def begin(self, query: Query, plan: Plan) -> None:
        """Take a query with its weight and its plan without changes."""
        computed.learn(self.oracle, plan.tree)
        self._judge.begin(query, plan)
        self._more[query.name] = self._more_rows(query, plan)
        self.base[query.name] = self.expected(query, plan)
        if query.has_parameters and short_share(query) > 0 and has_limit(plan.tree):
            self.pool.choose_by_value(query)
        if changes := writes.writes(query, plan.tree, self.oracle.catalog):
            self._writes[query.name] = changes
        self.pool.put(query, frozenset(), plan)
        self._burdens = None
        self.queries.append(query)
        self.queries.sort(key=lambda q: -self.present(q))

    def expected(self, query: Query, plan: Plan) -> float:
        """Return what a plan is expected to cost, which may be more than the planner says."""
        more = self._more_rows(query, plan)
        times = 1.0 if more is None else more.times(plan.tree, self.oracle.index_shape)
        return self._judge.expected(query, plan) * times

    def _more_rows(self, query: Query, plan: Plan) -> MoreRows | None:
        """Return what was counted of the rows that the present plan of a query sorts, if they are more than it expects."""
        scan = sorted_scan(plan.tree)
        table = None if scan is None else self.oracle.catalog.table_of(scan)
        if table is None or query.rows is None or query.blocks is None or query.of is not None:
            return None
        planned = self._touched.blocks(plan.tree)
        return more_rows(plan.tree, query.rows, query.blocks, planned, table.rows)

    def _valued(self, query: Query, plan: Plan) -> ExpectedCost:
        """Return the costs of a plan. A write saves no larger share of them than of the blocks that were counted, since what it changes remains.

        If its values are others than those that are assumed, the server, which knows them, may have found the rows in fewer.
        """
        judged = self._judge(query, plan)
        if more := self._more[query.name]:
            times = more.times(plan.tree, self.oracle.index_shape)
            judged = ExpectedCost(judged.expected * times, judged.value * times)
        is_whole = query.calls == query.whole.calls
        if not (plan.used and query.is_write and query.rows is not None and query.blocks):
            return judged
        if not is_whole:
            return judged  # they are the mean of all calls
        now = self._added(query, frozenset())
        blocks = self._touched.blocks(plan.tree, query.rows, now, short=short_share(query.whole))
        least = self.base[query.name] * min(1.0, blocks / query.blocks)
        return ExpectedCost(max(judged.expected, least), max(judged.value, least))

    def present(self, query: Query) -> float:
        """Return the weighted cost without changes."""
        return query.weight * self.base[query.name]

    @property
    def total(self) -> float:
        """The weighted cost of all queries without changes."""
        return sum(map(self.present, self.queries))

    @property
    def least_gain(self) -> float:
        """What an index must gain, or it is not worth to be kept: less where little remains, for one dear statement may hide all others."""
        return min(_MIN_GAIN * self.total, _MIN_OF_REST * self._at_best)

    @property
    def _at_best(self) -> float:
        """The weighted cost of all queries, each by the best of its known plans."""
        known = ((q, min(k.value for k in self.pool.known(q))) for q in self.queries)
        return sum(query.weight * value for query, value in known)

    def ask(self, query: Query, chosen: Configuration) -> float:
        """Return what a query is expected to cost with a set; at most that of the best known plan if it cannot be planned in time."""
        known = self._asked(query, chosen)
        return self.base[query.name] if known is None else known.expected

    def _asked(self, query: Query, chosen: Configuration) -> Known | None:
        if not self.left.is_over(ASKED):
            with suppress(PlanError):
                self.pool.plan(query, chosen)
        return self.known(query, chosen)

    def ask_all(self, requests: Iterable[tuple[Query, Configuration]]) -> None:
        """Request plans of several queries at once, as far as they are not known and there is time."""
        by_query: dict[str, tuple[Query, list[Configuration]]] = {}
        for query, chosen in requests:
            by_query.setdefault(query.name, (query, []))[1].append(chosen)
        for _ in workers.each(self._ask_each, list(by_query.values()), self.oracle.jobs):
            pass

    def _ask_each(self, asked: tuple[Query, Sequence[Configuration]]) -> None:
        query, sets = asked
        for chosen in sets:
            self.ask(query, chosen)

    def weighted(self, query: Query, chosen: Configuration) -> float:
        """Return the cost of a query with a set, weighted."""
        return query.weight * self.ask(query, chosen)

    def valued(self, query: Query, chosen: Configuration) -> float:
        """Return the weighted cost of a query with a set, including the risk of its plan, as the search counts it."""
        known = self._asked(query, chosen)
        return self.present(query) if known is None else query.weight * known.value

    def known(self, query: Query, chosen: Configuration) -> Known | None:
        """Return the plan of a query with a set; if that is not known, the cheapest that is certainly possible.

        Where the generic plan counts on rows that calls do not find, PostgreSQL, which knows their values, has a better one.
        """
        if self.pool.is_by_value(query):
            return self.pool.bound(query, chosen)
        return self.pool.exact(query, chosen) or self.pool.bound(query, chosen)

    def objective(self, chosen: Configuration) -> float:
        """Return the cost of a set by plans that were requested: reads including risk, and writes."""
        reads = 0.0
        for query in self.queries:
            known = self.known(query, chosen)
            reads += query.weight * (self.base[query.name] if known is None else known.value)
        return reads + self.of_writes(chosen)

    @property
    def changed(self) -> dict[tuple[str, str], frozenset[str]]:
        """The columns by table that queries set."""
        return writes.changed(self._writes)

    def no_longer_hot(self, index: Candidate) -> frozenset[str]:
        """Return the columns whose updates would no longer be HOT with an index."""
        return writes.no_longer_hot(index, self.oracle.catalog, self._writes)

    def burdens(self) -> list[Burden]:
        """Return what entries in indexes cost for the writes of the queries."""
        if self._burdens is None:
            self._burdens = self._weighed()
        return self._burdens

    def _weighed(self) -> list[Burden]:
        weights = {q.name: q.weight for q in self.queries}
        measured = {q.name: q.total_ms for q in self.queries if q.total_ms is not None}
        block = {
            q.name: q.total_ms / (_BEGUN + q.blocks)
            for q in self.queries
            if q.total_ms is not None and q.blocks is not None
        }
        return writes.burdens(
            self.oracle.catalog, self._writes, weights, measured, self._usual, block
        )

    @property
    def _usual(self) -> dict[str, float]:
        """The weights of measured queries if a unit of cost took as long for each as for most."""
        calls = {q.name: q.calls for q in self.queries if q.calls and q.total_ms is not None}
        units = [q.weight / calls[q.name] for q in self.queries if q.name in calls]
        return {name: number * median(units) for name, number in calls.items()}

    def of_writes(self, chosen: Configuration) -> float:
        """Return what keeping a set of indexes up to date costs."""
        return sum(burden.cost(chosen) for burden in self.burdens())

    def write_part(self, index: Candidate, chosen: Configuration) -> float:
        """Return an index's part of what keeping a set up to date costs."""
        return sum(burden.part(index, chosen) for burden in self.burdens())

    def users(self, chosen: Configuration) -> Mapping[Candidate, list[Query]]:
        """Return the queries that use each index in a set."""
        found: dict[Candidate, list[Query]] = {index: [] for index in chosen}
        for query in self.queries:
            known = self.known(query, chosen)
            for index in known.used if known is not None else ():
                found[index].append(query)
        return found

    def doubts(self, query: Query, chosen: Configuration) -> tuple[str, ...]:
        """Return why the target may plan a query otherwise, now or with a set, or its plan may cost more."""
        found: dict[str, None] = {}
        for known in (self.known(query, frozenset()), self.known(query, chosen)):
            with suppress(PlanError):
                asked = frozenset() if known is None else known.asked
                plan = self._planned(query, asked)
                found |= dict.fromkeys(self.oracle.doubts(query, plan.tree))
                found |= dict.fromkeys(self._judge.doubts(query, plan))
        return tuple(found)

    def blocks(
        self,
        query: Query,
        chosen: Configuration,
        told: Configuration = frozenset(),
        *,
        is_even: bool = False,
    ) -> float | None:
        """Return how many blocks a call touches with a set by its plan; None if that cannot be planned in time.

        What a server with the set ``told`` knows of the rows that match, it knows of the expressions in its indexes. With ``is_even``,
        it is not feared that what LIMIT looks for comes last in an order.
        """
        tree = self._tree(query, chosen)
        if tree is None:
            return None
        matching = self._matching(query)
        if query.rows is None and told and has_limit(tree):
            tree = as_told(tree, self._tree(query, told))
        is_all = matching is not None and matching == query.rows
        short = 1.0 if is_all else least_short(query.rows, short_share(query))
        added = self._added(query, chosen)
        return self._touched.blocks(
            tree, query.rows, added, short=short, matching=matching, is_even=is_even
        )

    def certain_blocks(self, query: Query, chosen: Configuration) -> float | None:
        """Return how many of them are touched whatever the values are; None if that cannot be planned in time."""
        tree = self._tree(query, chosen)
        added = self._added(query, chosen)
        return None if tree is None else self._touched.certain(tree, query.rows, added)

    def _added(self, query: Query, chosen: Configuration) -> Mapping[tuple[str, str], float]:
        """Return by table how many entries a changed row gets in new indexes."""
        return writes.entries(chosen, self.oracle.catalog, self._writes.get(query.name, ()))

    def _tree(self, query: Query, chosen: Configuration) -> PlanNode | None:
        known = self.known(query, chosen)
        if known is None or self.left.is_over(1.0):
            return None
        with suppress(PlanError):
            tree = self._planned(query, self._told(query, chosen, known)).tree
            return _with_batch(query, tree)
        return None

    def _told(self, query: Query, chosen: Configuration, known: Known) -> Configuration:
        """Return the set with which a known plan of ``chosen`` is that of a server that has no other indexes.

        What it knows of expressions, it knows of indexes on them: others may have led to a plan that uses none of them.
        """
        others = known.asked - chosen
        if _has_expression(others) and not self.pool.is_by_value(query):
            return self.pool.relevant(query, chosen)
        return known.asked

    def is_told(self, query: Query, chosen: Configuration) -> bool:
        """Tell whether the plan of a query may change with what a set tells of expressions, even if it uses none of the indexes."""
        return _has_expression(self.pool.relevant(query, chosen)) and self._tree(
            query, chosen
        ) != self._tree(query, frozenset())

    def _matching(self, query: Query) -> float | None:
        """Return how many rows match, of which LIMIT returns some, as the part of an order tells that calls read; None if it does not."""
        if query.rows is None or query.blocks is None or query.of is not None:
            return None
        tree = self._tree(query, frozenset())
        if tree is None:
            return None
        whole = self._touched.blocks(tree, short=1.0)
        part = counted_blocks.part_read(tree, whole, query.blocks, self.oracle.catalog)
        return None if part is None else query.rows / part

    def may_have_read_all(self, query: Query, counted: float) -> bool:
        """Tell whether calls that touched ``counted`` blocks may have read all tables whole of which the present plan looks some up."""
        tree = self._tree(query, frozenset())
        catalog = self.oracle.catalog
        return tree is not None and counted_blocks.may_have_read_all(tree, counted, catalog)

    def is_counted(self, query: Query, chosen: Configuration) -> bool:
        """Tell whether a plan looks up as many rows as were counted, one for each."""
        tree = self._tree(query, chosen)
        if tree is None or query.rows is None:
            return False
        return one_each.is_told(tree, query.rows, self.oracle.catalog)

    def is_loop_over_list(self, query: Query) -> bool:
        """Tell whether the present plan reads tables whole for each element of a list, and nothing else."""
        tree = self._tree(query, frozenset())
        if tree is None or any(scans_of_limit(tree)):
            return False
        return counted_blocks.is_loop_over_list(tree)

    def looks_up(self, query: Query, chosen: Configuration, planned: float, counted: float) -> bool:
        """Tell whether a plan of ``planned`` blocks reads but rows of the values that it looks for, of which ``counted`` blocks tell."""
        tree = self._tree(query, chosen)
        if tree is None or any(scans_of_limit(tree)):
            return False
        if query.rows is not None and passing_scan(tree) is not None:
            return False  # they are counted
        more = self._more.get(query.name)
        if more is not None and not more.reads_all(tree, self.oracle.index_shape):
            return False  # it ends at LIMIT
        certain = self._touched.certain(tree, query.rows, self._added(query, chosen))
        return counted_blocks.looks_up(tree, planned, counted, certain, self.oracle.catalog)

    def lookups(self, query: Query, chosen: Configuration) -> int:
        """Return in how many partitions a plan looks rows up; 1 if none of its tables is partitioned."""
        tree = self._tree(query, chosen)
        return 1 if tree is None else counted_blocks.lookups(tree)

    def share_blocks(self, query: Query, plan: Plan, *, is_even: bool) -> float:
        """Return how many blocks a call touches by a plan without new indexes, to tell from those that were counted which calls there were."""
        short = short_share(query)
        return self._touched.blocks(plan.tree, query.rows, {}, short=short, is_even=is_even)

    def stops_somewhere(self, query: Query, chosen: Configuration) -> bool | None:
        """Tell whether LIMIT ends a scan that excludes rows; None if that cannot be planned in time."""
        tree = self._tree(query, chosen)
        return None if tree is None else any("Filter" in s for s in scans_of_limit(tree))

    def ends_early(self, query: Query, chosen: Configuration) -> bool:
        """Tell whether LIMIT ends a scan, so that it reads as many rows of frequent values as of others."""
        tree = self._tree(query, chosen)
        return tree is not None and any(scans_of_limit(tree))

    def most_written(self, query: Query) -> float:
        """Return the most blocks that a call of a write touches beside what its plan reads; infinite if that is not known."""
        with suppress(PlanError):
            return most_written(self.oracle.catalog, self.oracle.plan(query).tree, query.rows)
        return math.inf

    def newly_written(self, query: Query, chosen: Configuration) -> float:
        """Return the blocks that a call of a write touches in addition for its entries in new indexes; infinite if that is not known."""
        with suppress(PlanError):
            tree, touched = _with_batch(query, self.oracle.plan(query).tree), self._touched
            now, then = (
                touched.written(tree, query.rows, self._added(query, s))
                for s in (frozenset(), chosen)
            )
            return max(0.0, then - now)
        return math.inf

    def looked_up(self, query: Query, chosen: Configuration) -> float | None:
        """Return the most blocks of a call in tables that refer to the rows that it deletes, if a set serves them anew; None if not known."""
        if query.rows is None:
            return None
        with suppress(PlanError):
            tree = self.oracle.plan(query).tree
            return blocks_of_referring(self.oracle.catalog, tree, query.rows, chosen)
        return None

    def without_idlers(self, chosen: Configuration) -> Configuration:
        """Return a set without the indexes that no plan uses."""
        return frozenset(index for index, users in self.users(chosen).items() if users)

    # Candidates

    def build_seconds(self, indexes: Sequence[Candidate]) -> float:
        """Return how long building candidates may take, by what others took."""
        return self._build_seconds * len(indexes)

    def build(self, indexes: Iterable[Candidate], share: float) -> Configuration:
        """Add candidates until a share of the time is over, and return those that the server accepts."""
        every = list(dict.fromkeys(indexes))
        built: list[Candidate] = []
        for start in range(0, len(every), _BUILT_AT_ONCE):
            some = every[start : start + _BUILT_AT_ONCE]
            if self.left.until(share) <= self.build_seconds(some):
                break
            began = self.left.taken
            self.oracle.add(some)
            self._build_seconds = (self.left.taken - began) / len(some)
            built += some
        return frozenset(i for i in built if self.oracle.refusal(i) is None)


def _has_expression(indexes: Iterable[Candidate]) -> bool:
    return any(key.column is None for index in indexes for key in index.keys)


def _with_batch(query: Query, tree: PlanNode) -> PlanNode:
    """Return a plan with the rows of a full batch, unless rows were counted."""
    return tree if query.rows is not None else with_full_batch(tree, query.sql)
