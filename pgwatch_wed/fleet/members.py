"""The members of a fleet: what is to be visited, as an inventory says it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from fnmatch import fnmatchcase

from pgwatch_wed.fleet.name_patterns import name_pattern

ALL = "*"


@dataclass(frozen=True, slots=True)
class DatabaseChoice:
    """Which databases of a cluster are read: names, with ``*`` and ``?`` as in a shell, or ``/regular expression/``.

    Nothing to take means the one that the target names; ``take=("*",)`` all of them.
    """

    take: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()

    def chosen(self, databases: Iterable[str], named: str) -> tuple[str, ...]:
        """Return which of a server's databases are read, where the target names one."""
        if not self.take:
            return (named,)
        return tuple(
            d
            for d in databases
            if any(_fits(p, d) for p in self.take) and not any(_fits(p, d) for p in self.leave)
        )


def _fits(pattern: str, name: str) -> bool:
    if len(pattern) > 1 and pattern[0] == pattern[-1] == "/":
        return name_pattern(pattern[1:-1]).is_in(name)
    return fnmatchcase(name, pattern)


@dataclass(frozen=True, slots=True)
class AllowedTime:
    """When a cluster may be visited: a part of the day in UTC, which may go past midnight, on days of the week.

    ``days`` counts from Monday, 0; the day is that on which the part begins.
    """

    begins: time
    ends: time
    days: frozenset[int] = frozenset(range(7))

    def holds(self, moment: datetime) -> bool:
        """Tell whether a cluster may be visited at a moment in UTC; one that begins and ends alike has 24 hours."""
        now = moment.time()
        if self.begins < self.ends:
            return self.begins <= now < self.ends and moment.weekday() in self.days
        if now >= self.begins:
            return moment.weekday() in self.days
        yesterday = (moment - timedelta(days=1)).weekday()
        return now < self.ends and yesterday in self.days

    def next_opening(self, moment: datetime) -> datetime | None:
        """Return when the time begins next after a moment in UTC; None if it does on no day."""
        for ahead in range(8):
            day = moment.date() + timedelta(days=ahead)
            begins = datetime.combine(day, self.begins, moment.tzinfo)
            if begins.weekday() in self.days and begins > moment:
                return begins
        return None


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
    """What a source names and the fleet does not contain, and why.

    ``is_wrong``: somebody has to mend the inventory; else the source itself says that it is not to be visited.
    """

    name: str
    place: str
    reason: str
    is_wrong: bool = False


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
    """Everybody who is to be visited, once, in the order of their names.

    Those that are not enabled are among them. ``not_selected`` counts those that the caller did not ask for. ``asked`` are the
    labels of the sources that were asked for, without those that they include.
    """

    members: tuple[Member, ...]
    left_out: tuple[LeftOut, ...] = ()
    sources: tuple[Source, ...] = ()
    not_selected: int = 0
    asked: tuple[str, ...] = ()

    @property
    def is_wrong(self) -> bool:
        """Tell whether a source failed, or names what cannot be used: exit status 2, whatever else was done."""
        return any(s.failure for s in self.sources) or any(e.is_wrong for e in self.left_out)
