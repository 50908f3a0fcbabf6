"""Checkpoints are triggered by WAL volume, not by time.

## Why it matters
After a checkpoint, the first change of every page writes the whole page to WAL, and all dirty buffers have to be written in a
shorter time. Spaced by checkpoint_timeout, checkpoints cost a fraction.

## How sure we are
The server counts requested checkpoints, but not why they were requested: the number is an upper bound, limited by the WAL written
and without the CHECKPOINT commands that pg_stat_statements has counted here. C if the WAL between two checkpoints is on average
as much as triggers one; D and info otherwise: the log tells (log_checkpoints). C for the suggested size: the WAL written between two
timed checkpoints at the measured rate, plus half as much again.

## Not reported
Few checkpoints; checkpoints requested by backups, CREATE and DROP DATABASE, CHECKPOINT and restarts, as far as the WAL written or
pg_stat_statements shows it.

## Remedy
ALTER SYSTEM SET max_wal_size to what the WAL rate requires, and reload. Crash recovery has to replay up to that much.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

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
_HOUR_S = 3600
_TOGETHER = timedelta(minutes=1)  # of counters that are reset one after the other


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


@dataclass(frozen=True, slots=True)
class _Cause:
    """How many checkpoints WAL volume has triggered at most, and whether that much WAL was written between them."""

    at_most: int
    commands: int
    trigger_bytes: int | None
    mean_bytes: float | None

    @property
    def is_likely(self) -> bool:
        """Whether the WAL between two checkpoints is, on average, as much as triggers one."""
        if self.trigger_bytes is None or self.mean_bytes is None:
            return False
        return self.mean_bytes >= self.trigger_bytes


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding if there are many requested checkpoints."""
    for c in snapshot.checkpoints:
        cause, total = _cause(snapshot, c), c.timed + c.requested
        enough = cause.at_most >= max(limits.min_requested, 1)
        if enough and cause.at_most / total >= limits.min_share:
            yield _finding(snapshot, c, cause, limits)


def _cause(snapshot: Snapshot, c: Checkpoints) -> _Cause:
    trigger, written = _trigger_bytes(snapshot), _written(snapshot, c)
    counts_the_same = snapshot.wal and snapshot.wal[0].wal_bytes is not None
    total = max(c.timed + c.requested, 1)
    mean = written / total if written is not None and counts_the_same else None
    commands = _commands(snapshot, c)
    by_volume = c.requested if trigger is None or written is None else int(written / trigger)
    cause = _Cause(min(c.requested, by_volume), commands, trigger, mean)
    if cause.is_likely:  # several commands at the same time are one checkpoint
        return cause
    return replace(cause, at_most=min(max(c.requested - commands, 0), by_volume))


def _trigger_bytes(snapshot: Snapshot) -> int | None:
    """Return how much WAL triggers a checkpoint.

    That is max_wal_size / (1 + checkpoint_completion_target), less the segment in which the last one began.
    """
    size = snapshot.setting_number("max_wal_size")
    if size is None:
        return None
    segment = snapshot.server.wal_segment_bytes
    spread = 1 + (snapshot.setting_number("checkpoint_completion_target") or 0.0)
    return max(int(size / segment / spread) - 1, 1) * segment


def _written(snapshot: Snapshot, c: Checkpoints) -> int | None:
    """Return the WAL written since the checkpoints are counted, or more; None if it may be less."""
    for wal in snapshot.wal:
        if wal.wal_bytes is None:
            return wal.lsn_bytes  # all that was ever written
        resets = (wal.stats_reset, c.stats_reset)
        if snapshot.measured_since or None in resets or _is_not_later(*resets):
            return wal.wal_bytes
    return None


def _is_not_later(wal: datetime | None, checkpoints: datetime | None) -> bool:
    return wal is None or checkpoints is None or wal <= checkpoints + _TOGETHER


def _commands(snapshot: Snapshot, c: Checkpoints) -> int:
    """Return how many CHECKPOINT commands were counted in this database, not longer than the checkpoints."""
    begins = snapshot.measured_since or c.stats_reset
    return sum(
        s.calls
        for s in snapshot.statements
        if (s.text or "").strip(" ;\n").lower() == "checkpoint"
        and (since := s.stats_since or snapshot.statements_window.begins) is not None
        and (snapshot.measured_since or begins is None or since >= begins)
    )


def _finding(snapshot: Snapshot, c: Checkpoints, cause: _Cause, limits: Limits) -> Finding:
    share = cause.at_most / (c.timed + c.requested)
    seconds = pace.seconds(snapshot, c.stats_reset)
    per_hour = cause.at_most / seconds * 3600 if seconds else None
    covers = seconds is not None and seconds >= _HOUR_S
    current = snapshot.setting_number("max_wal_size") or 0
    timeout = (snapshot.setting_number("checkpoint_timeout") or 300_000) / 1000
    rate = _rate.per_second(snapshot, timeout)
    # max_wal_size covers up to two checkpoint intervals; see "WAL Configuration" in the documentation
    needed = rate * timeout * 2 * 1.5 if rate is not None else None
    wanted = min(_rounded(max(needed or 0, current * 2)), limits.max_advised_bytes)
    warns = share >= limits.warn_share and (per_hour or 0) >= limits.warn_per_hour
    return Finding(
        object=Object("setting", "max_wal_size"),
        severity=Severity.WARNING if warns and cause.is_likely else Severity.INFO,
        grade=Grade.C if cause.is_likely else Grade.D,
        title=f"At most {share:.0%} of the checkpoints were triggered by WAL volume: {cause.at_most:,} of "
        f"{c.timed + c.requested:,}",
        detail=_why(cause)
        + (
            f" At {units.size(rate)} of WAL per second, {units.size(wanted)} of max_wal_size would be enough."
            if rate
            else ""
        ),
        evidence={
            "timed": c.timed,
            "requested": c.requested,
            "requested_by_wal_at_most": cause.at_most,
            "checkpoint_commands": cause.commands,
            "wal_bytes_between_checkpoints": None
            if cause.mean_bytes is None
            else round(cause.mean_bytes),
            "wal_bytes_that_trigger": cause.trigger_bytes,
            "requested_by_wal_share": round(share, 4),
            "requested_per_hour": round(per_hour, 2) if per_hour and covers else None,
            "window_seconds": None if seconds is None else round(seconds, 1),
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


def _why(cause: _Cause) -> str:
    if cause.is_likely:
        return (
            f"Between two checkpoints, {units.size(cause.mean_bytes or 0)} of WAL is written on average, and "
            f"{units.size(cause.trigger_bytes or 0)} triggers one."
        )
    return (
        "They were requested, but the server does not count why: backups, CHECKPOINT and CREATE DATABASE request them, "
        "too. With log_checkpoints, the log tells: “checkpoint starting: wal”."
    )


def _remedy(snapshot: Snapshot, wanted: int) -> tuple[Remedy, ...]:
    return (settings.alter_system(snapshot, "max_wal_size", f"'{wanted // _MB}MB'"),)


def _rounded(size: float) -> int:
    step = 256 * _MB if size < 4096 * _MB else 1024 * _MB
    return int(-(-size // step) * step)
