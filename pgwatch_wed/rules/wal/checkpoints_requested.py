"""Checkpoints come because the WAL is full, not because it is time.

## Why it matters
Each checkpoint makes the next change of every page write the whole page to the WAL, and writes all dirty buffers in a hurry.
Spaced by checkpoint_timeout they cost a fraction.

## How sure we are
B for the counts; C for the size advised: the WAL written between two timed checkpoints at the measured rate, and half as
much again.

## Not reported
Few checkpoints; those that a load, a backup or CREATE DATABASE requested now and then; a WAL rate that cannot be told.

## Remedy
ALTER SYSTEM SET max_wal_size to what the WAL rate needs, and a reload. Recovery after a crash reads up to that much.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Checkpoints, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown

NEEDS = ("checkpoints", "settings")
SCOPE = "cluster"
PRIMARY_ONLY = True

_MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Fewer requested ones are accidents: loads, backups, CREATE DATABASE.
    min_requested: int = 10
    # Part of all checkpoints that were requested.
    min_share: float = 0.2
    # From this part on it is a warning, when they also come this often.
    warn_share: float = 0.5
    # Requested checkpoints an hour that make it a warning.
    warn_per_hour: float = 6.0


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding where requested checkpoints are many."""
    for c in snapshot.checkpoints:
        total = c.timed + c.requested
        if c.requested >= limits.min_requested and c.requested / total >= limits.min_share:
            yield _finding(snapshot, c, limits)


def _finding(snapshot: Snapshot, c: Checkpoints, limits: Limits) -> Finding:
    share = c.requested / (c.timed + c.requested)
    hours = (snapshot.now - c.stats_reset).total_seconds() / 3600 if c.stats_reset else None
    pace = c.requested / hours if hours else None
    current = snapshot.setting_number("max_wal_size") or 0
    rate = _wal_rate(snapshot)
    timeout = (snapshot.setting_number("checkpoint_timeout") or 300_000) / 1000
    # max_wal_size holds up to two checkpoints' distance; see "WAL Configuration" in the documentation
    needed = rate * timeout * 2 * 1.5 if rate is not None else None
    wanted = _rounded(max(needed or 0, current * 2))
    warns = share >= limits.warn_share and (pace or 0) >= limits.warn_per_hour
    return Finding(
        object=Object("setting", "max_wal_size"),
        severity=Severity.WARNING if warns else Severity.INFO,
        grade=Grade.B,
        title=f"{share:.0%} of the checkpoints were requested, {c.requested:,} of {c.timed + c.requested:,}",
        detail=f"The WAL reaches max_wal_size ({current / _MB:,.0f} MB) before checkpoint_timeout ({timeout:.0f} s) is over."
        + (
            f" At {rate / _MB:,.2f} MB of WAL a second, {wanted / _MB:,.0f} MB would last."
            if rate
            else ""
        ),
        evidence={
            "timed": c.timed,
            "requested": c.requested,
            "requested_share": round(share, 4),
            "requested_per_hour": None if pace is None else round(pace, 2),
            "wal_bytes_per_second": None if rate is None else round(rate),
            "max_wal_size_bytes": round(current),
            "checkpoint_timeout_seconds": timeout,
        },
        impact=Impact(risk="full-page images and bursts of writes"),
        remedy=(
            Remedy(
                sql=f"ALTER SYSTEM SET max_wal_size = '{wanted // _MB}MB';\nSELECT pg_reload_conf();",
                lock="none",
                in_transaction=False,
                undo="ALTER SYSTEM RESET max_wal_size;",
            ),
        ),
        caveats=(
            "The volume of pg_wal must have room for it; recovery after a crash takes longer.",
        )
        + (
            ()
            if rate
            else ("The WAL rate is unknown (pg_stat_wal, 14 and later); the size is doubled.",)
        ),
    )


def _wal_rate(snapshot: Snapshot) -> float | None:
    """Return bytes of WAL a second since its counters' reset."""
    for w in snapshot.wal:
        if w.wal_bytes is not None and w.stats_reset is not None:
            seconds = (snapshot.now - w.stats_reset).total_seconds()
            return w.wal_bytes / seconds if seconds >= 1 else None
    return None


def _rounded(size: float) -> int:
    step = 256 * _MB if size < 4096 * _MB else 1024 * _MB
    return int(-(-size // step) * step)
