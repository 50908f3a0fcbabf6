"""Evidence as people read it."""

from typing import Any

from pgwatch_wed import units


def number(value: float) -> str:
    """``1,234,567``."""
    if float(value).is_integer() or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:,.4g}" if abs(value) >= 1 else units.decimals(value, 4)


def measured(name: str, value: Any) -> str:
    """Print an evidence value by the unit in its name."""
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number(name, value)
    if isinstance(value, list | tuple):
        return ", ".join(measured(name, v) for v in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{k} {measured(str(k), v)}" for k, v in value.items())
    return str(value)


def label(name: str) -> str:
    """Turn an evidence key into words, without its unit."""
    for unit in ("_bytes", "_ms", "_share", "_fraction", "_xids", "_seconds", "_s"):
        name = name.removesuffix(unit)
    return name.replace("_", " ")


def _number(name: str, value: float) -> str:
    if name.endswith(("bytes", "_size")):
        return units.size(value)
    if name.endswith("_ms") or "_ms_" in name or name.startswith("ms_"):
        return units.duration(value)
    if name.endswith(("_seconds", "_s")):
        return units.duration(value * 1000)
    if name.endswith(("_share", "_fraction")) and 0 <= value <= 1:
        return units.share(value)
    if name.endswith(("_id", "_ids", "pid", "oid")) or name == "root":  # of a queue, by its PID
        return str(value)
    return number(value)
