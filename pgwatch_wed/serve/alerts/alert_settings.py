"""The table ``[alerts]``: which rules, as which Prometheus."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgwatch_wed.errors import UsageError
from pgwatch_wed.suggestions import unknown_key

_PROMETHEUS = ("2", "3")
_KEYS = ("rules", "interval", "prometheus", "state")


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """How alerts are evaluated.

    ``rules``: files of rules; without any, ours. ``prometheus``: whose windows, "3" (without their left edge)
    or "2". ``state``: the file that keeps
    states over a restart.
    """

    rules: tuple[Path, ...] = ()
    interval_s: float = 15.0
    prometheus: str = "3"
    state: Path | None = None


def parse_alerts(table: Mapping[str, Any], source: str) -> AlertSettings:
    """Read the table; errors name file and key."""
    for key in table:
        if key not in _KEYS:
            raise unknown_key(f"{source}: alerts", key, _KEYS)
    rules = table.get("rules", [])
    if isinstance(rules, str):
        rules = [rules]
    if not isinstance(rules, list) or not all(isinstance(r, str) and r for r in rules):
        raise UsageError(f"{source}: alerts.rules must be a list of files")
    prometheus = str(table.get("prometheus", "3"))
    if prometheus not in _PROMETHEUS:
        raise UsageError(f'{source}: alerts.prometheus must be "2" or "3"')
    state = table.get("state")
    if state is not None and (not isinstance(state, str) or not state):
        raise UsageError(f"{source}: alerts.state must be a file")
    return AlertSettings(
        tuple(Path(r) for r in rules),
        _interval(table.get("interval", 15), source),
        prometheus,
        Path(state) if state else None,
    )


def _interval(value: Any, source: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 300:
        raise UsageError(f"{source}: alerts.interval must be 1 to 300 seconds")
    return float(value)
