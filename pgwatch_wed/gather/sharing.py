"""Databases of one server have much alike: it is kept in memory once, however many they are."""

from dataclasses import dataclass, field, replace
from typing import Any

from pgwatch_wed.facts import Snapshot


@dataclass(slots=True)
class SharedValues:
    """Values that snapshots of a server have had so far."""

    _known: dict[Any, Any] = field(default_factory=dict)

    def shared(self, snapshot: Snapshot) -> Snapshot:
        """Return an equal snapshot, whose catalogs, extensions and texts of statements are those of earlier ones."""
        known = self._known
        return replace(
            snapshot,
            extensions=tuple(known.setdefault(each, each) for each in snapshot.extensions),
            system_tables=tuple(known.setdefault(each, each) for each in snapshot.system_tables),
            statements=tuple(
                replace(each, text=known.setdefault(each.text, each.text))
                for each in snapshot.statements
            ),
        )
