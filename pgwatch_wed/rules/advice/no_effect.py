"""An index that an earlier run recommended was built, and has no effect.

## Why it matters
It takes space, and every write maintains it.

## How sure we are
A: no query has scanned the index although the statements that it was recommended for ran, which needs no statistic. Besides,
blocks and time of a call of these statements, compared with their own past and with statements that do not touch the table, are
as before, over at least 3 intervals after the first one.

## Not reported
Unique indexes, indexes that another statement scans or that support a foreign key, and indexes that a standby may use whose
counters were not read (`--standby`).

## Remedy
Drop the index; the SQL that creates it again is given with it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import FollowedAdvice, Index, Snapshot
from pgwatch_wed.facts.advice_words import AdviceOutcome, AppliedState
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.remedies.indexes import drop
from pgwatch_wed.rules import _use
from pgwatch_wed.units import count

NEEDS = ("followed_advice", "indexes", "index_usage", "nodes", "tables", "constraints")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Fewer calls of its statements since it was built prove nothing.
    min_calls: int = 30


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding]:
    """Yield a finding for each index that was built in vain."""
    for own in snapshot.followed_advice:
        is_there = own.state in (AppliedState.APPLIED, AppliedState.PARTLY)
        if not is_there or own.outcome != AdviceOutcome.NO_EFFECT:
            continue
        if (own.calls_after or 0) < limits.min_calls:
            continue
        for oid in own.oids:
            index = snapshot.index_by_oid.get(oid)
            if index is not None and _is_idle(snapshot, index, own):
                yield _finding(snapshot, own, index)


def _is_idle(snapshot: Snapshot, index: Index, own: FollowedAdvice) -> bool:
    """Tell whether nothing uses the index: what another statement scans is not reported."""
    if index.is_unique or ix.is_bound(index) or index.parent_oid in own.oids:
        return False
    if _use.unseen_standbys(snapshot) or _supports_a_key(snapshot, index):
        return False
    since = snapshot.measured_since
    if since is not None and (own.since is None or own.since < since):
        return False  # it may have been used before what is looked at
    usages = (snapshot.usage_by_oid, *snapshot.usage_on_nodes)
    oids = [i.oid for i in snapshot.partition_indexes_of[index.oid]] or [index.oid]
    return all(o in u and u[o].idx_scan == 0 for u in usages for o in oids)


def _supports_a_key(snapshot: Snapshot, index: Index) -> bool:
    keys = ix.foreign_keys(snapshot, index.table_oid)
    return any(ix.covers_foreign_key(snapshot, index, key) for key in keys)


def _finding(snapshot: Snapshot, own: FollowedAdvice, index: Index) -> Finding:
    table = snapshot.table_by_oid.get(index.table_oid)
    size = index.pages * snapshot.server.block_size
    return Finding(
        object=Object(
            "index",
            index.name,
            snapshot.server.database,
            index.schema,
            table.name if table else own.table,
        ),
        severity=Severity.INFO,
        grade=Grade.A,
        title=f"{index.qualified}, which {own.rule} had recommended, is not used",
        detail=f"Its statements ran {count(own.calls_after or 0, 'time')} since it was built, and none scanned it.",
        evidence={
            "advised_at": own.advised_at.isoformat(),
            "applied_at": own.since.isoformat() if own.since else None,
            "calls_since": own.calls_after,
            "blocks_ratio": own.blocks_ratio,
            "time_ratio": own.time_ratio,
            "size_bytes": size,
        },
        impact=Impact(bytes=size or None, risk="every write maintains it"),
        remedy=(drop(snapshot, index),),
    )
