"""How the nodes of a plan are run: how often, and how far LIMIT lets them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import INDEX_SCANS, PlanNode, inputs, walk
from pgwatch_wed.whatif import usage

_ROUNDS = 10.0  # of a recursive query, as the planner assumes
_GROWTH = 10.0  # and how many times the rows that it begins with each of them has
# What returns rows before all of its input is read, so that LIMIT stops it.
STREAMING = frozenset(
    (
        *("Limit", "LockRows", "Result", "Subquery Scan", "Incremental Sort", "Unique", "Group"),
        *("WindowAgg", "Nested Loop", "Merge Append", "Gather Merge", "ProjectSet", "Append"),
        *("Gather", "Merge Join", "Hash Join", "Memoize"),
    )
)
_PASSING_ALL = frozenset({"Sort", "Incremental Sort", "Limit", "Subquery Scan"})
STOPS_AT_ONE = frozenset({"Semi", "Anti"})


@dataclass(frozen=True, slots=True)
class NodeRun:
    """How a node is run: how often, which part of its rows is read each time, by how many processes together.

    ``taken`` is the part of the rows that it returns that LIMIT takes: less than is read where those that a filter excludes may come
    first. ``fresh`` is the part of the planner's rows that a round of a recursive query has got from the last one.
    """

    loops: float = 1.0
    part: float = 1.0
    processes: float = 1.0
    taken: float = 1.0
    fresh: float = 1.0


def in_turn(children: Sequence[PlanNode], flow: NodeRun) -> Iterator[tuple[PlanNode, NodeRun]]:
    """Yield what LIMIT reads of the inputs of Append, one after the other: the last ones not at all."""
    rows = [max(1.0, float(child.get("Plan Rows", 1))) for child in children]
    left, wanted = flow.part * sum(rows), flow.taken * sum(rows)
    for child, number in zip(children, rows, strict=True):
        if left <= 0:
            return
        taken = min(1.0, max(0.0, wanted) / number)
        yield child, replace(flow, part=min(1.0, left / number), taken=taken)
        left, wanted = left - number, wanted - number


def rounds(first: PlanNode, run: NodeRun, counted: float | None) -> NodeRun:
    """Return how the second part of a recursive query is run: for each row once, in at most ten rounds.

    The planner takes the rows of each round to be ten times those of the first part. ``counted`` are those of all, if that is known.
    """
    begun = max(1.0, float(first.get("Plan Rows", 1)))
    found = begun * _ROUNDS if counted is None else max(begun, counted)
    rounds = min(_ROUNDS, found / begun)
    return NodeRun(run.loops * rounds, fresh=found / rounds / (begun * _GROWTH))


def is_recursive(node: PlanNode) -> bool:
    """Tell whether a node reads what the last round of a recursive query found."""
    return node["Node Type"] == "WorkTable Scan" or any(
        is_recursive(child) for child in node.get("Plans", ())
    )


def refers_outside(tree: PlanNode) -> bool:
    """Tell whether a part of a plan compares with columns of what it does not read, so that it is run again for other values of them."""
    own = {node["Alias"] for node in walk(tree) if "Alias" in node}
    texts = (text for node in walk(tree) for text in usage.conditions(node))
    return any(alias and alias not in own for t in texts for alias, _ in terms.references(t))


def passes_cte(tree: PlanNode) -> bool:
    """Tell whether a plan returns the rows of a CTE as they are."""
    node = tree
    while node["Node Type"] in _PASSING_ALL:
        below = inputs(node)
        if len(below) != 1:
            return False
        node = below[0]
    return node["Node Type"] == "CTE Scan" and "Filter" not in node


def driving(node: PlanNode) -> PlanNode | None:
    """Return the scan whose rows a node returns before all are read; None if there is no single one."""
    while node["Node Type"] in STREAMING:
        below = inputs(node)
        if not below:
            return None
        node = below[0]
    return node if node["Node Type"] in ("Seq Scan", *INDEX_SCANS) else None


def kept(node: PlanNode) -> float:
    """Return which share of the rows that a node returns as they come EXISTS and NOT EXISTS keep: they exclude some as a filter does."""
    share = 1.0
    while node["Node Type"] in STREAMING and inputs(node):
        below = inputs(node)[0]
        if node.get("Join Type") in STOPS_AT_ONE:
            share *= min(1.0, float(node["Plan Rows"]) / max(1.0, float(below["Plan Rows"])))
        node = below
    return share


def read_once(node: PlanNode) -> Iterator[PlanNode]:
    """Yield the scans of whole tables that neither run in a loop nor are ended by LIMIT."""
    if node["Node Type"] == "Seq Scan":
        yield node
    is_loop = node["Node Type"] == "Nested Loop"
    for child in inputs(node):
        is_inner = is_loop and child.get("Parent Relationship") == "Inner"
        is_ended = node["Node Type"] == "Limit" and child["Node Type"] in (*STREAMING, "Seq Scan")
        if not is_inner and not is_ended:
            yield from read_once(child)
