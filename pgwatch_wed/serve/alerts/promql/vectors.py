"""What a query returns, and labels."""

from collections.abc import Iterable
from dataclasses import dataclass

from pgwatch_wed.errors import Error
from pgwatch_wed.serve.state import Labels

NAME = "__name__"
Vector = dict[Labels, float]
Value = Vector | float | str


@dataclass(frozen=True, slots=True)
class Semantics:
    """Which Prometheus is followed: since 3.0, the left edge of a window is not part of it."""

    is_left_open: bool = True
    lookback_ms: int = 300_000
    step_ms: int = 15_000  # of a subquery without one: the interval of evaluation


class EvaluationError(Error):
    """A query that cannot be answered on these samples, as Prometheus could not either."""


def unnamed(labels: Labels) -> Labels:
    """Return labels without the metric's name."""
    return tuple(pair for pair in labels if pair[0] != NAME)


def gathered(pairs: Iterable[tuple[Labels, float]]) -> Vector:
    """Return a vector; two results of the same labels are an error, as in Prometheus."""
    found: Vector = {}
    for labels, value in pairs:
        if labels in found:
            raise EvaluationError("vector cannot contain metrics with the same labelset")
        found[labels] = value
    return found


def with_label(labels: Labels, label: str, value: str) -> Labels:
    """Return labels with one set; an empty value removes it."""
    rest = [pair for pair in labels if pair[0] != label]
    return tuple(sorted([*rest, (label, value)])) if value else tuple(rest)
