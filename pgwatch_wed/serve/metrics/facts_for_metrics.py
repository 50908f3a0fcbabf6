"""What the functions that make values get: facts, when they were read, and which are missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pgwatch_wed.facts import Session, Snapshot

CLIENT = "client backend"


@dataclass(frozen=True, slots=True)
class SeenFacts:
    """The facts of a target under its name."""

    target: str
    snapshot: Snapshot
    taken_at: Mapping[str, datetime]

    def has(self, *facts: str) -> bool:
        """Tell whether facts were read; what is missing has no value, and not the value 0."""
        return not any(fact in self.snapshot.missing for fact in facts)

    def rows(self, fact: str) -> tuple[Any, ...]:
        """Return the rows of a fact; none if it is missing."""
        rows: tuple[Any, ...] = getattr(self.snapshot, fact) if self.has(fact) else ()
        return rows

    def age(self, fact: str, moment: datetime | None) -> float | None:
        """Return the seconds from a moment to when the fact was read, both by the server's clock."""
        if moment is None:
            return None
        return max(0.0, (self.taken_at.get(fact, self.snapshot.now) - moment).total_seconds())

    @property
    def database_names(self) -> tuple[str, ...]:
        """The databases in which somebody can work."""
        return tuple(
            d.name for d in self.rows("databases") if d.allows_connections and not d.is_template
        )

    @property
    def clients(self) -> tuple[Session, ...]:
        """The sessions of clients; not ours, which are never collected."""
        return tuple(s for s in self.rows("sessions") if s.backend_type == CLIENT)
