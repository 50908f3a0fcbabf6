"""Which values of facts can be: what no server gives is refused when a file is read."""

from datetime import UTC, datetime, timedelta
from typing import Any

# No server's numbers or clock exceed these; larger values were made up, and arithmetic with them would fail.
# (The plan of many cross joins may cost 1e200.)
LARGEST: dict[type, float] = {bool: 1, int: 1 << 64, float: 1e300}
_FIRST_YEAR, _LAST_YEAR = 1970, 9000

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
# the same limits, in microseconds by a clock on the wall
FIRST_MOMENT = (datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC) - EPOCH) // MICROSECOND
LAST_MOMENT = (datetime(_LAST_YEAR + 1, 1, 1, tzinfo=UTC) - EPOCH) // MICROSECOND - 1


def moment(value: Any) -> datetime:
    """Read a timestamp that is safe for arithmetic: with a time zone, and not near the ends of the calendar."""
    found = datetime.fromisoformat(value)
    if found.tzinfo is None or not _FIRST_YEAR <= found.year <= _LAST_YEAR:
        raise ValueError(f"invalid timestamp: {value:.40}")
    return found


def scalar(hint: type[Any], value: Any) -> Any:
    """Check a single number, boolean or string."""
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint:
        raise TypeError(f"{value!r:.40} is not {hint.__name__}")
    if hint is str:
        value.isascii() or value.encode()  # a lone surrogate could not be written back
    elif not -LARGEST[hint] <= value <= LARGEST[hint]:  # nor is NaN
        raise ValueError(f"{value!r:.40} is out of range")
    return value
