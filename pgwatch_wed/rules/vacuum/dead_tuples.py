"""Tables with more dead rows than autovacuum should ever leave.

## Why it matters
Dead rows are read by every scan, fill the cache, and make the file grow. A table beyond its own trigger
is one that autovacuum was due for and has not cleaned: it is off, it does not keep up, or
something keeps the rows alive.

## How sure we are
B: the server's own count of dead rows against the table's own trigger. Storage parameters come before
settings, TOAST has its own, and from 18 on `autovacuum_vacuum_max_threshold` caps it. The bytes are an estimate
(the rows' share of the file).

## Not reported
- Tables below their own trigger, however many rows are dead: autovacuum was told to wait. A trigger that is set
  too far away is `vacuum-trigger-too-late`.
- Tables that a vacuum is working on now.
- Piles of less than `min_dead_rows` rows or `min_dead_bytes`, which one scan does not notice.
- Nothing is called clear while the counters are younger than `window`, since a reset or a crash forgets dead rows.

## Remedy
First the cause: `vacuum-disabled`, `vacuum-horizon` and `vacuum-workers-saturated` say which it is. Then a plain
VACUUM, which holds up neither reads nor writes. It does not shrink the file but lets it be filled again.
VACUUM FULL is not needed for this.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed.facts import Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.rules import _horizon
from pgwatch_wed.rules import _indexes as ix
from pgwatch_wed.rules import _vacuum as vac

NEEDS = ("tables", "table_activity", "settings")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Dead rows beyond so many times the trigger: autovacuum is due and did not come.
    min_times_trigger: float = 1.0
    # From here on it is a warning even where autovacuum is on: it comes too late or in vain.
    warn_times_trigger: float = 2.0
    # Smaller piles are gone before anybody notices.
    min_dead_rows: int = 1000
    min_dead_bytes: int = 100_000
    # Smaller piles are never more than info.
    warn_dead_bytes: int = 1_000_000
    # Younger counters may have forgotten dead rows.
    window: timedelta = timedelta(days=1)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each table beyond its trigger."""
    clear = []
    for table in vac.vacuumable(snapshot):
        piles = [p for p in (_pile(snapshot, h, limits) for h in vac.heaps(snapshot, table)) if p]
        if piles:
            yield _finding(snapshot, table, max(piles, key=lambda p: p.bytes), limits)
        else:
            clear.append(table)
    yield from vac.forgotten(snapshot, limits.window, clear, "dead rows")


@dataclass(frozen=True, slots=True)
class Pile:
    """The dead rows of a heap beyond its trigger."""

    heap: vac.Heap
    trigger: float
    bytes: int

    @property
    def times(self) -> float:
        """How many times the trigger there are."""
        return self.heap.dead / max(self.trigger, 1.0)


def _pile(snapshot: Snapshot, heap: vac.Heap, limits: Limits) -> Pile | None:
    trigger = vac.vacuum_trigger(snapshot, heap)
    if trigger is None or heap.dead < limits.min_dead_rows:
        return None
    pile = Pile(heap, trigger, vac.dead_bytes(snapshot, heap))
    if heap.dead <= trigger * limits.min_times_trigger or pile.bytes < limits.min_dead_bytes:
        return None
    return None if vac.is_being_vacuumed(snapshot, heap) else pile


def _finding(snapshot: Snapshot, table: Table, pile: Pile, limits: Limits) -> Finding:
    heap = pile.heap
    share = heap.dead / max(heap.live + heap.dead, 1)
    return Finding(
        object=ix.table_object(snapshot, table),
        severity=_severity(snapshot, pile, limits),
        grade=Grade.B,
        title=f"{heap.dead:,} dead rows in {heap.label}: {share:.0%} of its rows, "
        f"{pile.times:.1f} times its trigger",
        detail=_cause(snapshot, heap),
        evidence={
            "dead_rows": heap.dead,
            "live_rows": heap.live,
            "trigger_rows": round(pile.trigger),
            "times_trigger": round(pile.times, 2),
            "dead_bytes": pile.bytes,
            "in_toast": heap.is_toast,
            "autovacuum_comes": vac.comes(snapshot, heap),
            "last_vacuum": heap.last_vacuum.isoformat() if heap.last_vacuum else None,
        },
        impact=Impact(bytes=pile.bytes, risk="scans read dead rows, and the file grows"),
        remedy=(vac.vacuum(table, "ANALYZE"),),
        caveats=tuple(_caveats(snapshot)),
    )


def _severity(snapshot: Snapshot, pile: Pile, limits: Limits) -> Severity:
    late = pile.times >= limits.warn_times_trigger or not vac.comes(snapshot, pile.heap)
    return Severity.WARNING if late and pile.bytes >= limits.warn_dead_bytes else Severity.INFO


def _cause(snapshot: Snapshot, heap: vac.Heap) -> str:
    if vac.is_off(snapshot):
        return "Autovacuum is off for the whole server, so nothing will remove them."
    if vac.is_disabled(heap):
        return "Autovacuum is off for it (autovacuum_enabled), so nothing will remove them."
    if heap.last_vacuum is None:
        return "Autovacuum is on and due, and has not been there since the counters began."
    return f"It was vacuumed last at {heap.last_vacuum:%Y-%m-%d %H:%M:%S %Z}, and is due again."


def _caveats(snapshot: Snapshot) -> Iterator[str]:
    oldest = next((h for h in _horizon.holders(snapshot) if h.pins_rows), None)
    held = oldest.held(snapshot.now) if oldest else None
    if held is not None and held >= timedelta(minutes=1):
        yield (
            "VACUUM cannot remove rows that died after the oldest transaction began, "
            f"{held.total_seconds() / 60:.0f} minutes ago: see vacuum-horizon first."
        )
