"""Numbers and durations as text, as Prometheus writes them."""

import math
import re
from datetime import UTC, datetime
from decimal import Decimal

_PREFIXES = ("k", "M", "G", "T", "P", "E", "Z", "Y")
_SMALL_PREFIXES = ("m", "u", "n", "p", "f", "a", "z", "y")
_BINARY_PREFIXES = ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi")
_DURATION = re.compile(
    r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?"
)
_UNITS_MS = (31_536_000_000, 604_800_000, 86_400_000, 3_600_000, 60_000, 1000, 1)


def duration_ms(text: str) -> int:
    """Return a duration such as 1h30m in milliseconds; anything else is a ValueError."""
    match = _DURATION.fullmatch(text)
    if text == "0":
        return 0
    if not text or match is None:
        raise ValueError(f"not a duration: {text!r}")
    return sum(int(n) * ms for n, ms in zip(match.groups(), _UNITS_MS, strict=True) if n)


def duration_text(ms: int) -> str:
    """Return milliseconds as Prometheus writes a duration."""
    if ms == 0:
        return "0s"
    parts = []
    for unit, size in zip(("y", "w", "d", "h", "m", "s", "ms"), _UNITS_MS, strict=True):
        # Years and weeks only if nothing is left: 30d says more than 4w2d.
        if unit in "yw" and ms % size:
            continue
        count, ms = divmod(ms, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def shown(value: float) -> str:
    """Return a number as Go prints it: 1.234567e+06."""
    if value == 0 or not math.isfinite(value) or 1e-4 <= abs(value) < 1e6:
        return plain(value)
    mantissa, _, power = f"{Decimal(repr(value)):e}".partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}e{power[0]}{power[1:].zfill(2)}"


def plain(value: float) -> str:
    """Return a number without an exponent."""
    special = _special(value)
    if special:
        return special
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _special(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return ("+Inf" if value > 0 else "-Inf") if math.isinf(value) else ""


def four_digits(value: float) -> str:
    """Return a number with four significant digits."""
    text = f"{value:.4g}"
    mantissa, e, power = text.partition("e")
    return f"{mantissa}e{power[0]}{power[1:].zfill(2)}" if e else text


def humanize(value: float) -> str:
    """Return a number with a prefix of the SI."""
    if value == 0 or _special(value):
        return _special(value) or "0"
    prefix = ""
    if abs(value) >= 1:
        for p in _PREFIXES:
            if abs(value) < 1000:
                break
            prefix, value = p, value / 1000
    else:
        for p in _SMALL_PREFIXES:
            if abs(value) >= 1:
                break
            prefix, value = p, value * 1000
    return f"{four_digits(value)}{prefix}"


def humanize_1024(value: float) -> str:
    """Return a number with a binary prefix."""
    if abs(value) <= 1 or _special(value):
        return four_digits(value) if not _special(value) else _special(value)
    prefix = ""
    for p in _BINARY_PREFIXES:
        if abs(value) < 1024:
            break
        prefix, value = p, value / 1024
    return f"{four_digits(value)}{prefix}"


def humanize_duration(seconds: float) -> str:
    """Return seconds as days, hours, minutes and seconds."""
    if _special(seconds):
        return _special(seconds)
    if seconds == 0:
        return "0s"
    if abs(seconds) < 1:
        return _short_duration(seconds)
    sign, whole = ("-", int(-seconds)) if seconds < 0 else ("", int(seconds))
    s, m, h, d = whole % 60, whole // 60 % 60, whole // 3600 % 24, whole // 86400
    if d:
        return f"{sign}{d}d {h}h {m}m {s}s"
    if h:
        return f"{sign}{h}h {m}m {s}s"
    if m:
        return f"{sign}{m}m {s}s"
    return f"{four_digits(seconds)}s"


def _short_duration(seconds: float) -> str:
    prefix = ""
    for p in _SMALL_PREFIXES:
        if abs(seconds) >= 1:
            break
        prefix, seconds = p, seconds * 1000
    return f"{four_digits(seconds)}{prefix}s"


def humanize_percentage(ratio: float) -> str:
    """Return a ratio as a percentage."""
    return f"{four_digits(ratio * 100)}%" if not _special(ratio) else f"{_special(ratio)}%"


def humanize_timestamp(seconds: float) -> str:
    """Return a moment in UTC."""
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return _special(seconds) or shown(seconds)
    fraction = f".{moment.microsecond // 1000:03d}".rstrip("0").rstrip(".")
    return f"{moment:%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"
