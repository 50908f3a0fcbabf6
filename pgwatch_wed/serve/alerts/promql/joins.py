"""Operators between two vectors, and between a vector and a number."""

from collections.abc import Callable, Iterator

from pgwatch_wed.serve.alerts.promql.arithmetic import OPERATORS, TESTS
from pgwatch_wed.serve.alerts.promql.nodes import BinaryNode, SideMatching
from pgwatch_wed.serve.alerts.promql.vectors import (
    NAME,
    EvaluationError,
    Vector,
    gathered,
    unnamed,
)
from pgwatch_wed.serve.state import Labels

Signature = Callable[[Labels], Labels]


def of_numbers(op: str, left: float, right: float) -> float:
    """Return what an operator makes of two numbers; a comparison is 1 or 0."""
    return OPERATORS[op](left, right) if op in OPERATORS else float(TESTS[op](left, right))


def with_number(node: BinaryNode, vector: Vector, number: float, *, is_left: bool) -> Vector:
    """Return what an operator makes of a vector and a number, which is on the left if ``is_left``."""

    def results() -> Iterator[tuple[Labels, float]]:
        for labels, value in vector.items():
            sides = (number, value) if is_left else (value, number)
            if node.op in OPERATORS:
                yield unnamed(labels), OPERATORS[node.op](*sides)
            elif node.is_bool:
                yield unnamed(labels), float(TESTS[node.op](*sides))
            elif TESTS[node.op](*sides):
                yield labels, value

    return gathered(results())


def of_sets(op: str, pairing: SideMatching, left: Vector, right: Vector) -> Vector:
    """Return the union, the intersection or the difference of two vectors."""
    signature = _signature(pairing)
    if op == "or":
        known = {signature(labels) for labels in left}
        added = ((ls, v) for ls, v in right.items() if signature(ls) not in known)
        return gathered([*left.items(), *added])
    there = {signature(labels) for labels in right}
    keeps = op == "and"
    return {ls: v for ls, v in left.items() if (signature(ls) in there) is keeps}


def of_vectors(node: BinaryNode, left: Vector, right: Vector, *, is_strict: bool) -> Vector:
    """Return what an operator makes of two vectors.

    ``is_strict``: a second match is an error even if the comparison drops one of the two, as in Prometheus 3.
    """
    pairing = node.pairing
    signature = _signature(pairing)
    is_swapped = pairing.many == "right"
    many, one = (right, left) if is_swapped else (left, right)
    ones = _by_signature(one, signature, "left" if is_swapped else "right")
    matched: set[Labels] = set()
    found: Vector = {}
    for labels, value in many.items():
        key = signature(labels)
        if key not in ones:
            continue
        partner, other = ones[key]
        sides = (other, value) if is_swapped else (value, other)
        result = _result(node, *sides)
        if not pairing.many and key in matched and (is_strict or result is not None):
            raise EvaluationError(
                "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
            )
        if result is not None or is_strict:
            matched.add(key)
        if result is None:
            continue
        kept = _labels(node, labels, partner)
        if kept in found:
            raise EvaluationError(
                "multiple matches for labels: grouping labels must ensure unique matches"
            )
        found[kept] = result
    return found


def _signature(pairing: SideMatching) -> Signature:
    names = frozenset(pairing.labels)
    if pairing.is_on:
        return lambda labels: tuple(p for p in labels if p[0] in names)
    dropped = names | {NAME}
    return lambda labels: tuple(p for p in labels if p[0] not in dropped)


def _by_signature(
    vector: Vector, signature: Signature, side: str
) -> dict[Labels, tuple[Labels, float]]:
    found: dict[Labels, tuple[Labels, float]] = {}
    for labels, value in vector.items():
        key = signature(labels)
        if key in found:
            raise EvaluationError(
                f"found duplicate series for the match group {dict(key)} on the {side} side of the operation"
            )
        found[key] = (labels, value)
    return found


def _result(node: BinaryNode, left: float, right: float) -> float | None:
    if node.op in OPERATORS:
        return OPERATORS[node.op](left, right)
    is_true = TESTS[node.op](left, right)
    if node.is_bool:
        return float(is_true)
    return left if is_true else None


def _labels(node: BinaryNode, labels: Labels, partner: Labels) -> Labels:
    pairing = node.pairing
    kept = dict(labels)
    if node.op in OPERATORS or node.is_bool:
        kept.pop(NAME, None)
    if not pairing.many:
        names = frozenset(pairing.labels)
        kept = {k: v for k, v in kept.items() if (k in names) is pairing.is_on}
    if pairing.extra:
        others = dict(partner)
        for label in pairing.extra:
            kept.pop(label, None)
            if others.get(label):
                kept[label] = others[label]
    return tuple(sorted(kept.items()))
