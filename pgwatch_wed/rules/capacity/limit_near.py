"""Limits that the database or the server will reach within weeks.

## Why it matters
A full disk stops the server; at the limit of connections, new ones are refused; without transaction IDs, nothing can be written.
With some weeks' notice, each of these is a routine task.

## How sure we are
C: a forecast from the values of earlier runs. The interval is meant to hold in four of five cases; `docs/forecasts.md` states how often
it did. Severity depends on its early end.

## Not reported
- Anything with fewer than 30 days on which there was a run (unknown, with the day from which on it can be told), or a pace that changed
  a few days ago.
- Growth that may be chance: the pace must be above zero even at the lower end of its interval.
- A bulk load or a copy that was dropped again, which is not a pace. VACUUM FULL, a dropped partition and a restore, which are not
  shrinkage that goes on. Purges that recur are part of the pace.
- The size of the database, unless `[capacity] disk` in the configuration says how large it may become: SQL cannot query free space.
- Sequences and integer keys, which `schema-int-overflow` and `schema-sequence-exhaustion` report with the day; transaction IDs as long as
  freezing keeps up; connections that are already close to the limit (`connection-usage`).

## Remedy
It depends on what grows: the query shows it. Remove what is not needed, add space, or let a pooler share connections. For transaction IDs,
see `vacuum-horizon` and `vacuum-wraparound`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Forecast, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.rules import _forecasts as fc
from pgwatch_wed.units import between, count, size

NEEDS = ("forecasts",)


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds, in days until the early end of the interval."""

    # Alerts on hours of growth cry wolf over every load; a forecast from a month of days need not be so short-sighted.
    critical_days: float = 7
    # Ordering space or changing a pool takes about a month.
    warn_days: float = 30
    # Good to know for the next quarter.
    info_days: float = 90
    # From this share on, connection-usage reports it.
    max_connection_share: float = 0.85
    # How large the database may become; 0 if that is not known. Set by `disk` in the table `capacity` of the configuration.
    disk_bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Subject:
    """How a kind of forecast is worded."""

    what: str
    risk: str
    query: str


_LARGEST = """SELECT c.oid::regclass AS relation, pg_size_pretty(pg_total_relation_size(c.oid)) AS size
FROM pg_class c WHERE c.relkind IN ('r', 'm') ORDER BY pg_total_relation_size(c.oid) DESC LIMIT 20;"""
_WHO = """SELECT datname, usename, application_name, state, count(*) FROM pg_stat_activity
WHERE backend_type = 'client backend' GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC LIMIT 20;"""
_OLDEST = """SELECT c.oid::regclass AS relation, age(c.relfrozenxid) FROM pg_class c
WHERE c.relkind IN ('r', 'm', 't') ORDER BY age(c.relfrozenxid) DESC LIMIT 20;"""

_SUBJECTS = {
    "database": _Subject(
        "The database is going to fill its disk",
        "when the disk is full, writes fail, and the server stops if there is no space for WAL",
        _LARGEST,
    ),
    "connections": _Subject(
        "The server is running out of connections",
        "at the limit, new connections are refused",
        _WHO,
    ),
    "xids": _Subject(
        "The database is running out of transaction IDs",
        "PostgreSQL refuses all writes until tables have been vacuumed",
        _OLDEST,
    ),
}


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each limit that is near."""
    for each in snapshot.forecasts:
        subject = _SUBJECTS.get(each.kind)
        if subject is None or (each.kind == "database" and not limits.disk_bytes):
            continue
        if each.reason:
            when = f"from {each.told_at:%Y-%m-%d} on" if each.told_at else ""
            yield Unknown(each.reason, when, _object(snapshot, each))
            continue
        forecast = each.reaching(limits.disk_bytes) if each.kind == "database" else each
        severity = _severity(snapshot, forecast, limits)
        if severity is not None:
            yield _finding(snapshot, forecast, subject, severity)


def _object(snapshot: Snapshot, forecast: Forecast) -> Object:
    if forecast.kind == "connections":
        return Object("setting", "max_connections")
    return Object("database", snapshot.server.database, database=snapshot.server.database)


def _severity(snapshot: Snapshot, forecast: Forecast, limits: Limits) -> Severity | None:
    days = fc.days_until(snapshot, forecast.reached_low)
    if days is None or not forecast.is_growing or forecast.limit is None:
        return None
    if (
        forecast.kind == "connections"
        and forecast.value >= limits.max_connection_share * forecast.limit
    ):
        return None
    if days <= limits.critical_days:
        return Severity.CRITICAL
    if days <= limits.warn_days:
        return Severity.WARNING
    return Severity.INFO if days <= limits.info_days else None


def _finding(
    snapshot: Snapshot, forecast: Forecast, subject: _Subject, severity: Severity
) -> Finding:
    when = between(forecast.reached_low, forecast.reached_high)
    return Finding(
        object=_object(snapshot, forecast),
        severity=severity,
        grade=Grade.C,
        title=f"{subject.what}, {when}",
        detail=f"It is at {_amount(forecast, forecast.value)} of {_amount(forecast, forecast.limit)}, "
        f"and grows by {_amount(forecast, forecast.pace)} a day "
        f"({_amount(forecast, forecast.pace_low)} to {_amount(forecast, forecast.pace_high)}).",
        evidence=_evidence(forecast),
        impact=Impact(risk=subject.risk),
        remedy=(Remedy(sql=subject.query, lock="none", undo="-- nothing to undo: it only reads"),),
        caveats=tuple(fc.basis(forecast)),
    )


def _evidence(forecast: Forecast) -> dict[str, float | str | None]:
    unit = forecast.unit
    return {
        f"now_{unit}": round(forecast.value),
        f"limit_{unit}": round(forecast.limit or 0),
        f"growth_per_day_{unit}": round(forecast.pace or 0, 1),
        **fc.dates(forecast.reached_low, forecast.reached, forecast.reached_high),
        "daily_values": forecast.points,
    }


def _amount(forecast: Forecast, value: float | None) -> str:
    if forecast.unit == "bytes":
        return size(value or 0)
    noun = "transaction ID" if forecast.unit == "xids" else "connection"
    return count(round(value or 0, 1 if abs(value or 0) < 10 else None), noun)
