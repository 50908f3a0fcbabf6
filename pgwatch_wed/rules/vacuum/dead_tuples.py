"""Tables with more dead rows than autovacuum should ever leave.

## Why it matters
Every scan reads dead rows, they take up cache, and they make the file grow. A table that stays past its own trigger has not
been cleaned: autovacuum is off, it does not keep up, or something keeps it from removing the rows.

## How sure we are
B: the server's own count of dead rows compared with the table's own trigger. Storage parameters take precedence over
settings, a TOAST table has its own, and from 18 on `autovacuum_vacuum_max_threshold` caps it. The size is an
estimate from the width of the columns, and never more than that of the file. A session reports its counts late, even after
its own VACUUM; if a table's counts contradict each other, its dead rows are unknown.

## Not reported
- Tables below their own trigger, however many rows are dead: autovacuum is configured to wait. For a trigger that is too
  high, see `vacuum-trigger-too-late`.
- Tables that are being vacuumed, and those that autovacuum has not had `min_naptimes` times `autovacuum_naptime` to process
  since its last visit (one, if all workers are busy), unless it ran in vain.
- Fewer than `min_dead_rows` dead rows, or less than `min_dead_bytes`, which a scan hardly notices.
- The verdict is never clear while the counters are younger than `window`, since a reset or a crash discards the counts of
  dead rows.

## Remedy
Find the cause first: see `vacuum-disabled`, `vacuum-horizon` and `vacuum-workers-saturated`. Then a plain VACUUM, which blocks
neither reads nor writes. It does not shrink the file, but makes the space available for reuse. VACUUM FULL is not needed for
this.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed.facts import Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.postgres import autovacuum as vac
from pgwatch_wed.postgres import horizon
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.remedies import maintenance
from pgwatch_wed.units import count

NEEDS = ("tables", "table_activity", "settings")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Above this multiple of its trigger, a table is due for autovacuum but has not been vacuumed.
    min_times_trigger: float = 1.0
    # If autovacuum is on, it has this many times autovacuum_naptime to process a table.
    min_naptimes: float = 5.0
    # At or above this multiple it is a warning even if autovacuum is on: it runs too late or in vain.
    warn_times_trigger: float = 2.0
    # Fewer dead rows do not matter.
    min_dead_rows: int = 1000
    min_dead_bytes: int = 100_000
    # Fewer are reported as info at most.
    warn_dead_bytes: int = 1_000_000
    # Counters that began later may have missed dead rows.
    window: timedelta = timedelta(days=1)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each table past its trigger."""
    clear, doubtful = [], []
    holders = [h for h in horizon.holders(snapshot) if h.pins_rows and h.since]
    for table in vac.vacuumable(snapshot):
        heaps = vac.heaps(snapshot, table)
        piles = [p for p in (_pile(snapshot, h, holders, limits) for h in heaps) if p]
        if piles:
            yield _finding(snapshot, table, max(piles, key=lambda p: p.bytes), limits)
        elif any(_may_be_due(snapshot, h, limits) for h in heaps):
            doubtful.append(table)
        else:
            clear.append(table)
    yield from vac.unsure(doubtful, "dead rows", "VACUUM")
    yield from vac.forgotten(snapshot, limits.window, clear, "dead rows")


@dataclass(frozen=True, slots=True)
class Pile:
    """The dead rows of a heap past its trigger."""

    heap: vac.Heap
    trigger: float
    bytes: int

    @property
    def times(self) -> float:
        """The multiple of the trigger."""
        return self.heap.dead / max(self.trigger, 1.0)


def _pile(
    snapshot: Snapshot, heap: vac.Heap, holders: list[horizon.Holder], limits: Limits
) -> Pile | None:
    trigger = vac.vacuum_trigger(snapshot, heap)
    if trigger is None or heap.dead < limits.min_dead_rows:
        return None
    pile = Pile(heap, trigger, vac.dead_bytes(snapshot, heap))
    if heap.dead <= trigger * limits.min_times_trigger or pile.bytes < limits.min_dead_bytes:
        return None
    if vac.is_being_vacuumed(snapshot, heap):
        return None
    late = vac.had_time(snapshot, heap, heap.last_visit, limits.min_naptimes)
    in_vain = any(horizon.vacuumed_in_vain(snapshot, heap, h, timedelta()) for h in holders)
    return pile if late or in_vain else None


def _may_be_due(snapshot: Snapshot, heap: vac.Heap, limits: Limits) -> bool:
    """Tell whether doubtful counts would make it due for autovacuum if they were right."""
    counted = snapshot.activity_by_oid[heap.table.oid].n_dead_tup if heap.is_doubtful else 0
    trigger = vac.vacuum_trigger(snapshot, heap)
    return trigger is not None and counted > max(trigger, limits.min_dead_rows)


def _finding(snapshot: Snapshot, table: Table, pile: Pile, limits: Limits) -> Finding:
    heap = pile.heap
    share = heap.dead / max(heap.live + heap.dead, 1)
    return Finding(
        object=ix.table_object(snapshot, table),
        severity=_severity(snapshot, pile, limits),
        grade=Grade.B,
        title=f"{count(heap.dead, 'dead row')} in {heap.label}: {share:.0%} of its rows, "
        f"{pile.times:.1f} times its autovacuum trigger",
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
        impact=Impact(bytes=pile.bytes, risk="scans read the dead rows, and the file grows"),
        remedy=(maintenance.vacuum(table, "ANALYZE"),),
        caveats=tuple(_caveats(snapshot)),
    )


def _severity(snapshot: Snapshot, pile: Pile, limits: Limits) -> Severity:
    seen = pile.heap.last_visit is not None  # otherwise it may just have been created
    late = (seen and pile.times >= limits.warn_times_trigger) or not vac.comes(snapshot, pile.heap)
    return Severity.WARNING if late and pile.bytes >= limits.warn_dead_bytes else Severity.INFO


def _cause(snapshot: Snapshot, heap: vac.Heap) -> str:
    if vac.is_off(snapshot):
        return "Autovacuum is off for the whole server, so nothing will remove them."
    if vac.is_disabled(heap):
        return "Autovacuum is off for this table (autovacuum_enabled), so nothing will remove them."
    if heap.last_vacuum is None:
        return "Autovacuum is on and due, but has not vacuumed it since the counters began."
    return f"It was last vacuumed at {heap.last_vacuum:%Y-%m-%d %H:%M:%S %Z}, and is due again."


def _caveats(snapshot: Snapshot) -> Iterator[str]:
    oldest = next((h for h in horizon.holders(snapshot) if h.pins_rows), None)
    held = oldest.held(snapshot.now) if oldest else None
    if held is not None and held >= timedelta(minutes=1):
        yield (
            "VACUUM cannot remove rows that died after the oldest transaction began, "
            f"{count(round(held.total_seconds() / 60), 'minute')} ago: see vacuum-horizon first."
        )
