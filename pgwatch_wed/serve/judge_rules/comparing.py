"""The comparisons in a query: what is held against which constant."""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.serve.alerts.promql import nodes
from pgwatch_wed.serve.alerts.promql.evaluate import Moment, evaluate
from pgwatch_wed.serve.alerts.promql.signatures import OVER_WINDOW
from pgwatch_wed.serve.alerts.sample_memory import SampleMemory

_TURNED = {">": "<", "<": ">", ">=": "<=", "<=": ">=", "==": "==", "!=": "!="}
RATES = frozenset({"rate", "increase", "irate"})


@dataclass(frozen=True, slots=True)
class Held:
    """``left op limit``; ``limit`` is None if it is no constant."""

    left: nodes.Node
    op: str
    limit: float | None
    right: nodes.Node


def comparisons(node: nodes.Node) -> Iterator[Held]:
    """Yield the comparisons of a query; a constant is always on the right."""
    for each in nodes.every(node):
        if isinstance(each, nodes.BinaryNode) and each.op in nodes.COMPARISONS:
            left = constant(each.left)
            if left is not None:
                yield Held(each.right, _TURNED[each.op], left, each.left)
            else:
                yield Held(each.left, each.op, constant(each.right), each.right)


def constant(node: nodes.Node) -> float | None:
    """Return the value of a query that looks at no series and no clock."""
    for each in nodes.every(node):
        if isinstance(each, nodes.InstantNode):
            return None
        if isinstance(each, nodes.CallNode) and each.function != "vector":
            return None
    value = evaluate(node, Moment(SampleMemory(), 0)) if nodes.is_scalar(node) else None
    return value if isinstance(value, float) else None


def instants(node: nodes.Node) -> Iterator[nodes.InstantNode]:
    """Yield the selectors of a query whose values are taken as they are, not over a window."""
    match node:
        case nodes.InstantNode():
            yield node
        case nodes.WindowNode() | nodes.SubqueryNode():
            return
        case nodes.CallNode(function=name) if name in OVER_WINDOW or name.startswith("absent"):
            return
        case _:
            for child in nodes.children(node):
                yield from instants(child)


def windowed(
    node: nodes.Node, functions: frozenset[str]
) -> Iterator[tuple[str, nodes.InstantNode, int]]:
    """Yield function, selector and range of the windows that some functions look at."""
    for each in nodes.every(node):
        if isinstance(each, nodes.CallNode) and each.function in functions:
            window = each.args[0]
            if isinstance(window, nodes.WindowNode):
                yield each.function, window.selector, window.range_ms


def selectors(node: nodes.Node) -> Iterator[nodes.InstantNode]:
    """Yield all selectors of a query."""
    for each in nodes.every(node):
        if isinstance(each, nodes.InstantNode):
            yield each


def alternatives(node: nodes.Node) -> Iterator[nodes.Node]:
    """Yield the sides of `or`, each of which can fire alone."""
    if isinstance(node, nodes.BinaryNode) and node.op == "or":
        yield from alternatives(node.left)
        yield from alternatives(node.right)
    else:
        yield node


def conjuncts(node: nodes.Node) -> Iterator[nodes.Node]:
    """Yield what must hold at once."""
    if isinstance(node, nodes.BinaryNode) and node.op in ("and", "unless"):
        yield from conjuncts(node.left)
        yield from conjuncts(node.right)
    else:
        yield node
