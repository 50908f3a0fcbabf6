"""What a change is, and how rows of one kind are compared."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from pgwatch_wed.findings import Object
from pgwatch_wed.history.pairing import Pairing

ChangeValue = str | int | float | None


class ChangeKind(StrEnum):
    """What is different, in the order in which readers look for it."""

    VERSION = "version"
    RESTART = "restart"
    RECOVERY = "recovery"
    SETTING = "setting"
    ROLE_SETTING = "role setting"
    EXTENSION = "extension"
    DATABASE = "database"
    ROLE = "role"
    SLOT = "replication slot"
    TABLE = "table"
    COLUMN = "column"
    INDEX = "index"
    CONSTRAINT = "constraint"
    SEQUENCE = "sequence"
    STATISTICS = "statistics object"
    STATEMENT = "statement"
    SIZE = "size"
    ROWS = "rows"
    DEAD_ROWS = "dead rows"


class What(StrEnum):
    """What happened to it."""

    CREATED = "created"
    DROPPED = "dropped"
    RENAMED = "renamed"
    RECREATED = "re-created"  # dropped and created again, or rebuilt, under its name
    ALTERED = "altered"
    INVALID = "became invalid"
    VALID = "became valid"
    ANALYZED = "analyzed"
    VACUUMED = "vacuumed"
    GREW = "grew"
    SHRANK = "shrank"
    RESTARTED = "restarted"
    CRASHED = "crashed"
    PROMOTED = "promoted"
    APPEARED = "appeared"  # a statement that was not seen before
    VANISHED = "vanished"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. ``before`` and ``after`` are values of ``aspect``, sizes in bytes.

    ``oid`` is the relation's in the second snapshot, or in the first if it is gone; of a column or constraint, its
    table's. ``at`` is when it happened; None if only known to be between the two snapshots.
    """

    kind: ChangeKind
    what: What
    object: Object
    before: ChangeValue = None
    after: ChangeValue = None
    oid: int | None = None
    aspect: str = ""
    at: datetime | None = None


Aspect = Callable[[Any], ChangeValue]
Aspects = Mapping[str, Aspect]


@dataclass(frozen=True, slots=True)
class MatchedRows:
    """The rows of a fact in both snapshots: those in one of them only, and those in both."""

    gone: tuple[Any, ...]
    come: tuple[Any, ...]
    both: tuple[tuple[Any, Any], ...]


def compared(
    pairing: Pairing,
    fact: str,
    old_key: Callable[[Any], Hashable],
    new_key: Callable[[Any], Hashable] | None = None,
) -> MatchedRows:
    """Match the rows of a fact by keys; what may only have been left out is neither gone nor come."""
    if not pairing.has(fact):
        return MatchedRows((), (), ())
    before = {old_key(row): row for row in getattr(pairing.old, fact)}
    after = {(new_key or old_key)(row): row for row in getattr(pairing.new, fact)}
    return MatchedRows(
        tuple(r for k, r in before.items() if k not in after) if pairing.is_whole(fact) else (),
        tuple(r for k, r in after.items() if k not in before) if pairing.was_whole(fact) else (),
        tuple((r, after[k]) for k, r in before.items() if k in after),
    )


def altered(old: Any, new: Any, aspects: Aspects) -> Iterator[tuple[str, ChangeValue, ChangeValue]]:
    """Yield each aspect in which two rows differ, with its values."""
    for name, value in aspects.items():
        before, after = value(old), value(new)
        if before != after:
            yield name, before, after


def joined(values: Iterable[Any]) -> str | None:
    """Print several values as one; None if there are none."""
    return ", ".join(map(str, values)) or None


def yes(value: bool) -> ChangeValue:
    """Print a boolean."""
    return "yes" if value else "no"
