"""Client sessions write dirty blocks themselves.

## Why it matters
A query that needs a free buffer and finds only dirty ones writes one out first, and waits. The checkpointer and
the background writer are there to do that.

## How sure we are
B for the volume from 16 on, where pg_stat_io tells bulk operations apart; D for the advice. Before 16 loads and the growth
of tables are counted among these writes: many make the verdict unknown.

## Not reported
Few writes; a small part of all; loads, which write through rings of their own.

## Remedy
A more eager background writer (bgwriter_lru_maxpages, bgwriter_delay); a larger shared_buffers only where the data's working set is
known not to fit.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import IoCounters, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown
from pgwatch_wed.rules import _settings

NEEDS = ("settings", "checkpoints")
SCOPE = "cluster"

_PAGES = "bgwriter_lru_maxpages"
_MOST_PAGES = 1000


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Less than this is no pattern: about 100,000 blocks.
    min_bytes: int = 800_000_000
    # Part of all buffers written that clients wrote themselves.
    min_share: float = 0.3


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding where clients write a large part."""
    if snapshot.io:
        mine, everybody = _from_io(snapshot)
        if mine >= limits.min_bytes and mine >= limits.min_share * everybody:
            yield _finding(snapshot, mine, everybody)
    elif snapshot.server.major >= 16:
        missing = snapshot.missing.get("io")
        why = missing.reason if missing else "pg_stat_io is empty"
        yield Unknown(why, "GRANT pg_monitor TO the role")
    else:
        yield from _before_16(snapshot, limits)


def _bytes(snapshot: Snapshot, row: IoCounters) -> int:
    return row.write_bytes or (row.writes or 0) * snapshot.server.block_size


def _from_io(snapshot: Snapshot) -> tuple[int, int]:
    normal = [r for r in snapshot.io if r.object == "relation" and r.context == "normal"]
    clients = [r for r in normal if r.backend_type == "client backend"]
    return sum(_bytes(snapshot, r) for r in clients), sum(_bytes(snapshot, r) for r in normal)


def _before_16(snapshot: Snapshot, limits: Limits) -> Iterator[Unknown]:
    for c in snapshot.checkpoints:
        mine = (c.buffers_backend or 0) * snapshot.server.block_size
        everybody = (c.buffers_backend or 0) + c.buffers_checkpoint + (c.buffers_clean or 0)
        if mine >= limits.min_bytes and (c.buffers_backend or 0) >= limits.min_share * everybody:
            yield Unknown(
                f"clients wrote {mine / 1e6:,.0f} MB, but before 16 the server does not tell queries from loads"
            )


def _finding(snapshot: Snapshot, mine: int, everybody: int) -> Finding:
    pages = snapshot.setting_number(_PAGES) or 0.0
    wanted = int(min(max(pages * 4, 100), _MOST_PAGES))
    share = mine / everybody if everybody else 1.0
    stopped = sum(c.maxwritten_clean or 0 for c in snapshot.checkpoints)
    return Finding(
        object=Object("setting", _PAGES),
        severity=Severity.INFO,
        grade=Grade.D,
        title=f"Clients wrote {share:.0%} of the dirty buffers themselves",
        detail=f"{mine / 1e6:,.0f} of {everybody / 1e6:,.0f} MB, loads left out.",
        evidence={
            "client_write_bytes": mine,
            "all_write_bytes": everybody,
            "client_write_share": round(share, 4),
            "background_writer_stopped": stopped,
            _PAGES: round(pages),
        },
        impact=Impact(risk="queries wait for writes"),
        remedy=(_settings.alter_system(snapshot, _PAGES, str(wanted)),) if wanted > pages else (),
        caveats=_settings.caveats(snapshot.setting_by_name.get(_PAGES)),
    )
