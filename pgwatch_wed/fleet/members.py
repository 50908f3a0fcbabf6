"""The members of a fleet: what is to be visited, as an inventory says it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time

ALL = "*"


@dataclass(frozen=True, slots=True)
class DatabaseChoice:
    """Which databases of a cluster are read: names, with ``*`` and ``?`` as in a shell.

    Nothing to take means the one that the target names; ``take=("*",)`` all of them.
    """

    take: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AllowedTime:
    """When a cluster may be visited: a part of the day in UTC, which may go past midnight, on days of the week.

    ``days`` counts from Monday, 0; the day is that on which the part begins.
    """

    begins: time
    ends: time
    days: frozenset[int] = frozenset(range(7))


@dataclass(frozen=True, slots=True)
class Member:
    """A cluster of the fleet.

    ``targets`` are conninfos as libpq understands them, each another way to the cluster: which of them is the primary
    is found out at each run, since roles move. They may hold passwords: :func:`pgwatch_wed.target.connect.label`
    names them. ``place`` is where the inventory names the member, for messages: a file and a line, or a source.
    """

    name: str
    targets: tuple[str, ...]
    databases: DatabaseChoice = DatabaseChoice()
    tags: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    budget_s: float | None = None
    allowed: AllowedTime | None = None
    is_enabled: bool = True
    place: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What a source names and the fleet does not contain, and why."""

    name: str
    place: str
    reason: str


@dataclass(frozen=True, slots=True)
class Source:
    """What became of a source: how many members it gave, why it failed, and how old the list is that stands for it.

    ``kept_age_s`` is None for a list that was just read.
    """

    label: str
    kind: str
    members: int
    failure: str = ""
    kept_age_s: float | None = None


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everybody who is to be visited, once, in the order of their names."""

    members: tuple[Member, ...]
    left_out: tuple[LeftOut, ...] = ()
    sources: tuple[Source, ...] = ()
