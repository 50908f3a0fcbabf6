"""Aggregations."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator

from pgwatch_wed.serve.alerts.promql import arithmetic
from pgwatch_wed.serve.alerts.promql.nodes import AggregateNode
from pgwatch_wed.serve.alerts.promql.number_texts import plain
from pgwatch_wed.serve.alerts.promql.vectors import (
    NAME,
    EvaluationError,
    Semantics,
    Value,
    Vector,
    with_label,
)
from pgwatch_wed.serve.alerts.promql.windows import greatest, least
from pgwatch_wed.serve.state import Labels

# Prometheus 2 adds without what rounding loses; near a threshold, that can decide.
_OF_VALUES_BEFORE_3: dict[str, Callable[[list[float]], float]] = {
    "sum": arithmetic.plain_total,
    "avg": lambda values: arithmetic.running_mean(values, is_exact=False),
}
_OF_VALUES: dict[str, Callable[[list[float]], float]] = {
    "sum": arithmetic.total,
    "avg": arithmetic.mean,
    "min": least,
    "max": greatest,
    "count": lambda values: float(len(values)),
    "group": lambda values: 1.0,  # noqa: ARG005
    "stddev": lambda values: math.sqrt(arithmetic.variance(values)),
    "stdvar": arithmetic.variance,
}


def aggregated(
    node: AggregateNode, vector: Vector, parameter: Value | None, semantics: Semantics
) -> Vector:
    """Return one value a group, or the first ones of each group."""
    if node.op == "count_values":
        return _counted(node, vector, str(parameter))
    groups = _grouped(vector, _grouping(node))
    if node.op in ("topk", "bottomk"):
        return dict(_ranked(node.op, groups, parameter))
    if node.op == "quantile":
        q = _number(parameter)
        return {ls: arithmetic.quantile(q, [v for _, v in of]) for ls, of in groups.items()}
    function = _OF_VALUES[node.op]
    if not semantics.is_left_open:
        function = _OF_VALUES_BEFORE_3.get(node.op, function)
    return {labels: function([v for _, v in of]) for labels, of in groups.items()}


def _grouped(
    vector: Vector, label_of: Callable[[Labels], Labels]
) -> dict[Labels, list[tuple[Labels, float]]]:
    groups: dict[Labels, list[tuple[Labels, float]]] = defaultdict(list)
    for labels, value in vector.items():
        groups[label_of(labels)].append((labels, value))
    return groups


def _grouping(node: AggregateNode, *more: str) -> Callable[[Labels], Labels]:
    names = frozenset(node.labels).difference(more)
    if node.is_without:
        dropped = names | {NAME}
        return lambda labels: tuple(p for p in labels if p[0] not in dropped)
    kept = names.union(more)
    return lambda labels: tuple(p for p in labels if p[0] in kept)


def _number(parameter: Value | None) -> float:
    if not isinstance(parameter, float):
        raise EvaluationError("the parameter of an aggregation must be a number")
    return parameter


def _ranked(
    op: str, groups: dict[Labels, list[tuple[Labels, float]]], parameter: Value | None
) -> Iterator[tuple[Labels, float]]:
    count = _number(parameter)
    if math.isnan(count):
        raise EvaluationError("the parameter of an aggregation is NaN")
    sign = -1 if op == "topk" else 1

    def rank(pair: tuple[Labels, float]) -> tuple[bool, float]:
        return math.isnan(pair[1]), 0 if math.isnan(pair[1]) else sign * pair[1]

    for of in groups.values():
        yield from sorted(of, key=rank)[: max(0, int(min(count, len(of))))]


def _counted(node: AggregateNode, vector: Vector, label: str) -> Vector:
    counts: Vector = defaultdict(float)
    label_of = _grouping(node, label)
    for labels, value in vector.items():
        counts[label_of(with_label(labels, label, plain(value)))] += 1.0
    return dict(counts)
