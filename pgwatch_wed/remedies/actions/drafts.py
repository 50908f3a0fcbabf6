"""Actions in the making: what each stage has decided, before names, order and gains are settled."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pgwatch_wed.findings import ActionStage, Object, Remedy
from pgwatch_wed.remedies.actions.proposals import Proposal

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Draft:
    """One action. ``undo`` None means: that of the steps, the last first. ``order`` comes before rank within a stage.

    ``is_leaders`` tells that it does what the first finding says, which serves the others.
    """

    title: str
    stage: ActionStage
    proposals: tuple[Proposal, ...]
    steps: tuple[Remedy, ...]
    undo: tuple[str, ...] | None = None
    object: Object | None = None
    is_servers: bool = False
    by_hand: str = ""
    order: int = 0
    is_leaders: bool = False

    @property
    def rank(self) -> int:
        """The place of its most important finding."""
        return min(p.rank for p in self.proposals)

    @property
    def ways_back(self) -> tuple[str, ...]:
        """What undoes it, in the order to run; what is said twice, once."""
        given = self.undo
        if given is None:
            given = tuple(step.undo for step in reversed(self.steps))
        return tuple(dict.fromkeys(filter(None, given)))


@dataclass(slots=True)
class Decisions:
    """What the stages have decided: drafts, and findings that get no action, each with the reason."""

    drafts: list[Draft] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    def refuse(self, proposal: Proposal, reason: str) -> None:
        """Leave a finding without an action."""
        self.refused[proposal.finding.id] = reason


def connected(
    items: Sequence[Item], keys: Callable[[Item], Iterable[Hashable]]
) -> list[list[Item]]:
    """Return groups of items that share a key, directly or through others; in the order of their first."""
    parent = list(range(len(items)))

    def top(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    owner: dict[Hashable, int] = {}
    for place, item in enumerate(items):
        for key in keys(item):
            one, other = top(owner.setdefault(key, place)), top(place)
            parent[max(one, other)] = min(one, other)
    groups: dict[int, list[Item]] = {}
    for place, item in enumerate(items):
        groups.setdefault(top(place), []).append(item)
    return list(groups.values())
