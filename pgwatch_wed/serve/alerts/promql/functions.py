"""Functions of a vector or a number; those of windows stand in windows.py."""

import math
import re
from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, datetime

from pgwatch_wed.serve.alerts.promql.arithmetic import INF, NAN, larger, smaller
from pgwatch_wed.serve.alerts.promql.nodes import InstantNode, Node, WindowNode
from pgwatch_wed.serve.alerts.promql.vectors import (
    NAME,
    EvaluationError,
    Vector,
    gathered,
    unnamed,
    with_label,
)
from pgwatch_wed.serve.state import Labels

_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
# `$1`, `${1}` or `$name` in the replacement of label_replace, and `$$` for the sign.
_REFERENCE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})")


def _whole(function: Callable[[float], float]) -> Callable[[float], float]:
    return lambda v: v if math.isnan(v) or math.isinf(v) else float(function(v))


def _logarithm(function: Callable[[float], float]) -> Callable[[float], float]:
    return lambda v: -INF if v == 0 else (NAN if v < 0 or math.isnan(v) else function(v))


def _exponential(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return INF


OF_ONE: dict[str, Callable[[float], float]] = {
    "abs": abs,
    "ceil": _whole(math.ceil),
    "floor": _whole(math.floor),
    "exp": _exponential,
    "ln": _logarithm(math.log),
    "log2": _logarithm(math.log2),
    "log10": _logarithm(math.log10),
    "sqrt": lambda v: NAN if v < 0 else math.sqrt(v),
    "sgn": lambda v: v if v == 0 or math.isnan(v) else math.copysign(1.0, v),
}


def rounded(value: float, to: float) -> float:
    """Return the nearest multiple; halves go up."""
    if to == 0 or math.isnan(value) or math.isinf(value):
        return NAN if to == 0 else value
    inverse = 1.0 / to
    return math.floor(value * inverse + 0.5) / inverse


def clamped(value: float, least: float, most: float) -> float:
    """Return a value that is not outside of limits."""
    return larger(least, smaller(most, value))


OF_MOMENT: dict[str, Callable[[datetime], float]] = {
    "minute": lambda d: float(d.minute),
    "hour": lambda d: float(d.hour),
    "day_of_week": lambda d: float(d.isoweekday() % 7),
    "day_of_month": lambda d: float(d.day),
    "day_of_year": lambda d: float(d.timetuple().tm_yday),
    "days_in_month": lambda d: float(monthrange(d.year, d.month)[1]),
    "month": lambda d: float(d.month),
    "year": lambda d: float(d.year),
}


def of_moment(function: str, seconds: float) -> float:
    """Return a part of a date in UTC."""
    try:
        return OF_MOMENT[function](datetime.fromtimestamp(int(seconds), UTC))
    except (ValueError, OverflowError, OSError):
        return NAN


def absent_labels(node: Node) -> Labels:
    """Return the labels of what is absent: those that a selector fixes, once each."""
    selector = node.selector if isinstance(node, WindowNode) else node
    if not isinstance(selector, InstantNode):
        return ()
    fixed: dict[str, str] = {}
    seen: set[str] = set()
    for m in selector.matches:
        if m.label == NAME:
            continue
        if m.op == "=" and m.label not in seen:
            fixed[m.label] = m.value
            seen.add(m.label)
        else:
            fixed.pop(m.label, None)
    return tuple(sorted((k, v) for k, v in fixed.items() if v))


def label_replace(
    vector: Vector, label: str, replacement: str, source: str, pattern: str
) -> Vector:
    """Set a label to what a regular expression found in another."""
    _check_label(label)
    compiled = re.compile(pattern, re.DOTALL)

    def replaced(labels: Labels) -> Labels:
        match = compiled.fullmatch(dict(labels).get(source, ""))
        return labels if match is None else with_label(labels, label, _expand(match, replacement))

    return gathered((replaced(ls), v) for ls, v in vector.items())


def _expand(match: re.Match[str], replacement: str) -> str:
    def found(reference: re.Match[str]) -> str:
        name = reference[1] or reference[2]
        if name is None:
            return "$"
        try:
            return match[int(name) if name.isdigit() else name] or ""
        except IndexError:
            return ""

    return _REFERENCE.sub(found, replacement)


def label_join(vector: Vector, label: str, separator: str, sources: list[str]) -> Vector:
    """Set a label to the values of others."""
    _check_label(label)

    def joined(labels: Labels) -> Labels:
        values = dict(labels)
        return with_label(labels, label, separator.join(values.get(s, "") for s in sources))

    return gathered((joined(ls), v) for ls, v in vector.items())


def _check_label(label: str) -> None:
    if not _LABEL_NAME.fullmatch(label):
        raise EvaluationError(f"invalid label name {label!r}")


def mapped(vector: Vector, function: Callable[[float], float]) -> Vector:
    """Return a vector with a function applied to each value."""
    return gathered((unnamed(ls), function(v)) for ls, v in vector.items())
