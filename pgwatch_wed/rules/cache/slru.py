"""One of the small caches (SLRU) has many misses.

## Why it matters
Transaction status, subtransactions and multixacts have small caches of their own. On a miss, all backends that check the
visibility of rows wait for the same lock.

## How sure we are
D: misses are counted; whether they hurt is likely only at this volume. Wait events named after an SLRU confirm it.

## Not reported
Few reads per day, or a good hit ratio. The caches were renamed in 17; both sets of names are known.

## Remedy
From 17 on, each cache has a setting (transaction_buffers, subtransaction_buffers, multixact_offset_buffers, …), which requires a
restart. Before that: fewer subtransactions (SAVEPOINT, exception blocks) and fewer long transactions.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.facts import Slru, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.postgres import memory as mem
from pgwatch_wed.postgres import pace
from pgwatch_wed.remedies import settings

NEEDS = ("slru", "settings")
SCOPE = "cluster"

# The setting of each cache, from 17 on.
SETTINGS = {
    "transaction": "transaction_buffers",
    "subtransaction": "subtransaction_buffers",
    "multixact_offset": "multixact_offset_buffers",
    "multixact_member": "multixact_member_buffers",
    "commit_timestamp": "commit_timestamp_buffers",
    "notify": "notify_buffers",
    "serializable": "serializable_buffers",
}
_LEAST_MB = 16  # next to nothing compared with shared_buffers, but many times each default
_MOST_MB = 1024  # the maximum that the server accepts


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Fewer blocks read per day may just be a cold start.
    min_blocks_read_per_day: int = 100_000
    # The fraction of lookups that miss.
    min_miss_share: float = 0.05


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each cache with many misses."""
    for cache in snapshot.slru:
        lookups = cache.blks_hit + cache.blks_read
        daily = pace.least_per_day(cache.blks_read, pace.seconds(snapshot, cache.stats_reset))
        if daily < limits.min_blocks_read_per_day or not lookups:
            continue
        if cache.blks_read / lookups >= limits.min_miss_share:
            yield _finding(snapshot, cache, cache.blks_read / lookups)


def _finding(snapshot: Snapshot, cache: Slru, misses: float) -> Finding:
    name = SETTINGS.get(cache.name)
    setting = snapshot.setting_by_name.get(name) if name else None
    since = f" since {cache.stats_reset:%Y-%m-%d}" if cache.stats_reset else ""
    return Finding(
        object=Object("slru", cache.name),
        severity=Severity.INFO,
        grade=Grade.D,
        title=f"{misses:.0%} of lookups in the {cache.name} cache are misses",
        detail=f"{units.count(cache.blks_read, 'block')} had to be read{since}.",
        evidence={
            "blocks_read": cache.blks_read,
            "blocks_hit": cache.blks_hit,
            "miss_share": round(misses, 4),
            "setting": name if setting else None,
        },
        impact=Impact(risk="backends wait for each other to access a small cache"),
        remedy=larger(snapshot, name or "") if setting else (),
        caveats=settings.caveats(setting),
    )


def larger(snapshot: Snapshot, name: str) -> tuple[Remedy, ...]:
    """Return ALTER SYSTEM for a larger cache, unless it is as large as it can be."""
    current = (snapshot.setting_number(name) or 0.0) / mem.MB
    wanted = min(max(int(current * 4), _LEAST_MB), _MOST_MB)
    if wanted <= current:
        return ()
    return (settings.alter_system(snapshot, name, f"'{wanted}MB'"),)
