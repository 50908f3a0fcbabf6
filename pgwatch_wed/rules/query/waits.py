"""What active sessions waited for inside the server while they were sampled, and in which statements.

## Why it matters
A statement that waits does not compute: a faster plan does not help if the time goes to reading from disk, to a lock of the
server's own, or to a standby that has to confirm. pg_stat_statements shows how long statements take, but not what for.

## How sure we are
B: shares of looks at pg_stat_activity. Each stands for the time since the look before; n of them have an error of about 1/√n. Time
without a wait event is CPU time, or time for the CPU, or of something that PostgreSQL does not report.

## Not reported
- Waits for heavyweight locks: see `lock-blocking-episodes`. pg_sleep(), and parallel workers that wait for each other.
- Waits that took less than `min_share` of the active time, or were seen in fewer than `min_samples` looks; servers on which fewer than
  `min_active` sessions were active on average.
- Idle sessions, whatever they wait for, and background processes.

## Remedy
It depends on the wait event; the finding says where to look. No SQL to run.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed import units
from pgwatch_wed.facts import ActivityMinute, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown

NEEDS = ("activity_minutes", "sampled_minutes")
SCOPE = "cluster"

_WORK = ("client backend", "parallel worker")
_MEANINGS = {
    (
        "IO",
        "DataFileRead",
    ): "blocks are read that are not in shared buffers: see query-io-bound, cache-hit-ratio and index-missing",
    ("IO", "DataFileExtend"): "tables or indexes grow faster than the storage writes",
    (
        "IO",
        "WALSync",
    ): "commits wait until WAL is on disk: fewer, larger transactions, or faster storage for WAL",
    (
        "IO",
        "WALWrite",
    ): "WAL is written faster than the storage takes it: see query-wal-heavy and wal-full-page-images",
    ("IO", "BufFileRead"): "sorts and hashes do not fit in work_mem: see query-temp-spill",
    ("IO", "BufFileWrite"): "sorts and hashes do not fit in work_mem: see query-temp-spill",
    (
        "IPC",
        "SyncRep",
    ): "commits wait for a synchronous standby: see replication-lag and synchronous_commit",
    (
        "LWLock",
        "WALWrite",
    ): "commits wait for each other's WAL: fewer, larger transactions, or faster storage for WAL",
    (
        "LWLock",
        "LockManager",
    ): "statements lock many partitions and indexes: see lock-table-pressure",
    ("LWLock", "BufferContent"): "many sessions want the same blocks at the same time",
    (
        "LWLock",
        "BufferMapping",
    ): "many different blocks come into shared buffers: see cache-hit-ratio",
    ("Client", "ClientWrite"): "clients take results slowly: fetch less, or look at the network",
}
_KINDS = {
    "IO": "files are read or written: look at the storage, and at what reads so much",
    "LWLock": "sessions contend for a data structure of the server: usually many do the same thing at the same time",
    "IPC": "sessions wait for another process of the server",
    "BufferPin": "sessions wait until others no longer use a block: see vacuum-workers-saturated",
    "Client": "clients send or take data slowly",
    "Extension": "an extension waits for something",
}
# The leader and the workers of one statement wait for each other.
_PARALLEL = frozenset(
    (
        *(
            "ExecuteGather",
            "BgWorkerStartup",
            "BgWorkerShutdown",
            "ParallelFinish",
            "MessageQueueSend",
        ),
        *(
            "MessageQueueReceive",
            "MessageQueueInternal",
            "ParallelBitmapScan",
            "HashBuildHashInner",
        ),
        *("ParallelCreateIndexScan", "ParallelHashJoin"),
    )
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # A smaller share cannot make statements much slower.
    min_share: float = 0.2
    # With fewer looks, the share is too uncertain.
    min_samples: int = 30
    # A server with less to do has no problem of waits.
    min_active: float = 0.1
    # Less says nothing about what usually happens.
    min_sampled: timedelta = timedelta(minutes=1)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each wait event with a large share of the active time."""
    covered = sum(m.covered_seconds for m in snapshot.sampled_minutes)
    if covered < limits.min_sampled.total_seconds():
        sampled = f"sampled for only {units.words(timedelta(seconds=covered))}"
        reason = f"sessions were {sampled if covered else 'not sampled'}"
        yield Unknown(reason, "use db-analyze collect --samples 1s --for 10m")
        return
    active = [
        a for a in snapshot.activity_minutes if a.state == "active" and a.backend_type in _WORK
    ]
    total = sum(a.seconds for a in active)
    if total < limits.min_active * covered:
        return
    groups: dict[tuple[str, str], list[ActivityMinute]] = defaultdict(list)
    for each in active:
        if each.wait_event_type in _KINDS and each.wait_event not in _PARALLEL:
            groups[each.wait_event_type, each.wait_event or "?"].append(each)
    for event, rows in sorted(groups.items()):
        is_seen = sum(a.samples for a in rows) >= limits.min_samples
        if is_seen and sum(a.seconds for a in rows) >= limits.min_share * total:
            yield _finding(snapshot, event, rows, total, covered)


def _finding(
    snapshot: Snapshot,
    event: tuple[str, str],
    rows: list[ActivityMinute],
    total: float,
    covered: float,
) -> Finding:
    waited = sum(a.seconds for a in rows)
    share = units.share(waited / total)
    name = " ".join(event)
    by_query = _by_query(rows)
    here = snapshot.server.database
    return Finding(
        object=Object("wait_event", name),
        severity=Severity.INFO,
        grade=Grade.B,
        title=f"{share} of the time in which sessions were active was spent waiting for {name}",
        detail=f"In {units.words(timedelta(seconds=covered))} of samples, {units.short(total / covered)} sessions were active on "
        f"average. It means that {_MEANINGS.get(event) or _KINDS[event[0]]}.",
        evidence={
            "waited_seconds": round(waited, 3),
            "active_seconds": round(total, 3),
            "sampled_seconds": round(covered, 3),
            "waited_share": round(waited / total, 4),
            "samples": sum(a.samples for a in rows),
            "by_query": [
                {"query_id": q, "waited_seconds": round(s, 3), "query": _text(snapshot, q)}
                for q, s in list(by_query.items())[:10]
            ],
        },
        impact=Impact(
            risk=f"{units.short(waited / covered)} sessions were waiting for it on average"
        ),
        related=tuple(
            Object("statement", str(q), here) for q in list(by_query)[:3] if q is not None
        ),
    )


def _by_query(rows: list[ActivityMinute]) -> Mapping[int | None, float]:
    found: dict[int | None, float] = defaultdict(float)
    for row in rows:
        found[row.query_id] += row.seconds
    return dict(sorted(found.items(), key=lambda item: (-item[1], str(item[0]))))


def _text(snapshot: Snapshot, query_id: int | None) -> str | None:
    return next((s.text for s in snapshot.statements if s.query_id == query_id and s.text), None)
