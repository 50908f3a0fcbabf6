"""The parts of a statement: its calls with a frequent value of a parameter and the others, planned and weighted."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import PlanNode, condition_texts, inputs, walk
from pgwatch_wed.sqltext.terms import EQUAL, Conjunction
from pgwatch_wed.whatif.choose import counted_blocks, skew
from pgwatch_wed.whatif.choose.costs import Costs
from pgwatch_wed.whatif.choose.late import short_share
from pgwatch_wed.whatif.model import Plan, PlanError, Query

# What the planner does not charge for, and no index saves: each row is sent to the client, or changed.
_PER_ROW = 0.1
_APART = 100.0  # times as many blocks, from which on they tell parts from each other for certain
_INEXACT = 2.0  # an estimate of rows is good within this factor
_PASSING = frozenset(
    (
        *("Sort", "Incremental Sort", "Gather", "Gather Merge", "LockRows", "ModifyTable"),
        *("Materialize", "Subquery Scan", "Result"),
    )
)
_REDUCING = frozenset({"Limit", "Aggregate", "Group", "Unique", "SetOp", "Result"})


@dataclass(frozen=True, slots=True)
class _Part:
    query: Query
    plan: Plan
    expected: float
    share: float
    others: skew.Variant | None = None

    @property
    def cost(self) -> float:
        """The cost of a call, with its rows."""
        return self.expected + _PER_ROW * (self.query.rows or 0.0)


def weighted(query: Query, expected: float) -> Query:
    """Weight a measured query so that its expected cost equals its time, without that of its rows."""
    if query.total_ms is None:
        return query
    rows = _PER_ROW * (query.rows or 0.0)
    return replace(query, weight=query.total_ms / max(expected + rows, 0.01))


def parts(costs: Costs, query: Query, plan: Plan) -> Sequence[tuple[Query, Plan]]:
    """Return the parts of a query with their plans, or nothing if it has none; they cost together what it took.

    ``plan`` is that of the query as it is.
    """
    try:
        planned = [
            _planned(costs, query, number, variant)
            for number, variant in enumerate(skew.variants(costs.oracle, query.sql), 1)
        ]
    except PlanError:
        return ()  # its message may contain the value
    whole = weighted(query, costs.expected(query, plan))
    counted = None if query.is_write else _by_rows(planned, query.rows)
    if counted is None:
        touched = _as_touched(costs, query, planned)
        counted = touched if _are_apart(costs, query, planned) else _as_counted(touched, query.rows)
    return _weighted(whole, _with_others(costs, query, counted))


def only(costs: Costs, part: Query, plan: Plan) -> Sequence[tuple[Query, Plan]]:
    """Return the only part of a query with its plan."""
    planned = _Part(part, plan, costs.expected(part, plan), 1.0)
    return _weighted(weighted(part.whole, planned.expected), [planned])


def is_guessed(tree: PlanNode) -> bool:
    """Tell whether a plan expects a default share of the rows to meet some condition."""
    return any(
        term.kind not in EQUAL and "$" in term.text
        for node in walk(tree)
        for text in condition_texts(node)
        for group in _groups(terms.conditions(text))
        for term in group.terms
    )


def _planned(costs: Costs, query: Query, number: int, variant: skew.Variant) -> _Part:
    """Plan a variant; where its values are known, so are its rows."""
    part = replace(query, name=f"{query.name} #{number}", sql=variant.sql, rows=None, of=query)
    plan = costs.plan(part)
    rows = query.rows
    # all calls return as many as LIMIT allows, or each what its values tell
    if rows is not None and not (plan.tree["Node Type"] == "Limit" and short_share(query) == 0):
        rows = min(rows, _returned(plan.tree))
    part = replace(part, rows=rows)
    return _Part(part, plan, costs.expected(part, plan), variant.share, variant.others)


def _with_others(costs: Costs, query: Query, counted: Sequence[_Part]) -> Sequence[_Part]:
    """Return parts with those for other frequent values, which have a part of the calls; all of them in the order of their names.

    They are not known to be called: what the rows and blocks that were counted tell of frequent values, they tell of all of them.
    """
    found = list(counted)
    for part in () if query.is_write else counted:
        if part.others is None or part.share <= 0:
            continue
        with suppress(PlanError):
            other = _planned(costs, query, len(found) + 1, part.others)
            found.append(replace(other, share=other.share * part.share))
            found[counted.index(part)] = replace(part, share=part.share - found[-1].share)
    return found


def _by_rows(parts: Sequence[_Part], counted: float | None) -> Sequence[_Part] | None:
    """Return parts, each with its own rows, and shares of the calls that find as many as were counted; None if that tells nothing.

    It does not if a part compares with a value that is not known otherwise than for equality.
    """
    rows = [_rows(part.plan.tree) for part in parts]
    is_sure = not any(is_guessed(part.plan.tree) for part in parts)
    if not is_sure or not counted_blocks.tell(rows, counted):
        return None
    shares = counted_blocks.shares([part.share for part in parts], rows, counted)
    each = zip(parts, shares, rows, strict=True)
    return [replace(p, share=share, query=replace(p.query, rows=r)) for p, share, r in each]


def _groups(group: Conjunction) -> Iterator[Conjunction]:
    yield group
    for arm in group.arms:
        yield from _groups(arm)


def _as_counted(parts: Sequence[_Part], counted: float | None) -> Sequence[_Part]:
    """Return parts with shares of the calls that do not contradict the rows of a call that were counted."""
    each = [_allowed(part.plan.tree) for part in parts]
    if counted is None or None in each or len(parts) < 2:
        return parts
    rows = [r or 0.0 for r in each]
    most = _INEXACT * max(counted, 1.0)
    limits = [
        min(p.share, most / r) if r > most else p.share for p, r in zip(parts, rows, strict=True)
    ]
    taken = 1 - sum(limits)
    loose = [s if r <= most else 0.0 for s, r in zip(limits, rows, strict=True)]
    if taken > 0:
        more = loose if sum(loose) > 0 else limits
        limits = [s + taken * m / sum(more) for s, m in zip(limits, more, strict=True)]
    mean = sum(s * r for s, r in zip(limits, rows, strict=True))
    if counted > _INEXACT * mean and max(rows) > mean > 0:
        part = min(1.0, (counted - mean) / (max(rows) - mean))
        limits = [
            (1 - part) * s + part * w for s, w in zip(limits, _widest(limits, rows), strict=True)
        ]
    return [replace(p, share=s) for p, s in zip(parts, limits, strict=True)]


def _widest(shares: Sequence[float], rows: Sequence[float]) -> list[float]:
    """Return the shares of the parts with most rows if all calls are theirs."""
    most = max(rows)
    found = [s if r >= most else 0.0 for s, r in zip(shares, rows, strict=True)]
    if sum(found) <= 0:
        found = [float(r >= most) for r in rows]
    return [s / sum(found) for s in found]


def _as_touched(costs: Costs, query: Query, parts: Sequence[_Part]) -> Sequence[_Part]:
    """Return parts with the shares of the calls that the blocks of a call tell; those of a write are also elsewhere."""
    if query.is_write or not parts:
        return parts
    even, feared = (
        [costs.share_blocks(part.query, part.plan, is_even=is_even) for part in parts]
        for is_even in (True, False)
    )
    planned = even if counted_blocks.tell(even, query.blocks) else feared
    weights = [part.share for part in parts]
    shares = counted_blocks.shares(weights, planned, query.blocks, counted_blocks.BEYOND)
    return [replace(p, share=share) for p, share in zip(parts, shares, strict=True)]


def _are_apart(costs: Costs, query: Query, parts: Sequence[_Part]) -> bool:
    """Tell whether blocks tell the shares of parts better than rows do, of which LIMIT, which is not known, allows no more than some."""
    each = [costs.share_blocks(part.query, part.plan, is_even=True) for part in parts]
    if query.is_write or not counted_blocks.tell(each, query.blocks):
        return False
    return max(each) >= _APART * min(each)


def _returned(tree: PlanNode) -> float:
    """Return the rows that a plan returns, or changes."""
    changes = tree["Node Type"] == "ModifyTable" and not tree["Plan Rows"]
    return max(float(n["Plan Rows"]) for n in (tree, *(tree.get("Plans", ()) if changes else ())))


def _allowed(tree: PlanNode) -> float | None:
    """Return how many rows the planner expects a call to return or to change, as far as LIMIT allows; None if they are grouped."""
    return float(tree["Plan Rows"]) if tree["Node Type"] == "Limit" else _rows(tree)


def _rows(tree: PlanNode) -> float | None:
    """Return how many rows the planner expects a call to return or to change; None if that is limited or grouped."""
    node = tree
    while node["Node Type"] in _PASSING and len(inputs(node)) == 1:
        node = inputs(node)[0]
    return None if node["Node Type"] in _REDUCING else float(node["Plan Rows"])


def _weighted(whole: Query, planned: Sequence[_Part]) -> Sequence[tuple[Query, Plan]]:
    """Divide calls and time among the parts."""
    mean = max(sum(part.share * part.cost for part in planned), 0.01)
    each = whole.weight if whole.total_ms is None else whole.total_ms / mean
    return [(_of(whole, part, each), part.plan) for part in planned]


def _of(whole: Query, part: _Part, each: float) -> Query:
    weight = each * part.share
    return replace(
        part.query,
        weight=weight,
        calls=None if whole.calls is None else whole.calls * part.share,
        total_ms=None if whole.total_ms is None else weight * part.cost,
        of=whole,
    )
