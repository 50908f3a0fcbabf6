"""Which columns an update changes without naming them: by triggers, and in stored generated columns."""

from collections.abc import Iterable, Iterator, Mapping

from pgwatch_wed.facts import ImpliedChange, Snapshot
from pgwatch_wed.facts.derived import derived


def by(snapshot: Snapshot, table_oids: Iterable[int], columns: frozenset[str]) -> dict[str, str]:
    """Return the columns that an update of these columns of a table and its partitions also changes, and why.

    Triggers come first, then what is generated from the columns that they set.
    """
    found: dict[str, str] = {}
    for oid in table_oids:
        changes = _changes(snapshot).get(oid, ())
        for change in sorted(changes, key=lambda c: c.trigger is None):
            needs = frozenset(snapshot.column_names(oid, change.needs))
            if change.attnum is not None and (not needs or needs & (columns | found.keys())):
                name = snapshot.column_names(oid, (change.attnum,))[0]
                if name not in columns:
                    found.setdefault(name, _why(change, name, needs))
    return found


def _why(change: ImpliedChange, name: str, needs: frozenset[str]) -> str:
    if change.trigger is None:
        return f"{name} is generated from {', '.join(sorted(needs))}"
    return f"the trigger {change.trigger} sets {name}"


def unclear(snapshot: Snapshot, table_oids: Iterable[int]) -> tuple[str, ...]:
    """Return the triggers that may set any column."""
    return tuple(sorted(dict.fromkeys(_unclear(snapshot, table_oids))))


def _unclear(snapshot: Snapshot, table_oids: Iterable[int]) -> Iterator[str]:
    for oid in table_oids:
        for change in _changes(snapshot).get(oid, ()):
            if change.attnum is None and change.trigger is not None:
                yield change.trigger


@derived
def _changes(snapshot: Snapshot) -> Mapping[int, list[ImpliedChange]]:
    found: dict[int, list[ImpliedChange]] = {}
    for change in snapshot.implied_changes:
        found.setdefault(change.table_oid, []).append(change)
    return found
