"""Numbers as people read them: sizes, times, shares, ages."""

from typing import Any

_SIZES = (("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10))
_TIMES = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000))


def size(value: float) -> str:
    """``14 MB``: powers of 1024, as PostgreSQL prints them."""
    for unit, scale in _SIZES:
        if abs(value) >= scale:
            return f"{_short(value / scale)} {unit}"
    return f"{value:.0f} B"


def duration(ms: float) -> str:
    """``3.4 min`` out of milliseconds."""
    for unit, scale in _TIMES:
        if abs(ms) >= scale:
            return f"{_short(ms / scale)} {unit}"
    return f"{_short(ms)} ms"


def share(value: float) -> str:
    """``71 %`` out of 0.71."""
    return f"{value * 100:.0f} %" if value >= 0.0995 or value == 0 else f"{value * 100:.1f} %"


def count(value: float) -> str:
    """``1,234,567``."""
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 100 else f"{value:,.4g}"


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
    """Turn an evidence key into words, its unit aside."""
    for unit in ("_bytes", "_ms", "_share", "_fraction", "_xids", "_seconds", "_s"):
        name = name.removesuffix(unit)
    return name.replace("_", " ")


def _number(name: str, value: float) -> str:
    if name.endswith(("bytes", "_size")):
        return size(value)
    if name.endswith("_ms") or "_ms_" in name or name.startswith("ms_"):
        return duration(value)
    if name.endswith(("_seconds", "_s")):
        return duration(value * 1000)
    if name.endswith(("_share", "_fraction")) and 0 <= value <= 1:
        return share(value)
    if name.endswith(("_id", "_ids", "pid", "oid")):
        return str(value)
    return count(value)


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.1f}".removesuffix(".0")
