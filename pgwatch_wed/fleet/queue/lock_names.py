"""Limits of how many visits run at the same time → a lock for each visit: procrastinate makes one visit of each lock at a time.

A host of which two clusters may be visited at a time has visits with two locks. A visit counts for its host and for its group, and has one
lock: where both have all of theirs already, and none in common, two locks become one, so that no limit is ever exceeded.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

from pgwatch_wed.fleet.lanes import Counted


def lock_names(
    counted: Iterable[tuple[str, Sequence[Counted]]], most: Mapping[str, int | None]
) -> Mapping[str, str]:
    """Return names of locks by member, of those that a limit counts; ``most`` are the limits by kind, None for no limit."""
    found = _Locks({kind: limit for kind, limit in most.items() if limit is not None})
    for member, places in counted:
        found.add(member, [place for place in places if place[0] in found.most])
    return {member: found.name(number) for member, number in found.of.items()}


@dataclass(slots=True)
class _Locks:
    """Locks are numbers; ``joined`` leads from one that was united with another to that one."""

    most: Mapping[str, int]
    of: dict[str, int] = field(default_factory=dict)
    joined: dict[int, int] = field(default_factory=dict)
    first: list[Counted] = field(default_factory=list)
    at: dict[Counted, set[int]] = field(default_factory=dict)
    visits: Counter[int] = field(default_factory=Counter)

    def add(self, member: str, places: Sequence[Counted]) -> None:
        """Choose the lock of a member: a new one as long as all of its limits allow it."""
        if not places:
            return
        full = [p for p in places if len(self._at(p)) >= self.most[p[0]]]
        number = self._shared(full) if full else self._new(places[0])
        self.of[member] = number
        self.visits[number] += 1
        for place in places:
            self.at[place] = self._at(place) | {number}

    def name(self, number: int) -> str:
        """Name a lock after the first that it was made for."""
        root = self._root(number)
        kind, of = self.first[root]
        return f"{kind} {of}#{root}"

    def _new(self, place: Counted) -> int:
        self.first.append(place)
        return len(self.first) - 1

    def _shared(self, full: Sequence[Counted]) -> int:
        """Return a lock that all of these have; two become one if there is none."""
        common = set.intersection(*(self._at(place) for place in full))
        if common:
            return self._idlest(common)
        return reduce(self._unite, (self._idlest(self._at(place)) for place in full))

    def _unite(self, one: int, other: int) -> int:
        self.joined[other] = one
        self.visits[one] += self.visits[other]
        return one

    def _idlest(self, numbers: Iterable[int]) -> int:
        return min(numbers, key=lambda n: (self.visits[n], n))

    def _at(self, place: Counted) -> set[int]:
        return {self._root(number) for number in self.at.get(place, ())}

    def _root(self, number: int) -> int:
        while number in self.joined:
            number = self.joined[number]
        return number
