"""When a cluster may be visited: parts of the day in UTC, which may go past midnight."""

from datetime import UTC, datetime, timedelta

from pgwatch_wed.fleet.members import AllowedTime

_DAY = timedelta(days=1)


def seconds_left(allowed: AllowedTime, moment: datetime) -> float | None:
    """Return how long visits are allowed from a moment on, in seconds, or None if they are not."""
    now = moment.astimezone(UTC)
    for back in (0, 1):
        begins = datetime.combine(now.date() - back * _DAY, allowed.begins, UTC)
        ends = datetime.combine(begins.date(), allowed.ends, UTC)
        if ends <= begins:
            ends += _DAY
        if begins.weekday() in allowed.days and begins <= now < ends:
            return (ends - now).total_seconds()
    return None


def next_opening(allowed: AllowedTime, moment: datetime) -> datetime | None:
    """Return when the next allowed time begins."""
    now = moment.astimezone(UTC)
    for ahead in range(8):
        begins = datetime.combine(now.date() + ahead * _DAY, allowed.begins, UTC)
        if begins.weekday() in allowed.days and begins > now:
            return begins
    return None
