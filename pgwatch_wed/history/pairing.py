"""Which object of one snapshot is which of another: by oid, or by name if the servers are not the same."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pgwatch_wed.errors import DeltaError
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts.lineage import Bond, lineage

Oids = Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Pairing:
    """Two snapshots and what is the same in both: old oid to new oid.

    An object that was dropped and created again under its name is the same, with another oid. ``by_name``
    says why oids mean nothing here; "" if they identify objects. ``has_names`` is false if names were replaced
    with placeholders, which may be others in each file.
    """

    old: Snapshot
    new: Snapshot
    bond: Bond | None
    by_name: str
    has_names: bool
    tables: Oids
    indexes: Oids
    sequences: Oids

    @property
    def is_same_server(self) -> bool:
        """Whether query IDs, and the oids of everything, mean the same in both."""
        return self.bond in (Bond.SAME, Bond.RESTARTED)

    @property
    def crashed(self) -> datetime | None:
        """When a crash in between reset all counters; None if there was none."""
        if not self.is_same_server or self.new.now <= self.old.now:
            return None
        return lineage(self.old, self.new).crashed

    @property
    def is_counted_anew(self) -> bool:
        """Whether all counters began anew in between, so that what they show is no change."""
        return self.bond is Bond.UPGRADED or self.crashed is not None

    def has(self, *facts: str) -> bool:
        """Tell whether facts were read in both snapshots."""
        return not any(f in self.old.missing or f in self.new.missing for f in facts)

    def was_whole(self, fact: str) -> bool:
        """Tell whether what the first snapshot does not have did not exist."""
        return _is_whole(self.old, fact)

    def is_whole(self, fact: str) -> bool:
        """Tell whether what the second snapshot does not have no longer exists."""
        return _is_whole(self.new, fact)


def paired(old: Snapshot, new: Snapshot) -> Pairing:
    """Find out what is the same in two snapshots, in whichever order they were taken."""
    bond, why = _bond(old, new)
    has_names = not (is_redacted(old) or is_redacted(new))

    def pairs(before: Iterable[Any], after: Iterable[Any]) -> Oids:
        return _pairs(tuple(before), tuple(after), only_by_name=bool(why), has_names=has_names)

    return Pairing(
        old,
        new,
        bond,
        why,
        has_names,
        pairs(old.tables, new.tables),
        pairs(old.indexes, new.indexes),
        pairs(old.sequences, new.sequences),
    )


def is_redacted(snapshot: Snapshot) -> bool:
    """Tell whether names were replaced with placeholders."""
    server = snapshot.server
    return server.system_identifier is None and bool(_PLACEHOLDER.fullmatch(server.database))


_PLACEHOLDER = re.compile(r"database_\d+")


def _is_whole(snapshot: Snapshot, fact: str) -> bool:
    return fact not in snapshot.missing and f"{fact}:left-out" not in snapshot.missing


def _bond(old: Snapshot, new: Snapshot) -> tuple[Bond | None, str]:
    first, second = (old, new) if old.now <= new.now else (new, old)
    if first.now == second.now and first.server == second.server:
        return Bond.SAME, ""
    try:
        return lineage(first, second).bond, ""
    except DeltaError as error:
        return None, error.message


def _pairs(
    old: tuple[Any, ...], new: tuple[Any, ...], *, only_by_name: bool, has_names: bool
) -> dict[int, int]:
    present = set() if only_by_name else {row.oid for row in new}
    same = {row.oid: row.oid for row in old if row.oid in present}
    if not has_names:
        return same
    rest = _named(new, lambda row: row.oid not in same)
    again = {
        row.oid: rest[row.schema, row.name]
        for row in old
        if row.oid not in same and (row.schema, row.name) in rest
    }
    return same | again


def _named(rows: Iterable[Any], wanted: Callable[[Any], bool]) -> dict[tuple[str, str], int]:
    return {(row.schema, row.name): row.oid for row in rows if wanted(row)}
