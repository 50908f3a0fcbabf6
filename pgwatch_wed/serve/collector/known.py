"""The newest of each fact, and when it was read.

Facts of different times are one snapshot only where they agree: what a reset or its own age has made wrong is
missing, with the reason.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pgwatch_wed.facts import Cause, Missing, Snapshot
from pgwatch_wed.serve.collector import tiers
from pgwatch_wed.serve.state import STALE_INTERVALS
from pgwatch_wed.target.collect import ORDER

_NOT_YET = Missing("it was not read yet", "wait for the next reading", Cause.NOT_ASKED)
# The counters of a database that pg_stat_reset() empties.
_EMPTIED_TOGETHER = ("table_activity", "index_usage", "file_sizes")


@dataclass(frozen=True, slots=True)
class ReadAt:
    """When a fact was read: by the client's clock, and by the server's."""

    client: float
    server: datetime


@dataclass(frozen=True, slots=True)
class KnownFacts:
    """What was read of a target so far."""

    snapshot: Snapshot
    read_at: Mapping[str, ReadAt] = field(default_factory=dict)

    def of_tier(self, tier: str) -> float | None:
        """Return since when all facts of a tier are known: when the oldest was read."""
        moments = [self.read_at[n].client if n in self.read_at else None for n in tiers.FACTS[tier]]
        known = [m for m in moments if m is not None]
        return min(known) if known and len(known) == len(moments) else None

    def as_of(self, now: float, intervals: Mapping[str, float]) -> Snapshot:
        """Return the snapshot as it counts now: what is too old, or older than a reset, is missing."""
        absent = {
            name: _too_old(now - at.client)
            for name, at in self.read_at.items()
            if now - at.client > STALE_INTERVALS * intervals[tiers.TIER_OF[name]]
        }
        return _without(self.snapshot, {**self._older_than_reset(), **absent})

    def _older_than_reset(self) -> dict[str, Missing]:
        database = self.snapshot.database
        reset = database.stats_reset if database else None
        if reset is None:
            return {}
        why = Missing("it was read before the counters were reset", "wait for the next reading")
        return {
            name: why
            for name in _EMPTIED_TOGETHER
            if name in self.read_at and self.read_at[name].server <= reset
        }


def added(known: KnownFacts | None, part: Snapshot, names: Iterable[str], at: float) -> KnownFacts:
    """Add facts that were read together; those for which the connection was lost keep their older value."""
    wanted = set(names)
    lost = {n for n in wanted if (m := part.missing.get(n)) is not None and m.cause is Cause.BROKEN}
    read = wanted - lost
    before = known.snapshot if known else _empty(part)
    kept = {n: m for n, m in before.missing.items() if n.partition(":")[0] not in read}
    missing = {n: m for n, m in part.missing.items() if n.partition(":")[0] in read}
    rows: dict[str, Any] = {name: getattr(part, name) for name in read}
    # moving facts that were read in the middle of the catalogs are newer than these
    latest = max(before.server, part.server, key=lambda server: server.taken_at)
    snapshot = replace(
        before,
        server=latest,
        extensions=part.extensions,
        missing=kept | missing,
        query_costs=part.query_costs,
        **rows,
    )
    moments = dict.fromkeys(read, ReadAt(at, part.server.taken_at))
    return KnownFacts(snapshot, {**(known.read_at if known else {}), **moments})


def _empty(part: Snapshot) -> Snapshot:
    asked = {n: m for n, m in part.missing.items() if n.partition(":")[0] not in ORDER}
    return Snapshot(part.tool_version, part.server, {**asked, **dict.fromkeys(ORDER, _NOT_YET)})


def _without(snapshot: Snapshot, absent: Mapping[str, Missing]) -> Snapshot:
    if not absent:
        return snapshot
    nothing: dict[str, Any] = dict.fromkeys(absent, ())
    return replace(snapshot, missing={**snapshot.missing, **absent}, **nothing)


def _too_old(seconds: float) -> Missing:
    return Missing(f"it was last read {seconds:,.0f} s ago", "see why it is not read", Cause.BROKEN)
