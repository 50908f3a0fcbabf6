"""A standby or subscriber is far behind.

## Why it matters
Queries on it return old data, and a failover to it loses what is missing or has to wait for it.

## How sure we are
B: positions and times come from the server.

## Not reported
A lag in bytes only on a busy server, or in time only on an idle one: both must exceed the limits, if the time is known. A
standby that delays replay on purpose (recovery_min_apply_delay) is reported; ignore it in the configuration.

## Remedy
Find out what holds it up: a conflict with a long query on it, its storage, the network. No SQL to run.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed import units
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown

NEEDS = ("replicas", "recovery")
SCOPE = "cluster"


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # The lag in bytes of WAL.
    min_lag_bytes: int = 64 * 1024 * 1024
    # The lag in time, if it is known.
    min_lag: timedelta = timedelta(seconds=30)
    # At least this lag is a warning.
    warn_lag: timedelta = timedelta(minutes=5)
    # At least this lag in bytes is a warning, too.
    warn_lag_bytes: int = 1024**3


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each standby or subscriber that is behind, and for this server if it is one."""
    for r in snapshot.replicas:
        lag = r.replay_lag_bytes
        late = None if r.replay_lag_ms is None else timedelta(milliseconds=r.replay_lag_ms)
        if (
            lag is None
            or lag < limits.min_lag_bytes
            or (late is not None and late < limits.min_lag)
        ):
            continue
        name = r.application_name or str(r.pid)
        yield _finding(
            Object("standby", name),
            lag,
            late,
            limits,
            {
                "state": r.state,
                "sync_state": r.sync_state,
                "sent_lag_bytes": r.sent_lag_bytes,
                "flush_lag_bytes": r.flush_lag_bytes,
            },
        )
    for own in snapshot.recovery:
        late = snapshot.now - own.last_replayed_at if own.last_replayed_at else None
        behind = own.replay_lag_bytes or 0
        if own.is_paused or (behind >= limits.min_lag_bytes and late and late >= limits.min_lag):
            yield _finding(
                Object("standby", "this server"),
                behind,
                late,
                limits,
                {"is_paused": own.is_paused, "has_walreceiver": own.has_walreceiver},
            )


def _finding(
    what: Object, lag: int, late: timedelta | None, limits: Limits, more: dict[str, object]
) -> Finding:
    warns = lag >= limits.warn_lag_bytes or (late is not None and late >= limits.warn_lag)
    time = f" and {late.total_seconds():,.0f} s" if late is not None else ""
    paused = " Replay is paused." if more.get("is_paused") else ""
    return Finding(
        object=what,
        severity=Severity.WARNING if warns else Severity.INFO,
        grade=Grade.B,
        title=f"{'This server' if what.name == 'this server' else what.name} is {units.size(lag)}{time} behind",
        detail=f"That is how far its replay is behind.{paused}",
        evidence={
            "replay_lag_bytes": lag,
            "replay_lag_seconds": None if late is None else round(late.total_seconds(), 1),
            **more,
        },
        impact=Impact(risk="queries there return old data, and a failover loses it or has to wait"),
    )
