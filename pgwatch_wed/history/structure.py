"""What a piece of advice would make, and whether a snapshot has it.

Advice is SQL. What it leaves behind is a *structure*: an index with these columns, a setting with this value.
A structure is looked for, not a name: an index that somebody built under another name is the one advised.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pgwatch_wed.facts.advice_words import AppliedState


@dataclass(frozen=True, slots=True)
class Status:
    """A state, and in words what is different or missing; ``oids`` are the indexes that were found."""

    state: AppliedState
    detail: str = ""
    oids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Structure:
    """One thing that should be there, or be gone, or have happened, once the advice is applied.

    ``label`` names it for people. ``known`` contains JSON values: what identifies it, and what was there when the
    advice was given. ``is_event``: it happens (ANALYZE) rather than lasts.
    """

    kind: str
    label: str
    known: Mapping[str, Any] = field(default_factory=dict)
    is_event: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "kind": self.kind,
            "label": self.label,
            "known": dict(self.known),
            "is_event": self.is_event,
        }

    @classmethod
    def of_json(cls, value: Mapping[str, Any]) -> "Structure":
        """Read what :meth:`to_json` wrote."""
        return cls(value["kind"], value["label"], value["known"], bool(value.get("is_event")))


@dataclass(frozen=True, slots=True)
class Advised:
    """The structures of one finding's remedy, and the statements whose effect cannot be followed, with the reason."""

    structures: tuple[Structure, ...] = ()
    not_followed: tuple[str, ...] = ()

    @property
    def can_be_followed(self) -> bool:
        """Whether later snapshots can tell that it was applied."""
        return bool(self.structures)


def together(found: Iterable[Status]) -> Status:
    """Return the state of advice that consists of several structures."""
    each = tuple(found)
    if not each:
        return Status(AppliedState.UNKNOWN, "nothing in it can be followed")
    states = {s.state for s in each}
    detail = "; ".join(dict.fromkeys(s.detail for s in each if s.detail))
    oids = tuple(oid for s in each for oid in s.oids)
    if len(states) == 1:
        return Status(each[0].state, detail, oids)
    for state in (AppliedState.GONE, AppliedState.UNKNOWN):
        if state in states:
            return Status(state, "; ".join(s.detail for s in each if s.state is state), oids)
    done = sum(s.state is AppliedState.APPLIED for s in each)
    missing = f"{done} of {len(each)} steps"
    return Status(AppliedState.PARTLY, "; ".join(filter(None, (missing, detail))), oids)


def following(before: AppliedState, now: Status) -> Status:
    """Return the state in a later snapshot, given that of the one before.

    What was there before the advice stays that; what was applied and is no longer there has been undone.
    """
    was_there = before in (AppliedState.APPLIED, AppliedState.UNDONE)
    if before is AppliedState.BEFORE and now.state is AppliedState.APPLIED:
        return Status(AppliedState.BEFORE, now.detail, now.oids)
    if was_there and now.state in (AppliedState.ABSENT, AppliedState.PARTLY):
        return Status(
            AppliedState.UNDONE, now.detail or "it was there, and is gone again", now.oids
        )
    return now
