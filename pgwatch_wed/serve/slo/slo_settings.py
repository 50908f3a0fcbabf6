"""The tables ``[slo.NAME]``: what is promised.

::

    [slo.availability]
    kind = "availability"        # requests without an error of the server
    objective = "99.99%"

    [slo.fast]
    kind = "latency"             # requests faster than a bound of the histogram
    objective = "95%"
    within = "200 ms"

    [slo.queries]
    kind = "query_time"          # minutes in which the mean time of queries was below
    objective = "99%"
    within = "50 ms"

    [slo.reachable]
    kind = "probe"               # times that a probe passed, coarser than requests
    objective = "99.9%"
    probe = "database"
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from pgwatch_wed.config import span
from pgwatch_wed.errors import UsageError
from pgwatch_wed.suggestions import unknown_key

KINDS = ("availability", "latency", "query_time", "probe")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_KEYS = {"kind", "objective", "within", "probe", "match", "least_errors", "least_calls", "window"}
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Objective:
    """A promise: the share of events that are to be good, over a window of days.

    ``match`` are labels of the series that count. No alert is raised for fewer bad events than ``least_errors``.
    """

    name: str
    kind: str
    objective: float
    within_s: float = 0.0
    probe: str = ""
    match: Mapping[str, str] = field(default_factory=dict)
    least_errors: int = 10
    least_calls: int = 20
    window_s: float = 30 * _DAY_S

    @property
    def budget(self) -> float:
        """The share of events that may be bad."""
        return 1 - self.objective

    @property
    def allowed_s(self) -> float:
        """How long everything may be bad within the window."""
        return round(self.budget * self.window_s, 3)


# The guide's objectives. Over a mean month of 30.44 days, 99.99% are 4.38 minutes.
GUIDE: Mapping[str, Mapping[str, Any]] = {
    "availability": {"kind": "availability", "objective": "99.99%"},
    "response-time": {"kind": "latency", "objective": "95%", "within": "200 ms"},
    "error-rate": {"kind": "availability", "objective": "99.9%"},
    "query-time": {"kind": "query_time", "objective": "99%", "within": "50 ms"},
}


def parse_slos(tables: Mapping[str, Any], source: str) -> tuple[Objective, ...]:
    """Read the tables; without any, the guide's objectives. UsageError names the file and the key."""
    return tuple(
        _objective(name, table, f"{source}: slo.{name}")
        for name, table in (tables or GUIDE).items()
    )


def _objective(name: str, table: Any, where: str) -> Objective:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{where}: a name has small letters, digits, - and _")
    if not isinstance(table, Mapping):
        raise UsageError(f"{where} must be a table")
    for key in table:
        if key not in _KEYS:
            raise unknown_key(where, key, sorted(_KEYS))
    kind = table.get("kind")
    if kind not in KINDS:
        raise UsageError(f"{where}.kind must be one of {', '.join(KINDS)}")
    needs = {"latency": "within", "query_time": "within", "probe": "probe"}.get(kind)
    if needs and needs not in table:
        raise UsageError(f"{where} must have {needs}")
    return Objective(
        name=name,
        kind=kind,
        objective=_share(table.get("objective"), f"{where}.objective"),
        within_s=_seconds(table["within"], f"{where}.within") if "within" in table else 0.0,
        probe=_word(table.get("probe", ""), f"{where}.probe"),
        match=_labels(table.get("match", {}), f"{where}.match"),
        least_errors=_number(
            table.get("least_errors", 2 if kind in ("query_time", "probe") else 10),
            f"{where}.least_errors",
        ),
        least_calls=_number(table.get("least_calls", 20), f"{where}.least_calls"),
        window_s=_seconds(table.get("window", "30 days"), f"{where}.window"),
    )


def _share(value: Any, where: str) -> float:
    try:
        is_share = isinstance(value, str) and value.endswith("%")
        share = float(Decimal(value[:-1]) / 100) if is_share else None  # 0.9999, not 0.99989…
    except (ArithmeticError, ValueError):
        share = None
    if share is None or not 0.5 <= share < 1:
        raise UsageError(
            f"{where} must be a share such as '99.9%', at least 50% and less than 100%"
        )
    return share


def _seconds(value: Any, where: str) -> float:
    if not isinstance(value, str):
        raise UsageError(f"{where} must be a time such as '200 ms', not {value!r}")
    seconds = span(value, where).total_seconds()
    if not 0 < seconds <= 92 * _DAY_S:
        raise UsageError(f"{where} must be more than nothing, and 92 days at most")
    return seconds


def _number(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UsageError(f"{where} must be a whole number, at least 1")
    return value


def _word(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{where} must be a text")
    return value


def _labels(value: Any, where: str) -> Mapping[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(v, str) for v in value.values()):
        raise UsageError(f"{where} must be a table of labels")
    return dict(value)
