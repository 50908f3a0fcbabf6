"""The table ``[serve.metrics]``.

Its keys and defaults::

    [serve.metrics]
    series = 5000  # at most so many; the largest families are cut, and what is dropped is counted
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pgwatch_wed.errors import UsageError
from pgwatch_wed.serve.metrics.series_limit import LIMIT
from pgwatch_wed.suggestions import unknown_key

_LEAST, _MOST = 200, 1_000_000


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """``series`` is the most that are exposed."""

    series: int = LIMIT


def parse(table: Mapping[str, Any], source: str) -> MetricsSettings:
    """Read the table; an error names the file and the key."""
    where = f"{source}: serve.metrics"
    for key in table:
        if key != "series":
            raise unknown_key(where, key, ("series",))
    series = table.get("series", LIMIT)
    if not isinstance(series, int) or isinstance(series, bool) or not _LEAST <= series <= _MOST:
        raise UsageError(f"{where}.series must be a whole number from {_LEAST} to {_MOST}")
    return MetricsSettings(series)
