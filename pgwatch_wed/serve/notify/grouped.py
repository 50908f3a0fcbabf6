"""What a receiver is to be told about a group of alerts, and when; pure.

A group remembers only what was delivered. Whatever is tried is the difference between that and now, so a receiver that was
away gets the newest state, in order, and each end once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pgwatch_wed.serve.notify.inhibition import RANKS
from pgwatch_wed.serve.state import Alert


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to wait for more before telling, between two messages, and before saying it again.

    ``missing_s``: an alert that is gone without having ended, as after a restart, counts as ended then.
    """

    wait_s: float = 30.0
    wait_critical_s: float = 5.0
    interval_s: float = 60.0
    repeat_s: float = 4 * 3600.0
    missing_s: float = 900.0


@dataclass(frozen=True, slots=True)
class GroupMemory:
    """What a receiver knows of a group.

    ``told`` was delivered as firing. ``owed`` was tried and may or may not have arrived: its end must be told as well.
    """

    told: Mapping[str, Alert] = field(default_factory=dict)
    owed: Mapping[str, Alert] = field(default_factory=dict)
    missing_since: Mapping[str, float] = field(default_factory=dict)
    changed_at: float | None = None
    sent_at: float | None = None
    sequence: int = 0

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing to remember."""
        return not self.told and not self.owed and self.changed_at is None


@dataclass(frozen=True, slots=True)
class Notice:
    """What to tell: what fires, and what has ended since. ``key`` is the same when it is tried again."""

    group: tuple[tuple[str, str], ...]
    firing: Mapping[str, Alert]
    resolved: Mapping[str, Alert]
    sequence: int
    is_repeat: bool = False

    @property
    def key(self) -> str:
        """Identify the message for a receiver that gets it twice."""
        return "/".join((*(f"{name}={value}" for name, value in self.group), str(self.sequence)))


GroupKey = tuple[tuple[str, str], ...]


def plan(
    group: GroupKey,
    memory: GroupMemory,
    alerts: Mapping[str, Alert],
    now: float,
    pace: Pace,
) -> tuple[GroupMemory, Notice | None]:
    """Return what to remember, and what to tell now, if anything.

    ``alerts`` are those of the group that fire or have ended; one that is not to be told (inhibited, in maintenance) is there
    only if it had been told before.
    """
    memory = _seen(_on_this_side_of(memory, now), alerts, now)
    firing = {key: a for key, a in alerts.items() if a.state == "firing"}
    known = {**memory.owed, **memory.told}
    fresh = {key: a for key, a in firing.items() if key not in memory.told}
    ended = {
        key: _end(known[key], alerts.get(key), now)
        for key in known
        if _ended(key, memory, alerts, now, pace)
    }
    notice = Notice(group, firing, ended, memory.sequence)
    if not fresh and not ended:
        memory = replace(memory, changed_at=None)
        again = (
            bool(memory.told)
            and memory.sent_at is not None
            and now - memory.sent_at >= pace.repeat_s
        )
        return memory, replace(notice, is_repeat=True) if again else None
    memory = replace(memory, changed_at=now if memory.changed_at is None else memory.changed_at)
    return memory, notice if now >= _due_at(memory, fresh, pace) else None


def delivered(memory: GroupMemory, notice: Notice, now: float) -> GroupMemory:
    """Return the memory after a message arrived."""
    waiting = {
        key: alert
        for key, alert in {**memory.owed, **memory.told}.items()
        if key in memory.missing_since and key not in notice.resolved
    }
    return GroupMemory(
        told={**waiting, **notice.firing},
        missing_since={key: memory.missing_since[key] for key in waiting},
        sent_at=now,
        sequence=memory.sequence + 1,
    )


def undelivered(memory: GroupMemory, notice: Notice) -> GroupMemory:
    """Return the memory after a message failed: it may have arrived all the same."""
    return replace(memory, owed={**memory.owed, **notice.firing})


def _due_at(memory: GroupMemory, fresh: Mapping[str, Alert], pace: Pace) -> float:
    assert memory.changed_at is not None
    is_critical = any(_severity(a) == "critical" for a in fresh.values())
    due = memory.changed_at + (pace.wait_critical_s if is_critical else pace.wait_s)
    if is_critical or memory.sent_at is None:
        return due
    return max(due, memory.sent_at + pace.interval_s)


def _severity(alert: Alert) -> str:
    return dict(alert.labels).get("severity", "")


def worst(alerts: Mapping[str, Alert]) -> str:
    """Return the worst severity among alerts."""
    return min(
        (_severity(a) for a in alerts.values()), key=lambda s: RANKS.get(s, len(RANKS)), default=""
    )


def _seen(memory: GroupMemory, alerts: Mapping[str, Alert], now: float) -> GroupMemory:
    missing = {
        key: min(memory.missing_since.get(key, now), now)
        for key in (*memory.told, *memory.owed)
        if key not in alerts
    }
    return replace(memory, missing_since=missing)


def _ended(
    key: str, memory: GroupMemory, alerts: Mapping[str, Alert], now: float, pace: Pace
) -> bool:
    if key in alerts:
        return alerts[key].state == "resolved"
    return now - memory.missing_since.get(key, now) >= pace.missing_s


def _end(told: Alert, newest: Alert | None, now: float) -> Alert:
    if newest is not None:
        return newest
    return replace(told, state="resolved", resolved_at=now)


def _on_this_side_of(memory: GroupMemory, now: float) -> GroupMemory:
    # After the clock was set back, nothing waits for a moment that was once the past.
    return replace(
        memory,
        changed_at=None if memory.changed_at is None else min(memory.changed_at, now),
        sent_at=None if memory.sent_at is None else min(memory.sent_at, now),
    )
