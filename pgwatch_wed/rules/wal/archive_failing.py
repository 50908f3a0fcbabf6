"""WAL archiving fails, or is enabled but archives nothing.

## Why it matters
Point-in-time recovery is possible only as far as the archive goes, and WAL that is not archived stays in pg_wal until the disk is
full and the server stops.

## How sure we are
B: the archiver itself counts and dates its failures, and the settings show whether it has a command. How long it has been failing
follows from the last success.

## Not reported
A failure followed by a success; servers that do not archive; standbys unless archive_mode is always.

## Remedy
The server log contains the error of the command. Fix the command or its target; archiving then catches up by itself. No SQL to
run.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed import units
from pgwatch_wed.facts import Archiver, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown

NEEDS = ("archiver", "settings")
SCOPE = "cluster"

_SEGMENT = re.compile(r"[0-9A-F]{8}([0-9A-F]{8})([0-9A-F]{8})")
_OBJECT = Object("server", "WAL archive")
_RISK = "recovery is not possible beyond that file; pg_wal grows until the disk is full"


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Having no success for this long is critical, if there are also critical_failures.
    critical_age: timedelta = timedelta(hours=1)
    # Fewer failures may be temporary: a failing file is retried three times per minute.
    critical_failures: int = 10


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding if the last attempt failed, or there are no attempts."""
    mode = snapshot.setting("archive_mode")
    if mode in ("off", None) or (snapshot.server.is_in_recovery and mode != "always"):
        return
    if not snapshot.setting("archive_command") and not snapshot.setting("archive_library"):
        yield _idle(snapshot)
        return
    for archiver in snapshot.archiver:
        failed, done = archiver.last_failed_time, archiver.last_archived_time
        if failed is not None and (done is None or done < failed):
            yield _failing(snapshot, archiver, limits)


def _failing(snapshot: Snapshot, a: Archiver, limits: Limits) -> Finding:
    since = a.last_archived_time or a.stats_reset
    age = snapshot.now - since if since else timedelta()
    critical = age >= limits.critical_age and a.failed_count >= limits.critical_failures
    failed = a.last_failed_time
    return Finding(
        object=_OBJECT,
        severity=Severity.CRITICAL if critical else Severity.WARNING,
        grade=Grade.B,
        title=f"WAL archiving fails: {units.count(a.failed_count, 'failure')}, the last at {failed:%Y-%m-%d %H:%M}",
        detail=f"Last archived file: {a.last_archived_wal or 'none'}; failing file: {a.last_failed_wal or 'unknown'}.",
        evidence={
            "failed": a.failed_count,
            "last_failed_wal": a.last_failed_wal,
            "last_failed_time": failed.isoformat() if failed else None,
            "last_archived_wal": a.last_archived_wal,
            "last_archived_time": a.last_archived_time.isoformat()
            if a.last_archived_time
            else None,
            "archived": a.archived_count,
            "waiting_bytes": _waiting_bytes(snapshot, a),
        },
        impact=Impact(risk=_RISK),
        caveats=("The server log contains the error of archive_command or archive_library.",),
    )


def _waiting_bytes(snapshot: Snapshot, a: Archiver) -> int | None:
    """Return how much WAL has been written since the last archived file."""
    name = _SEGMENT.fullmatch(a.last_archived_wal or "")
    now = next((w.lsn_bytes for w in snapshot.wal), None)
    if name is None or now is None:
        return None
    archived = (int(name[1], 16) << 32) + (int(name[2], 16) + 1) * snapshot.server.wal_segment_bytes
    return max(now - archived, 0)


def _idle(snapshot: Snapshot) -> Finding:
    mode = snapshot.setting("archive_mode")
    return Finding(
        object=_OBJECT,
        severity=Severity.WARNING,
        grade=Grade.B,
        title="WAL is retained for an archive that does not exist",
        detail=f"archive_mode is {mode}, but neither archive_command nor archive_library is set: "
        "all WAL files remain in pg_wal.",
        evidence={"archive_mode": mode, "archive_command": "", "archive_library": ""},
        impact=Impact(risk="pg_wal grows until the disk is full"),
        caveats=(
            "Set archive_command; if nothing should be archived, use /bin/true until a restart with archive_mode = off.",
        ),
    )
