"""What differs between two snapshots of a database: who looks for a cause or an effect begins here.

A rename is a rename, by oid; after pg_upgrade, which keeps oids, statements are told apart by their texts.
Snapshots of different servers are compared by names, and :attr:`SnapshotChanges.by_name` says so. What one of the
snapshots lacks is not compared, and listed; what one of them has only in part is neither created nor dropped.
"""

from dataclasses import dataclass
from itertools import chain

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.history.change import Change, ChangeKind, What
from pgwatch_wed.history.load_changes import load_changes
from pgwatch_wed.history.pairing import paired
from pgwatch_wed.history.server_changes import server_changes
from pgwatch_wed.history.structure_changes import structure_changes

__all__ = ["Change", "ChangeKind", "SnapshotChanges", "What", "changes", "changes_of"]


@dataclass(frozen=True, slots=True)
class SnapshotChanges:
    """What differs, why it was compared by names (or ""), and which facts could not be compared."""

    changes: tuple[Change, ...]
    by_name: str
    not_compared: tuple[str, ...]


def changes(old: Snapshot, new: Snapshot) -> tuple[Change, ...]:
    """Return what differs, in the order of kinds, then of names."""
    return changes_of(old, new).changes


def changes_of(old: Snapshot, new: Snapshot) -> SnapshotChanges:
    """Return what differs, and what of it could not be told."""
    pairing = paired(old, new)
    found = chain(server_changes(pairing), structure_changes(pairing), load_changes(pairing))
    lacking = sorted(fact for fact in _FACTS if not pairing.has(fact))
    return SnapshotChanges(
        tuple(sorted(found, key=_place)),
        pairing.by_name,
        tuple(lacking),
    )


_FACTS = (
    *("settings", "role_settings", "extensions", "databases", "roles", "slots"),
    *("tables", "columns", "indexes", "constraints", "sequences", "extended_statistics"),
    *("table_activity", "statements"),
)
_ORDER = {kind: number for number, kind in enumerate(ChangeKind)}


def _place(change: Change) -> tuple[int, str, str, str, str]:
    o = change.object
    return _ORDER[change.kind], o.table or "", o.label, change.what, change.aspect
