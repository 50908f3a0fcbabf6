"""Forecasts as lines of the report: the nearest limits first, then what grows most."""

from collections.abc import Iterable, Iterator

from pgwatch_wed.facts import Forecast, Snapshot
from pgwatch_wed.findings import ForecastLine

_TABLES = 10


def forecast_lines(snapshots: Iterable[Snapshot], disk: int | None) -> tuple[ForecastLine, ...]:
    """Return a line for whatever has a limit, for the databases and the WAL, and for the tables that grow most."""
    lines = [line for snapshot in snapshots for line in _lines(snapshot, disk)]
    known = list(dict.fromkeys(lines))
    tables = sorted((x for x in known if x.kind == "table"), key=lambda x: -_pace(x))
    shown = {*(x for x in known if x.kind != "table"), *(tables[:_TABLES])}
    return tuple(sorted(shown, key=_order))


def _lines(snapshot: Snapshot, disk: int | None) -> Iterator[ForecastLine]:
    for each in snapshot.forecasts:
        is_of_disk = each.kind == "database" and disk is not None and not each.reason
        forecast = each.reaching(float(disk or 0)) if is_of_disk else each
        if forecast.kind != "table" or forecast.is_growing:
            yield _line(snapshot, forecast)


def _line(snapshot: Snapshot, own: Forecast) -> ForecastLine:
    is_told = own.pace_low is not None and own.pace is not None and own.pace_high is not None
    return ForecastLine(
        kind=own.kind,
        label=_label(snapshot, own),
        unit=own.unit,
        value=own.value,
        limit=own.limit,
        pace=(own.pace_low or 0.0, own.pace or 0.0, own.pace_high or 0.0) if is_told else None,
        reached=(own.reached_low, own.reached, own.reached_high),
        is_growing=own.is_growing,
        daily_values=own.points,
        since=own.begins,
        note=own.note,
        reason=own.reason,
        told_at=own.told_at,
    )


def _label(snapshot: Snapshot, own: Forecast) -> str:
    database = snapshot.server.database
    match own.kind:
        case "table":
            return f"table {own.schema}.{own.table}"
        case "sequence":
            return f"sequence {own.schema}.{own.sequence}"
        case "connections":
            return "connections"
        case "wal":
            return "WAL written"
        case "xids":
            return f"transaction IDs of {database}"
    return f"database {database}"


def _pace(line: ForecastLine) -> float:
    return line.pace[1] if line.pace is not None else 0.0


def _order(line: ForecastLine) -> tuple[object, ...]:
    low = line.reached[0]
    return (
        low is None or not line.is_growing,
        low.timestamp() if low is not None and line.is_growing else 0.0,
        line.kind == "table",
        bool(line.reason),
        -_pace(line) if line.unit == "bytes" else 0.0,
        line.label,
    )
