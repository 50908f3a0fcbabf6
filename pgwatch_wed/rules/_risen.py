"""What rules about amounts that rose have in common."""

from collections.abc import Iterator
from typing import Any

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts.rows import LevelShift


def of(snapshot: Snapshot, kind: str) -> Iterator[LevelShift]:
    """Yield the shifts of a kind, the largest first."""
    found = (s for s in snapshot.level_shifts if s.kind == kind)
    return iter(sorted(found, key=lambda s: (-s.ratio, s.oid)))


def since(shift: LevelShift) -> str:
    """Return when the current intervals begin."""
    return f"{shift.current_begins:%Y-%m-%d %H:%M} UTC"


def evidence(shift: LevelShift) -> dict[str, Any]:
    """Return how well it is established."""
    return {
        "ratio": round(shift.ratio, 2),
        "intervals_before": shift.base_intervals,
        "intervals_after": shift.current_intervals,
        "p_value": float(f"{shift.p_value:.1g}"),
        "base_begins": shift.base_begins.isoformat(),
        "current_begins": shift.current_begins.isoformat(),
        "current_ends": shift.current_ends.isoformat(),
    }
