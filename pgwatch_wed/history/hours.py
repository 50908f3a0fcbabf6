"""Which earlier intervals can be compared with the current ones: those of the same hours, if there are enough."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

DAY = timedelta(days=1)
NEAR = timedelta(hours=2)
ENOUGH = 16
"""So many intervals of the same hours are better than more of all hours."""


class Spanning(Protocol):
    """What has a beginning and an end."""

    @property
    def begins(self) -> datetime:
        """When it begins."""

    @property
    def ends(self) -> datetime:
        """When it ends."""


T = TypeVar("T", bound=Spanning)


def comparable(base: Sequence[T], current: Sequence[T]) -> tuple[T, ...]:
    """Return the intervals of the base at the same hours, and on the same kind of days, as the current ones.

    Where there are few of them, a base of at least a day shows itself how much the hour matters. A shorter one of other
    hours proves nothing.
    """
    if not base or not current:
        return ()
    near = tuple(b for b in base if any(_is_near(b, c) for c in current))
    days = {_is_weekend(c) for c in current}
    alike = tuple(b for b in near if _is_weekend(b) in days)
    if len(alike) >= ENOUGH:
        return alike
    if len(near) >= ENOUGH:
        return near
    return tuple(base) if base[-1].ends - base[0].begins >= DAY else near


def _is_near(one: Spanning, other: Spanning) -> bool:
    apart = abs(_middle(one) - _middle(other)) % DAY
    return min(apart, DAY - apart) <= max(NEAR, one.ends - one.begins)


def _middle(interval: Spanning) -> datetime:
    return interval.begins + (interval.ends - interval.begins) / 2


def _is_weekend(interval: Spanning) -> bool:
    return _middle(interval).weekday() >= 5
