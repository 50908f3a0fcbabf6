"""Checkpoints are triggered by WAL volume, not by time.

## Why it matters
After a checkpoint, the first change of every page writes the whole page to WAL, and all dirty buffers have to be written in a
shorter time. Spaced by checkpoint_timeout, checkpoints cost a fraction.

## How sure we are
B for the counts; C for the suggested size: the WAL written between two timed checkpoints at the measured rate, plus half as much
again.

## Not reported
Few checkpoints; checkpoints requested by backups, CREATE and DROP DATABASE, CHECKPOINT and restarts: too little WAL was written
for max_wal_size to be reached that often.

## Remedy
ALTER SYSTEM SET max_wal_size to what the WAL rate requires, and reload. Crash recovery has to replay up to that much.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.facts import Checkpoints, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.postgres import pace
from pgwatch_wed.remedies import settings
from pgwatch_wed.rules.wal import _rate

NEEDS = ("checkpoints", "settings", "wal")
SCOPE = "cluster"
PRIMARY_ONLY = True

_MB = 1024 * 1024
_UNBOUNDED = 2**63


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Fewer may just be data loads, backups or CREATE DATABASE.
    min_requested: int = 10
    # The share of all checkpoints that were requested.
    min_share: float = 0.2
    # At least this share is a warning, if there are also warn_per_hour.
    warn_share: float = 0.5
    # Requested checkpoints per hour that are a warning, together with warn_share.
    warn_per_hour: float = 6.0
    # More is not suggested automatically: recovery would have to replay that much.
    max_advised_bytes: int = 128 * 1024**3


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding if there are many requested checkpoints."""
    for c in snapshot.checkpoints:
        by_wal = min(c.requested, _most_by_wal(snapshot))
        total = c.timed + c.requested
        if by_wal >= max(limits.min_requested, 1) and by_wal / total >= limits.min_share:
            yield _finding(snapshot, c, by_wal, limits)


def _most_by_wal(snapshot: Snapshot) -> int:
    """Return how many checkpoints the WAL written so far can have triggered at most.

    One is triggered once max_wal_size / (1 + checkpoint_completion_target) of WAL has been written since the
    last, less the segment in which it began.
    """
    size = snapshot.setting_number("max_wal_size")
    written = [w.wal_bytes if w.wal_bytes is not None else w.lsn_bytes for w in snapshot.wal]
    if size is None or not written or written[0] is None:
        return _UNBOUNDED
    segment = snapshot.server.wal_segment_bytes
    spread = 1 + (snapshot.setting_number("checkpoint_completion_target") or 0.0)
    return int(written[0] / (max(int(size / segment / spread) - 1, 1) * segment))


def _finding(snapshot: Snapshot, c: Checkpoints, by_wal: int, limits: Limits) -> Finding:
    share = by_wal / (c.timed + c.requested)
    seconds = pace.seconds(snapshot, c.stats_reset)
    per_hour = by_wal / seconds * 3600 if seconds else None
    current = snapshot.setting_number("max_wal_size") or 0
    timeout = (snapshot.setting_number("checkpoint_timeout") or 300_000) / 1000
    rate = _rate.per_second(snapshot, timeout)
    # max_wal_size covers up to two checkpoint intervals; see "WAL Configuration" in the documentation
    needed = rate * timeout * 2 * 1.5 if rate is not None else None
    wanted = min(_rounded(max(needed or 0, current * 2)), limits.max_advised_bytes)
    warns = share >= limits.warn_share and (per_hour or 0) >= limits.warn_per_hour
    return Finding(
        object=Object("setting", "max_wal_size"),
        severity=Severity.WARNING if warns else Severity.INFO,
        grade=Grade.B,
        title=f"{share:.0%} of the checkpoints were triggered by WAL volume: {by_wal:,} of {c.timed + c.requested:,}",
        detail=f"max_wal_size ({units.size(current)}) is reached before checkpoint_timeout ({timeout:.0f} s)."
        + (
            f" At {units.size(rate)} of WAL per second, {units.size(wanted)} would be enough."
            if rate
            else ""
        ),
        evidence={
            "timed": c.timed,
            "requested": c.requested,
            "requested_by_wal_at_most": by_wal,
            "requested_by_wal_share": round(share, 4),
            "requested_per_hour": None if per_hour is None else round(per_hour, 2),
            "wal_bytes_per_second": None if rate is None else round(rate),
            "max_wal_size_bytes": round(current),
            "checkpoint_timeout_seconds": timeout,
        },
        impact=Impact(risk="full-page images and bursts of writes"),
        remedy=_remedy(snapshot, wanted) if wanted > current else (),
        caveats=(
            "The disk needs space for it; crash recovery takes longer.",
            *settings.caveats(snapshot.setting_by_name.get("max_wal_size")),
        )
        + (
            ()
            if rate
            else ("The WAL rate is unknown (pg_stat_wal, 14 and later); the size is doubled.",)
        ),
    )


def _remedy(snapshot: Snapshot, wanted: int) -> tuple[Remedy, ...]:
    return (settings.alter_system(snapshot, "max_wal_size", f"'{wanted // _MB}MB'"),)


def _rounded(size: float) -> int:
    step = 256 * _MB if size < 4096 * _MB else 1024 * _MB
    return int(-(-size // step) * step)
