"""Which metrics there are: the one list from which values, documentation and dashboards come.

Names have the prefix, base units, and ``_total`` if they are counters; transactions are ``_xids``. Labels are names of
things, never texts, users or what anybody typed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.serve.state import PREFIX

KINDS = ("counter", "gauge", "histogram")
_NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: ``source`` is the fact or the part of the service that it comes from."""

    name: str
    kind: str
    labels: tuple[str, ...]
    source: str
    help: str

    @property
    def full_name(self) -> str:
        """The name with the prefix."""
        return PREFIX + self.name


# A value of a metric: its labels' values in their order; None or not a number is no value.
MetricReading = tuple[Metric, tuple[str, ...], float | None]
Readings = Iterator[MetricReading]

_registered: dict[str, Metric] = {}


def registered(kind: str, name: str, labels: str, source: str, meaning: str) -> Metric:
    """Register a metric; ``labels`` are separated by spaces."""
    if kind not in KINDS or not _NAME.fullmatch(name) or name in _registered:
        raise ValueError(f"{name}: not a new metric")
    if (kind == "counter") is not name.endswith("_total"):
        raise ValueError(f"{name}: counters, and only they, end with _total")
    metric = Metric(name, kind, tuple(labels.split()), source, meaning)
    _registered[name] = metric
    return metric


def find(name: str) -> Metric | None:
    """Return the metric of a name without prefix, if there is one."""
    return _registered.get(name)


def all_metrics() -> tuple[Metric, ...]:
    """Return the metrics of all modules that have been imported, by name."""
    return tuple(_registered[name] for name in sorted(_registered))
