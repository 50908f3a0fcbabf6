"""Pages whose checksum did not match when they were read.

## Why it matters
Storage, memory or a program other than PostgreSQL has changed data. Queries that read the page fail, or may have returned wrong
results before it was noticed; backups and standbys may have copied it.

## How sure we are
A: PostgreSQL counts each mismatch. The counter is kept until statistics are reset or the server crashes, even after the page has
been repaired or its table dropped; see the time of the last failure.

## Not reported
Clusters without data checksums count nothing, and the verdict is unknown.

## Remedy
Write to it as little as possible. Take a file-level copy, find the relation in the server log ("page verification failed"), check
the others with pg_amcheck, restore from a verified backup (pg_verifybackup), and replace the hardware. If only an index is
affected, REINDEX rebuilds it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed import units
from pgwatch_wed.facts import Database, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown

NEEDS = ("databases", "settings")
SCOPE = "cluster"


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # A single page is enough.
    min_failures: int = 1
    # If the last failure is older, it may have been dealt with: a warning instead of critical.
    recent: timedelta = timedelta(days=30)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each database with failures."""
    for database in snapshot.databases:
        if (database.checksum_failures or 0) >= limits.min_failures:
            yield _finding(snapshot, database, limits)
    if snapshot.setting_on("data_checksums") is False:
        yield Unknown(
            "data checksums are off, so corruption would not be noticed",
            "stop the server and run pg_checksums --enable; for new clusters, initdb --data-checksums",
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
        title=f"{units.count(database.checksum_failures or 0, 'page checksum failure')} in {database.name}",
        detail="Data on disk is not what PostgreSQL wrote."
        + (f" The last failure was at {last:%Y-%m-%d %H:%M %Z}." if last else ""),
        evidence={
            "checksum_failures": database.checksum_failures,
            "last_failure": last.isoformat() if last else None,
        },
        impact=Impact(risk="lost or wrong data, which backups and standbys may have copied"),
        remedy=(
            Remedy(
                sql="SELECT datname, checksum_failures, checksum_last_failure FROM pg_stat_database "
                "WHERE checksum_failures > 0;",
                lock="none; shows the counters, while the server log names the files",
                undo="-- nothing to undo: it only reads",
            ),
        ),
        caveats=("The counter is not reset when the damage is repaired.",),
    )
