"""How forecasts are judged and worded."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from pgwatch_wed.facts import Forecast, Snapshot
from pgwatch_wed.findings import Finding
from pgwatch_wed.units import between


def days_until(snapshot: Snapshot, moment: datetime | None) -> float | None:
    """Return the days from the snapshot on; 0 if the moment has passed."""
    if moment is None:
        return None
    return max((moment - snapshot.now).total_seconds() / 86_400, 0.0)


def of_sequence(snapshot: Snapshot, oid: int, end: int) -> Forecast | None:
    """Return when a sequence comes to this end, if it grows and earlier runs can tell."""
    for each in snapshot.forecasts:
        if each.kind == "sequence" and each.oid == oid and each.limit == float(end):
            return each if each.is_growing and each.reached_low is not None else None
    return None


def dates(
    low: datetime | None, middle: datetime | None, high: datetime | None
) -> dict[str, str | None]:
    """Return the three days as evidence."""
    return {
        "reached_earliest": _date(low),
        "reached": _date(middle),
        "reached_latest": _date(high),
    }


def _date(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment:%Y-%m-%d}"


def basis(forecast: Forecast) -> Iterator[str]:
    """Yield what a forecast is based on, as caveats."""
    since = f" since {forecast.begins:%Y-%m-%d}" if forecast.begins else ""
    yield f"It is based on {forecast.points} daily values{since}, and holds in four of five cases if the pace stays as it is."
    if forecast.note:
        yield f"{forecast.note[0].upper()}{forecast.note[1:]}."


def evidence(forecast: Forecast) -> dict[str, float | str | None]:
    """Return the pace of a sequence and the days as evidence."""
    return {
        "values_per_day": round(forecast.pace or 0.0, 1),
        **dates(forecast.reached_low, forecast.reached, forecast.reached_high),
        "daily_values": forecast.points,
    }


def sentence(forecast: Forecast) -> str:
    """Say when a sequence comes to its end."""
    when = between(forecast.reached_low, forecast.reached_high)
    since = f" since {forecast.begins:%Y-%m-%d}" if forecast.begins else ""
    return (
        f"At the pace of {forecast.pace:,.0f} values a day{since}, it ends {when} (80% interval)."
    )


def added(finding: Finding, forecast: Forecast) -> Finding:
    """Add to a finding when it will happen."""
    return replace(
        finding,
        detail=f"{finding.detail} {sentence(forecast)}",
        evidence={**finding.evidence, **evidence(forecast)},
    )
