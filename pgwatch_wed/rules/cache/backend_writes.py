"""Client sessions write dirty buffers themselves.

## Why it matters
A query that needs a free buffer and finds only dirty ones has to write one out first, and waits. That is the job of the
checkpointer and the background writer.

## How sure we are
B for the volume from 16 on, where pg_stat_io counts bulk operations separately; D for the advice. Before 16, these writes
include data loads and table extension: if there are many, the verdict is unknown.

## Not reported
Few writes per day; a small share of all writes; COPY and other bulk loads, which write through their own ring buffers.

## Remedy
A more active background writer: bgwriter_lru_maxpages if that limit stopped it, bgwriter_lru_multiplier if it did not look
ahead far enough. A larger shared_buffers only if the working set is known not to fit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from pgwatch_wed import units
from pgwatch_wed.facts import Checkpoints, IoCounters, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.postgres import pace
from pgwatch_wed.remedies import settings

NEEDS = ("settings", "checkpoints")
SCOPE = "cluster"

_PAGES = "bgwriter_lru_maxpages"
_AHEAD = "bgwriter_lru_multiplier"
_USUAL_PAGES = 100
_MOST_PAGES = 1000
_MOST_AHEAD = 10.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Less per day (about 100,000 blocks) is not a pattern.
    min_bytes_per_day: int = 800_000_000
    # The share of all written buffers that clients wrote themselves.
    min_share: float = 0.3


@dataclass(frozen=True, slots=True)
class _Writes:
    """Bytes of shared buffers written by clients, and in total, since a reset."""

    clients: int
    total: int
    since: datetime | None

    def are_many(self, snapshot: Snapshot, limits: Limits) -> bool:
        daily = pace.least_per_day(self.clients, pace.seconds(snapshot, self.since))
        return daily >= limits.min_bytes_per_day and self.clients >= limits.min_share * self.total


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding if clients write a large share."""
    if snapshot.io:
        writes = _from_io(snapshot)
        if writes.are_many(snapshot, limits):
            yield _finding(snapshot, writes)
    elif snapshot.server.features.has_io_statistics():
        missing = snapshot.missing.get("io")
        why = f"pg_stat_io: {missing.reason}" if missing else "pg_stat_io is empty"
        yield Unknown(why, missing.mend if missing else "")
    else:
        yield from _before_16(snapshot, limits)


def _bytes(snapshot: Snapshot, row: IoCounters) -> int:
    return row.write_bytes or (row.writes or 0) * snapshot.server.block_size


def _from_io(snapshot: Snapshot) -> _Writes:
    normal = [r for r in snapshot.io if r.object == "relation" and r.context == "normal"]
    clients = [r for r in normal if r.backend_type == "client backend"]
    return _Writes(
        sum(_bytes(snapshot, r) for r in clients),
        sum(_bytes(snapshot, r) for r in normal),
        next((r.stats_reset for r in clients), None),
    )


def _before_16(snapshot: Snapshot, limits: Limits) -> Iterator[Unknown]:
    for c in snapshot.checkpoints:
        blocks = (c.buffers_backend or 0, c.buffers_checkpoint, c.buffers_clean or 0)
        mine, total = (n * snapshot.server.block_size for n in (blocks[0], sum(blocks)))
        if _Writes(mine, total, c.stats_reset).are_many(snapshot, limits):
            yield Unknown(
                f"clients wrote {units.size(mine)}, but before 16 the server does not distinguish queries from data loads"
            )


def _finding(snapshot: Snapshot, writes: _Writes) -> Finding:
    remedy, setting = _more_eager(snapshot)
    stopped = sum(c.maxwritten_clean or 0 for c in snapshot.checkpoints)
    share = writes.clients / max(writes.total, 1)
    return Finding(
        object=Object("setting", _PAGES),
        severity=Severity.INFO,
        grade=Grade.D,
        title=f"Clients wrote {share:.0%} of the dirty buffers themselves",
        detail=f"{units.size(writes.clients)} of {units.size(writes.total)}, not counting bulk loads.",
        evidence={
            "client_write_bytes": writes.clients,
            "all_write_bytes": writes.total,
            "client_write_share": round(share, 4),
            "background_writer_stopped": stopped,
            _PAGES: snapshot.setting_number(_PAGES),
            _AHEAD: snapshot.setting_number(_AHEAD),
        },
        impact=Impact(risk="queries wait for writes"),
        remedy=remedy,
        caveats=(
            "A single large INSERT … SELECT or UPDATE has the same effect; check whether it continues.",
            *settings.caveats(snapshot.setting_by_name.get(setting)),
        ),
    )


def _more_eager(snapshot: Snapshot) -> tuple[tuple[Remedy, ...], str]:
    """Return a remedy that makes the background writer more active, and the setting that it changes."""
    pages = snapshot.setting_number(_PAGES) or 0.0
    if any(_was_stopped(c, pages) for c in snapshot.checkpoints):
        wanted = min(max(pages * 4, _USUAL_PAGES), _MOST_PAGES)
        enough, name = wanted <= pages, _PAGES
    else:
        ahead = snapshot.setting_number(_AHEAD) or 0.0
        wanted = min(max(ahead * 2, 2.0), _MOST_AHEAD)
        enough, name = wanted <= ahead, _AHEAD
    if enough:
        return (), name
    return (settings.alter_system(snapshot, name, f"{wanted:g}"),), name


def _was_stopped(c: Checkpoints, pages: float) -> bool:
    """Tell whether the limit stopped the background writer for most of what it wrote, or disabled it."""
    return pages == 0 or (c.maxwritten_clean or 0) * pages * 2 >= max(c.buffers_clean or 0, 1)
