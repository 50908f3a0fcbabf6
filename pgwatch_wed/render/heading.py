"""Forecasts in words, for all formats that people read."""

from pgwatch_wed.findings import ForecastLine
from pgwatch_wed.units import between, size

HEADINGS = ("object", "now", "limit", "growth a day", "limit reached", "note")
INTRO = (
    "Growth and days with intervals of 80%, from the values of earlier runs; see docs/forecasts.md."
)


def cells(line: ForecastLine) -> tuple[str, ...]:
    """Return the cells of a line, in the order of :data:`HEADINGS`."""
    limit = "" if line.limit is None else _amount(line, line.limit)
    return (line.label, _amount(line, line.value), limit, pace(line), when(line), line.note)


def pace(line: ForecastLine) -> str:
    """Return how much is added a day."""
    if line.pace is None:
        return ""
    low, middle, high = (_amount(line, value) for value in line.pace)
    return middle if low == middle == high else f"{middle} ({low} to {high})"


def when(line: ForecastLine) -> str:
    """Return when the limit is reached, or why there is no such day."""
    if line.reason:
        when_told = f"; from {line.told_at:%Y-%m-%d} on" if line.told_at else ""
        return f"unknown: {line.reason}{when_told}"
    if line.limit is None:
        return ""
    if not line.is_growing:
        return "no growth that could not be chance"
    return between(line.reached[0], line.reached[2])


def sentence(line: ForecastLine) -> str:
    """Say in one line where something is heading."""
    grows = f", {pace(line)} more a day" if line.is_growing else ""
    limit = "" if line.limit is None else f" of {_amount(line, line.limit)}"
    found = when(line)
    end = f"; limit: {found}" if found else ""
    return f"{line.label}: {_amount(line, line.value)}{limit}{grows}{end}"


def _amount(line: ForecastLine, value: float) -> str:
    if line.unit == "bytes":
        return size(value)
    return f"{value:,.0f}" if abs(value) >= 10 or value == round(value) else f"{value:,.1f}"
