"""A snapshot that notes which of its facts somebody looks at, so that only those have to be read."""

from collections.abc import Iterator, Mapping
from typing import Any

from pgwatch_wed.facts.fields import fact_names
from pgwatch_wed.facts.snapshot import UNASKED, Missing, Snapshot


class WatchedSnapshot(Snapshot):
    """A snapshot whose facts, and the reasons why they are missing, are noted in ``looked`` when they are read."""

    looked: set[str]


class _WatchedReasons(Mapping[str, Missing]):
    """Why facts are missing; who asks for one looks at the fact, who goes through all, at all of them."""

    def __init__(self, reasons: Mapping[str, Missing], looked: set[str]) -> None:
        self._reasons = reasons
        self._looked = looked

    def __getitem__(self, name: str) -> Missing:
        self._looked.add(name.partition(":")[0])
        return self._reasons[name]

    def __iter__(self) -> Iterator[str]:
        self._looked.update(fact_names())
        return iter(self._reasons)

    def __len__(self) -> int:
        self._looked.update(fact_names())
        return len(self._reasons)


def watched(snapshot: Snapshot) -> WatchedSnapshot:
    """Return the snapshot as one that is watched; facts for which nobody has asked are empty in it, not missing."""
    copy = object.__new__(WatchedSnapshot)
    looked: set[str] = set()
    reasons = {name: why for name, why in snapshot.missing.items() if why != UNASKED}
    facts = {name: getattr(snapshot, name) for name in fact_names()}
    copy.__dict__.update(
        facts,
        tool_version=snapshot.tool_version,
        server=snapshot.server,
        measured_since=snapshot.measured_since,
        missing=_WatchedReasons(reasons, looked),
        looked=looked,
    )
    return copy


def _noted(name: str) -> property:
    def read(snapshot: WatchedSnapshot) -> Any:
        snapshot.looked.add(name)
        return snapshot.__dict__[name]

    return property(read)


for _name in fact_names():
    setattr(WatchedSnapshot, _name, _noted(_name))
