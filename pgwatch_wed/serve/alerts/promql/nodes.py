"""A query as a tree: what the parser returned, reduced to what is evaluated here."""

from collections.abc import Iterator
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class LabelMatch:
    """A condition on a label; ``op`` is ``=``, ``!=``, ``=~`` or ``!~``."""

    label: str
    op: str
    value: str


@dataclass(frozen=True, slots=True)
class NumberNode:
    """A literal number."""

    value: float


@dataclass(frozen=True, slots=True)
class TextNode:
    """A literal string, an argument of few functions."""

    value: str


@dataclass(frozen=True, slots=True)
class InstantNode:
    """A selector. ``name`` is empty if series are selected by other labels only."""

    name: str
    matches: tuple[LabelMatch, ...]
    offset_ms: int = 0


@dataclass(frozen=True, slots=True)
class WindowNode:
    """A selector with a range."""

    selector: InstantNode
    range_ms: int


@dataclass(frozen=True, slots=True)
class SubqueryNode:
    """A query evaluated at the steps of a range; without ``step_ms`` at the interval of evaluation."""

    query: "Node"
    range_ms: int
    step_ms: int | None
    offset_ms: int


@dataclass(frozen=True, slots=True)
class CallNode:
    """A function."""

    function: str
    args: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class AggregateNode:
    """An aggregation. ``labels`` are kept (``by``) or, if ``is_without``, dropped."""

    op: str
    query: "Node"
    parameter: "Node | None"
    labels: tuple[str, ...]
    is_without: bool


@dataclass(frozen=True, slots=True)
class SideMatching:
    """How the two sides of an operator are matched.

    ``labels`` are those of ``on`` or, if not ``is_on``, of ``ignoring``; ``many`` is ``left``, ``right``, ``both``
    (of and, or, unless) or nothing, ``extra`` the labels taken from the one side.
    """

    is_on: bool = False
    labels: tuple[str, ...] = ()
    many: str = ""
    extra: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BinaryNode:
    """An operator between two queries."""

    op: str
    left: "Node"
    right: "Node"
    is_bool: bool
    pairing: SideMatching


@dataclass(frozen=True, slots=True)
class NegativeNode:
    """A query with its sign turned."""

    query: "Node"


Node = (
    NumberNode
    | TextNode
    | InstantNode
    | WindowNode
    | SubqueryNode
    | CallNode
    | AggregateNode
    | BinaryNode
    | NegativeNode
)
COMPARISONS = frozenset({"==", "!=", ">", "<", ">=", "<="})
SETS = frozenset({"and", "or", "unless"})


def children(node: Node) -> tuple[Node, ...]:
    """Return the queries inside a query, one level down."""
    match node:
        case WindowNode(selector=inner):
            return (inner,)
        case SubqueryNode(query=inner) | NegativeNode(query=inner):
            return (inner,)
        case CallNode(args=args):
            return args
        case AggregateNode(query=inner, parameter=parameter):
            return (inner,) if parameter is None else (parameter, inner)
        case BinaryNode(left=left, right=right):
            return (left, right)
    return ()


def every(node: Node) -> Iterator[Node]:
    """Yield a query and all queries inside it."""
    yield node
    for child in children(node):
        yield from every(child)


def is_scalar(node: Node) -> bool:
    """Tell whether a query returns one number without labels."""
    match node:
        case NumberNode():
            return True
        case CallNode(function=name):
            return name in ("scalar", "time", "pi")
        case NegativeNode(query=inner):
            return is_scalar(inner)
        case BinaryNode(left=left, right=right):
            return is_scalar(left) and is_scalar(right)
    return False


@dataclass(frozen=True, slots=True)
class Reach:
    """How far back a query looks for the samples of a selector."""

    selector: InstantNode
    back_ms: int


def reaches(node: Node, default_step_ms: int, beyond_ms: int = 0) -> Iterator[Reach]:
    """Yield how far back each selector of a query looks, without the lookback of instants."""
    match node:
        case InstantNode(offset_ms=offset):
            yield Reach(node, beyond_ms + max(0, offset))
        case WindowNode(selector=inner, range_ms=width):
            yield Reach(inner, beyond_ms + width + max(0, inner.offset_ms))
        case SubqueryNode(query=inner, range_ms=width, step_ms=step, offset_ms=offset):
            back = beyond_ms + width + max(0, offset) + (step or default_step_ms)
            yield from reaches(inner, default_step_ms, back)
        case _:
            for child in children(node):
                yield from reaches(child, default_step_ms, beyond_ms)


def same(a: Node, b: Node) -> bool:
    """Tell whether two queries are written alike."""
    return type(a) is type(b) and all(getattr(a, f.name) == getattr(b, f.name) for f in fields(a))
