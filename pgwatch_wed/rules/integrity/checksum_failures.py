"""Pages whose checksum did not match when they were read.

## Why it matters
Storage, memory or a program other than PostgreSQL changed data. A query that meets the page fails, or worse, has read
from another copy before it was noticed; backups and standbys may carry it on.

## How sure we are
A: PostgreSQL counts each mismatch. The count stays until statistics are reset or the server crashes, also after the page
was repaired or its table dropped; the time of the last failure tells.

## Not reported
Clusters without data checksums count nothing, and the verdict is unknown.

## Remedy
Do not write to it further than you must. Take a file-level copy, find the relation in the server log ("page verification
failed"), check the others with pg_amcheck, restore from a backup that verifies (pg_verifybackup), replace the
hardware. An index alone can be rebuilt by REINDEX.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed.facts import Database, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown

NEEDS = ("databases", "settings")
SCOPE = "cluster"


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # One page is enough.
    min_failures: int = 1
    # A last failure longer ago than this may have been dealt with: a warning instead of critical.
    recent: timedelta = timedelta(days=30)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each database with failures."""
    for database in snapshot.databases:
        if (database.checksum_failures or 0) >= limits.min_failures:
            yield _finding(snapshot, database, limits)
    if snapshot.setting_on("data_checksums") is False:
        yield Unknown(
            "data checksums are off, so that nothing would be noticed",
            "stop the server and run pg_checksums --enable; new clusters: initdb --data-checksums",
        )
    elif all(d.checksum_failures is None for d in snapshot.databases):
        yield Unknown("the server does not count checksum failures")


def _finding(snapshot: Snapshot, database: Database, limits: Limits) -> Finding:
    last = database.checksum_last_failure
    old = last is not None and snapshot.now - last > limits.recent
    return Finding(
        object=Object("database", database.name),
        severity=Severity.WARNING if old else Severity.CRITICAL,
        grade=Grade.A,
        title=f"{database.checksum_failures:,} pages of {database.name} failed their checksum",
        detail="Data on disk is not what PostgreSQL wrote."
        + (f" The last time was {last:%Y-%m-%d %H:%M %Z}." if last else ""),
        evidence={
            "checksum_failures": database.checksum_failures,
            "last_failure": last.isoformat() if last else None,
        },
        impact=Impact(risk="lost or wrong data, which backups and standbys may carry on"),
        remedy=(
            Remedy(
                sql="SELECT datname, checksum_failures, checksum_last_failure FROM pg_stat_database "
                "WHERE checksum_failures > 0;",
                lock="none: it shows the counters; the server log names the files",
                undo="-- it only reads",
            ),
        ),
        caveats=("The counter does not go back when the damage is repaired.",),
    )
