"""Sizes, times and counts, read and printed the way PostgreSQL does.

As in postgresql.conf and pg_size_pretty, kB, MB, GB and TB are powers of 1024; kiB, MiB and so on
mean the same.
"""

import math
import re
from datetime import datetime, timedelta

_POWERS = {"b": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:(bytes?|b)|([kmgtp])(?:i?b)?)?\s*\Z", re.IGNORECASE)
_PRINTED = ("B", "kB", "MB", "GB", "TB", "PB")
_SPANS_S = {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86_400}
_SPAN = re.compile(
    r"\s*(\d+(?:\.\d+)?)\s*(ms|s|sec|seconds?|min|minutes?|h|hours?|d|days?)\s*\Z", re.IGNORECASE
)
_TIMES_MS = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000))
_EXACT_MS = (*_TIMES_MS, ("ms", 1))
_EXACT_BYTES = tuple((name, 1024**power) for power, name in reversed(tuple(enumerate(_PRINTED))))
_MOST_DECIMALS = 9


# Reading


def read_size(text: str, bare: str = "B") -> int:
    """Return the bytes of a size such as ``500MB``; ``bare`` is the unit of a number without one.

    Raises ValueError if the text is not a size.
    """
    match = _SIZE.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not a size")
    unit = match[3] or (match[2] and "b") or bare
    return int(float(match[1]) * 1024 ** _POWERS[unit[0].lower()])


def read_span(text: str) -> timedelta:
    """Return the time that ``30 days``, ``12 h`` or ``500 ms`` means; ValueError for anything else."""
    match = _SPAN.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not a time")
    unit = match[2].lower()
    key = "ms" if unit == "ms" else "min" if unit.startswith("min") else unit[0]
    return timedelta(seconds=float(match[1]) * _SPANS_S[key])


def setting_factor(unit: str) -> float:
    """Return the factor of a unit in pg_settings: to bytes, or to milliseconds.

    A unit such as ``8kB`` counts blocks of that size; an unknown one counts 1.
    """
    if (span := _SPANS_S.get(unit)) is not None:
        return span * 1000
    digits = re.match(r"\d*", unit)
    number, size = (digits[0], unit[digits.end() :]) if digits else ("", unit)
    try:
        return int(number or 1) * read_size(f"1{size}")
    except ValueError:
        return 1


# Printing


def size(value: float) -> str:
    """Print bytes: ``14 MB``."""
    power = 0
    while abs(value) >= 1024 ** (power + 1) and power < len(_PRINTED) - 1:
        power += 1
    scaled = value / 1024**power
    return f"{scaled:.0f} B" if power == 0 else f"{short(scaled)} {_PRINTED[power]}"


def duration(ms: float) -> str:
    """Print milliseconds: ``3.4 min``."""
    for unit, scale in _TIMES_MS:
        if abs(ms) >= scale:
            return f"{short(ms / scale)} {unit}"
    return f"{short(ms)} ms"


def words(length: timedelta | None) -> str:
    """Print a time for use in a sentence: ``3 hours``."""
    if length is None:
        return "an unknown time"
    total = length.total_seconds()
    for unit, scale in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if total >= 2 * scale:
            return f"{total / scale:.0f} {unit}"
    return f"{total:.1f} s"


def count(number: float, noun: str, plural: str = "") -> str:
    """Print a number of things: ``1 session``, ``2 sessions``; ``plural`` if it is not noun + s."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def share(value: float) -> str:
    """Print 0.71 as ``71%``, 0.0053 as ``0.5%`` and 0.00034 as ``0.03%``."""
    if value >= 0.0995 or value == 0:
        return f"{value * 100:.0f}%"
    return f"{value * 100:.1f}%" if abs(value) >= 0.0005 else f"{decimals(value * 100, 1)}%"


def short(value: float) -> str:
    """Print a number with two or three digits, never with an exponent: ``0.03``, ``3.4``, ``1234``."""
    if abs(value) >= 10 or value == 0:
        return f"{value:.0f}"
    return f"{value:.1f}".removesuffix(".0") if abs(value) >= 1 else decimals(value, 2)


def decimals(value: float, digits: int) -> str:
    """Print a number below 1 with so many digits that are not zeros before them: ``0.00034``."""
    if not math.isfinite(value) or value == 0:
        return f"{value:.0f}"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    text = f"{value:.{min(places, _MOST_DECIMALS)}f}".rstrip("0").removesuffix(".")
    return "0" if text == "-0" else text


def setting(value: str | None, unit: str | None) -> str:
    """Print a setting as SHOW does, with the largest unit that loses nothing: 32768 of 8kB is ``256 MB``."""
    try:
        number = float(value or "")
    except ValueError:
        return value or ""
    if not unit or number <= 0:
        return value or ""
    total = number * setting_factor(unit)
    for name, scale in _EXACT_MS if unit in _SPANS_S else _EXACT_BYTES:
        if total % scale == 0:
            return f"{total / scale:.0f} {name}"
    return f"{value} {unit}"


def between(low: datetime | None, high: datetime | None) -> str:
    """Print when something will happen: ``between 2026-12-01 and 2027-01-04``."""
    if low is None:
        return "not within three years"
    if high is None:
        return f"on {low:%Y-%m-%d} at the earliest"
    if low.date() == high.date():
        return f"on {low:%Y-%m-%d}"
    return f"between {low:%Y-%m-%d} and {high:%Y-%m-%d}"
