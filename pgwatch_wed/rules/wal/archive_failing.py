"""WAL archiving fails.

## Why it matters
Point-in-time recovery ends where the archive ends, and WAL that is not archived stays in pg_wal until the volume is full and the
server stops.

## How sure we are
B: the archiver itself counts and dates its failures.

## Not reported
A failure that a later success mended; servers that do not archive.

## Remedy
The server's log has the command's error. Mend the command or its target; archiving then catches up by itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown

NEEDS = ("archiver", "settings")
SCOPE = "cluster"


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # No success for this long beside failures makes it critical.
    critical_age: timedelta = timedelta(hours=1)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding while the last attempt failed."""
    if snapshot.setting("archive_mode") in ("off", None):
        return
    for a in snapshot.archiver:
        failed, done = a.last_failed_time, a.last_archived_time
        if failed is None or (done is not None and done >= failed):
            continue
        since = done or a.stats_reset
        age = snapshot.now - since if since else timedelta()
        critical = age >= limits.critical_age
        yield Finding(
            object=Object("server", "WAL archive"),
            severity=Severity.CRITICAL if critical else Severity.WARNING,
            grade=Grade.B,
            title=f"Archiving of WAL fails: {a.failed_count:,} failures, the last at {failed:%Y-%m-%d %H:%M}",
            detail=f"The last file that was archived: {a.last_archived_wal or 'none'}; the one that fails: {a.last_failed_wal}.",
            evidence={
                "failed": a.failed_count,
                "last_failed_wal": a.last_failed_wal,
                "last_failed_time": failed.isoformat(),
                "last_archived_wal": a.last_archived_wal,
                "last_archived_time": done.isoformat() if done else None,
                "archived": a.archived_count,
            },
            impact=Impact(
                risk="no recovery beyond that file; pg_wal grows until its volume is full"
            ),
            caveats=("The server's log has the error of archive_command or archive_library.",),
        )
