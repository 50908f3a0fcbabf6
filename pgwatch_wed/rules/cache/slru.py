"""One of the small caches (SLRU) misses often.

## Why it matters
Transaction status, subtransactions and multixacts have small caches of their own. When they miss, every backend that looks up a row's
visibility waits on the same lock.

## How sure we are
D: the misses are counted; that they hurt is likely only at this volume. Wait events named SLRU confirm it.

## Not reported
Few reads, or a good ratio. Caches have names of their own from 17 on; both are known.

## Remedy
From 17 on each cache has a setting (transaction_buffers, subtransaction_buffers, multixact_offset_buffers, …), which needs a restart.
Before that: fewer subtransactions (SAVEPOINT, exception blocks) and long transactions.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Slru, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown

NEEDS = ("slru", "settings")
SCOPE = "cluster"

_SETTINGS = {
    "transaction": "transaction_buffers",
    "subtransaction": "subtransaction_buffers",
    "multixact_offset": "multixact_offset_buffers",
    "multixact_member": "multixact_member_buffers",
    "commit_timestamp": "commit_timestamp_buffers",
    "notify": "notify_buffers",
    "serializable": "serializable_buffers",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Fewer blocks read are a cold start.
    min_blocks_read: int = 100_000
    # Part of the look-ups that miss.
    min_miss_share: float = 0.05


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each cache that misses often."""
    for cache in snapshot.slru:
        lookups = cache.blks_hit + cache.blks_read
        if cache.blks_read < limits.min_blocks_read or not lookups:
            continue
        if cache.blks_read / lookups >= limits.min_miss_share:
            yield _finding(snapshot, cache, cache.blks_read / lookups)


def _finding(snapshot: Snapshot, cache: Slru, misses: float) -> Finding:
    setting = _SETTINGS.get(cache.name)
    current = snapshot.setting_number(setting) if setting else None
    remedy: tuple[Remedy, ...] = ()
    if setting and current is not None:
        megabytes = max(int((current or 1048576) * 4 / 1048576), 1)
        remedy = (
            Remedy(
                sql=f"ALTER SYSTEM SET {setting} = '{megabytes}MB';",
                lock="none; it takes effect after a restart",
                in_transaction=False,
                undo=f"ALTER SYSTEM RESET {setting};",
            ),
        )
    return Finding(
        object=Object("slru", cache.name),
        severity=Severity.INFO,
        grade=Grade.D,
        title=f"The {cache.name} cache misses {misses:.0%} of its look-ups",
        detail=f"{cache.blks_read:,} blocks were read since {cache.stats_reset:%Y-%m-%d}."
        if cache.stats_reset
        else f"{cache.blks_read:,} blocks were read.",
        evidence={
            "blocks_read": cache.blks_read,
            "blocks_hit": cache.blks_hit,
            "miss_share": round(misses, 4),
        },
        impact=Impact(risk="backends wait for each other on a small cache"),
        remedy=remedy,
    )
