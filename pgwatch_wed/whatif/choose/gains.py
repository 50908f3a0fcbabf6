"""What each index of a set gains, and each query; divided so that the gains of a set add up."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from pgwatch_wed.postgres.index_grades import GUESSED_SHARE
from pgwatch_wed.quote import ident
from pgwatch_wed.whatif import guesses
from pgwatch_wed.whatif.catalog import Catalog
from pgwatch_wed.whatif.choose import counted_blocks, existing, indexable, key_lookups, skew
from pgwatch_wed.whatif.choose.answer import IndexAdvice, QueryGain
from pgwatch_wed.whatif.choose.costs import Costs
from pgwatch_wed.whatif.model import Candidate, Configuration, Plan, PlanError, Query

_JOINT = 0.5
_ROUGH = {"gin": "GIN", "gist": "GiST", "spgist": "SP-GiST", "brin": "BRIN"}


class Gains:
    """The gains of one set, whose indexes have names."""

    def __init__(self, costs: Costs, names: Mapping[Candidate, str]) -> None:
        self._costs = costs
        self._names = names
        self._chosen: Configuration = frozenset(names)
        self._doubted: dict[str, tuple[str, ...]] = {}
        self._unplanned: set[str] = set()

    def of_queries(self) -> tuple[QueryGain, ...]:
        """Return what each query gains, in the order of their costs."""
        self._costs.ask_all((q, self._chosen) for q in self._costs.queries)
        parts: dict[str, list[Query]] = {}
        for query in self._costs.queries:
            parts.setdefault(query.told_as, []).append(query)
        return tuple(map(self._of_query, parts.values()))

    def of_indexes(self) -> tuple[IndexAdvice, ...]:
        """Return the indexes with their parts of the gains, most useful first."""
        users = self._costs.users(self._chosen)
        self._costs.ask_all(self._compared(users))
        found = [self._of_index(i, users[i]) for i in sorted(self._chosen)]
        return tuple(sorted(found, key=lambda a: a.cost_with - a.cost_without))

    def _compared(
        self, users: Mapping[Candidate, Sequence[Query]]
    ) -> Iterator[tuple[Query, Configuration]]:
        """Yield the plans that tell what each index has part in."""
        for index, queries in users.items():
            for query in queries:
                used = self._used(query)
                yield from ((query, self._chosen - {i}) for i in used if len(used) > 1)
                if any(self._used(q) - {index} for q in queries):
                    yield query, frozenset({index})

    def _used(self, query: Query) -> Configuration:
        known = self._costs.known(query, self._chosen)
        return frozenset() if known is None else known.used

    def _of_query(self, parts: Sequence[Query]) -> QueryGain:
        own = [part for part in parts if not part.cause]
        query = own[0].whole
        cost = sum(self._costs.weighted(part, self._chosen) for part in parts)
        used = sorted({self._names[i] for part in parts for i in self._used(part)})
        before, after = self._blocks(query, own, [part for part in parts if part.cause])
        return QueryGain(
            query.name,
            query.query_id,
            sum(map(self._costs.present, parts)),
            cost,
            query.weight,
            tuple(used),
            query.calls,
            query.total_ms / query.calls if query.total_ms and query.calls else None,
            query.blocks,
            before,
            after,
        )

    def _blocks(
        self, query: Query, parts: Sequence[Query], of_keys: Sequence[Query]
    ) -> tuple[float | None, float | None]:
        """Return the blocks of a call without and with the set, of which the former may have been counted.

        What a write touches beyond its plan, in other indexes and for foreign keys, it also touches with the set. But what is more
        than its rows can write was read, by a plan that looked further for them than the planner expects.
        """
        is_changed = (
            any(self._used(part) or self._costs.is_told(part, self._chosen) for part in parts)
            or query.is_write
        )
        if not is_changed and query.blocks is not None:
            return max(1.0, query.blocks), max(1.0, query.blocks)
        shares, planned = self._shares(query, parts)
        before = planned if query.blocks is None else max(1.0, query.blocks)
        if not is_changed:
            return before, before
        after = counted_blocks.mean(shares, [self._costs.blocks(p, self._chosen) for p in parts])
        if after is None or before is None or planned is None:
            return before, after
        certain, new = (self._certain(parts, shares, c) for c in (frozenset(), self._chosen))
        is_known = any((part.rows or 0.0) > (query.rows or math.inf) for part in parts)
        if not is_known and before < planned and self._are_fewer(parts, before):
            after = counted_blocks.fewer(after, before, planned, certain, new)
        if (
            not is_known
            and before > planned > certain
            and self._look_up(parts, planned, before, after)
        ):
            lookups = max(self._costs.lookups(part, self._chosen) for part in parts)
            times = (before - certain) / (planned - certain)
            after = counted_blocks.more(after, times, lookups, new)
        elif before > planned and not query.is_write:
            after += (before / planned - 1) * self._kept(parts, shares)
        if query.is_write:
            beyond = max(0.0, before - planned)
            referring = self._costs.looked_up(query, self._chosen)
            if referring is not None:
                beyond = min(beyond, referring)
            elif any(self._used(part) for part in parts):
                beyond = min(beyond, self._costs.most_written(query))
            if referring is None:
                beyond = max(0.0, beyond - sum(self._saved(query, one) for one in of_keys))
            as_now = before + max(self._costs.newly_written(p, self._chosen) for p in parts)
            return before, min(after + beyond, as_now)
        present = sum(map(self._costs.present, parts))
        is_cheaper = sum(self._costs.weighted(p, self._chosen) for p in parts) < present
        # values may be others than those that are assumed, but the server would then have stayed with what it had
        return before, min(before, after) if is_cheaper else after

    def _saved(self, query: Query, lookup: Query) -> float:
        """Return how many blocks a lookup of referring rows no longer touches in a call of the query that causes it."""
        now, then = (self._costs.blocks(lookup, chosen) for chosen in (frozenset(), self._chosen))
        if now is None or then is None or not (lookup.calls and query.calls):
            return 0.0
        return lookup.calls / query.calls * (now - then)

    def _shares(self, query: Query, parts: Sequence[Query]) -> tuple[list[float], float | None]:
        """Return the shares of the parts of a query, and the blocks of a call without the set that are planned."""
        now = [self._costs.blocks(part, frozenset(), self._chosen) for part in parts]
        weights = [_weight(part) for part in parts]
        if query.is_write:
            shares = counted_blocks.shares(weights, now, query.blocks)
            return shares, counted_blocks.mean(shares, now)
        even = [self._costs.blocks(part, frozenset(), is_even=True) for part in parts]
        shares = counted_blocks.shares(weights, now, None)  # they are those that were counted
        return shares, counted_blocks.mean(
            shares, even if counted_blocks.tell(even, query.blocks) else now
        )

    def _kept(self, parts: Sequence[Query], shares: Sequence[float]) -> float:
        """Return the blocks of a call by plans that stay as they are."""
        return sum(
            share * (self._costs.blocks(part, frozenset()) or 0.0)
            for part, share in zip(parts, shares, strict=True)
            if not self._used(part)
        )

    def _certain(
        self, parts: Sequence[Query], shares: Sequence[float], chosen: Configuration
    ) -> float:
        """Return the blocks of a call that it touches whatever its values are."""
        each = [self._costs.certain_blocks(part, chosen) for part in parts]
        return counted_blocks.mean(shares, each) or 0.0

    def _stop_alike(self, parts: Sequence[Query]) -> bool:
        """Tell whether LIMIT ends all plans before and with the set at an unknown row of an order, or none of them."""
        each = ((part, chosen) for part in parts for chosen in (frozenset(), self._chosen))
        return len({self._costs.stops_somewhere(*one) for one in each}) == 1

    def _are_fewer(self, parts: Sequence[Query], counted: float) -> bool:
        """Tell whether fewer ``counted`` blocks than planned mean that there are fewer rows to be read with the set, too."""
        if all(map(self._costs.is_loop_over_list, parts)):
            return True
        return self._stop_alike(parts) and not any(
            self._costs.may_have_read_all(part, counted)
            or self._ends_but_now(part)
            or self._costs.is_counted(part, self._chosen)
            for part in parts
        )

    def _ends_but_now(self, part: Query) -> bool:
        """Tell whether LIMIT ends the plan with the set, but not the present one, which reads more of frequent values."""
        ends = self._costs.ends_early
        return ends(part, self._chosen) and not ends(part, frozenset())

    def _look_up(self, parts: Sequence[Query], planned: float, before: float, after: float) -> bool:
        """Tell whether plans with so many blocks, without and with the set, read what they look for: more of it if its values are frequent."""
        return all(
            self._costs.looks_up(part, frozenset(), planned, before)
            and self._costs.looks_up(part, self._chosen, after, after)
            for part in parts
        )

    def _of_index(self, index: Candidate, users: Sequence[Query]) -> IndexAdvice:
        costs, name = self._costs, self._names[index]
        saved = tuple(self._part(index, q) for q in users)
        ranges, equal = self._unknown(index, users, saved)
        whole: dict[str, float] = {}
        for query, part in zip(users, saved, strict=True):
            whole[query.told_as] = whole.get(query.told_as, 0.0) + part
        query_ids = {q.told_as: q.query_id for q in users}
        replaced = existing.made_redundant(costs.oracle.catalog, index)
        return IndexAdvice(
            index=index,
            name=name,
            ddl=index.ddl(name),
            size_bytes=costs.oracle.size(index),
            cost_without=costs.total,
            cost_with=costs.total - sum(saved),
            write_cost=costs.write_part(index, self._chosen),
            queries=tuple(whole),
            query_ids=tuple(i for i in query_ids.values() if i is not None),
            saved=tuple(whole.values()),
            is_joint=self._is_joint(index, users, sum(saved)),
            makes_redundant=tuple(ident(e.schema, e.name) for e in replaced),
            caveats=(
                *_caveats(costs.oracle.catalog, index),
                *key_lookups.told(users),
                *self._lost_hot(index),
            ),
            doubts=self._doubts(index, users),
            guesses=ranges,
            equated=equal,
        )

    def _lost_hot(self, index: Candidate) -> Iterator[str]:
        columns = sorted(self._costs.no_longer_hot(index))
        if columns:
            yield (
                f"Updates of {', '.join(map(ident, columns))} change no index now (HOT); with it, each writes to every index"
                " of the table. That is part of the cost of writes."
            )

    def _doubts(self, index: Candidate, users: Sequence[Query]) -> tuple[str, ...]:
        """Return why the target may plan the queries that use an index otherwise."""
        is_open = index.predicate or any(
            k.column is None or k.operator_class.endswith("_pattern_ops") for k in index.keys
        )
        found = dict.fromkeys(q.assumed for q in users if is_open and q.assumed)
        return tuple(found | dict.fromkeys(d for q in users for d in self._doubts_of(q)))

    def _doubts_of(self, query: Query) -> tuple[str, ...]:
        if query.name not in self._doubted:
            told = dict.fromkeys(self._costs.doubts(query, self._chosen))
            if query.has_parameters:
                told |= dict.fromkeys(skew.doubts(self._costs.oracle, query.whole.sql))
            self._doubted[query.name] = tuple(told)
        return self._doubted[query.name]

    def _unknown(
        self, index: Candidate, users: Sequence[Query], saved: Sequence[float]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the columns of an index that much of its gain compares with unknown values: in ranges, and for equality."""
        oracle = self._costs.oracle
        columns: tuple[set[str], set[str]] = (set(), set())
        shares = [0.0, 0.0]
        for query, part in zip(users, saved, strict=True):
            plan = self._without_indexes(query.whole) if query.has_parameters else None
            if plan is None:
                continue
            found = (
                guesses.guessed(plan.tree, oracle.catalog, index),
                guesses.equated(plan.tree, oracle.catalog, index),
            )
            for number, some in enumerate(found):
                columns[number].update(some)
                shares[number] += part if some else 0.0
        ranges, equal = (
            tuple(sorted(names)) if share >= GUESSED_SHARE * sum(saved) else ()
            for names, share in zip(columns, shares, strict=True)
        )
        return ranges, equal

    def _without_indexes(self, query: Query) -> Plan | None:
        """Return the plan without existing indexes: the search knows it if it had the time; None if there is none now."""
        if query.name in self._unplanned:
            return None
        plan = self._costs.oracle.plan
        with suppress(PlanError):
            found = plan(query, seconds=self._costs.left.patience)
            if found.used_existing:
                found = plan(query, bare=True, seconds=self._costs.left.patience)
            return found
        self._unplanned.add(query.name)
        return None

    def _part(self, index: Candidate, query: Query) -> float:
        """Return an index's part of what the set saves for a query, in proportion to what is lost without it."""
        saved = self._costs.present(query) - self._costs.weighted(query, self._chosen)
        used = self._used(query) | {index}
        if len(used) == 1:
            return saved
        lost = {i: max(0.0, self._lost(query, i)) for i in used}
        total = sum(lost.values())
        return saved * lost[index] / total if total > 0 else saved / len(used)

    def _lost(self, query: Query, index: Candidate) -> float:
        rest = self._costs.weighted(query, self._chosen - {index})
        return rest - self._costs.weighted(query, self._chosen)

    def _is_joint(self, index: Candidate, users: Sequence[Query], saved: float) -> bool:
        """Tell whether an index alone saves less than half of its part."""
        if not any(self._used(q) - {index} for q in users):
            return False
        alone = frozenset({index})
        kept = sum(self._costs.present(q) - self._costs.weighted(q, alone) for q in users)
        return kept < _JOINT * saved


def _weight(part: Query) -> float:
    return part.weight if part.calls is None else part.calls


def _caveats(catalog: Catalog, index: Candidate) -> Iterable[str]:
    table = catalog.by_name[index.schema, index.table]
    for name in (k.column for k in index.keys if index.method == "btree"):
        if name is not None and indexable.may_be_wide(catalog, table, name):
            yield (
                f"It cannot be built if a value of {ident(name)} takes more than 2,704 bytes:"
                f" then use left({ident(name)}, 100) in the index and in the statement."
            )
    if (method := _ROUGH.get(index.method)) is not None:
        yield f"The benefit of a {method} index is only a rough estimate; use --verify to measure it."
    if any(k.column is None for k in index.keys):
        yield "Run ANALYZE after building it: until then, the expression has no statistics."
