"""Times as an HdrHistogram has them: three significant digits, from 1 µs to ten hours.

Only its encoded form is made by the library, whose Python code walks through all buckets, empty or not, for each question.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from itertools import accumulate

from hdrh.histogram import HdrHistogram

from pgwatch_wed.load.load_model import Latencies

_HIGHEST_US = 36_000_000_000
_DIGITS = 3
_SIGNIFICANT_BITS = 11  # of three digits, as in the histogram
_BEYOND = 10  # a percentile with fewer values beyond it is chance


def _spare_bits(us: int) -> int:
    return max(0, us.bit_length() - _SIGNIFICANT_BITS)


def grouped(us: int) -> int:
    """Return the smallest value that the histogram does not tell from this one."""
    spare = _spare_bits(us)
    return us >> spare << spare


class HdrLatencies:
    """A distribution of times; the same values in any order make the same one."""

    __slots__ = ("_cumulated", "_numbers", "_values")

    def __init__(self, counts_us: Mapping[int, int]) -> None:
        counts: dict[int, int] = {}
        for us, number in counts_us.items():
            value = grouped(min(max(us, 0), _HIGHEST_US))
            counts[value] = counts.get(value, 0) + number
        self._values = sorted(counts)
        self._numbers = [counts[value] for value in self._values]
        self._cumulated = list(accumulate(self._numbers))

    @property
    def count(self) -> int:
        """The number of transactions."""
        return self._cumulated[-1] if self._cumulated else 0

    def percentile(self, percent: float) -> float | None:
        """Return the ms below which so many percent are; None with fewer than 10 transactions beyond it."""
        if self.count * (100 - percent) / 100 < _BEYOND:
            return None
        rank = max(1, math.ceil(self.count * percent / 100))
        return _highest(self._values[bisect_left(self._cumulated, rank)]) / 1000

    def mean(self) -> float | None:
        """Return the mean in ms."""
        if not self.count:
            return None
        total = sum(_middle(v) * n for v, n in zip(self._values, self._numbers, strict=True))
        return total / self.count / 1000

    def above(self, limit_ms: float) -> int:
        """Return how many took longer, to the precision of the histogram."""
        first = bisect_right(self._values, limit_ms * 1000)
        return self.count - (self._cumulated[first - 1] if first else 0)

    def values_ms(self) -> list[tuple[float, int]]:
        """Return each value in ms, in order, and how often it occurred."""
        pairs = zip(self._values, self._numbers, strict=True)
        return [(_highest(value) / 1000, number) for value, number in pairs]

    def added(self, other: Latencies) -> "HdrLatencies":
        """Return the distribution of both."""
        theirs = other if isinstance(other, HdrLatencies) else HdrLatencies.decoded(other.encoded())
        both = self.counts_us()
        for value, number in theirs.counts_us().items():
            both[value] = both.get(value, 0) + number
        return HdrLatencies(both)

    def encoded(self) -> str:
        """Return it as text, for files: HdrHistogram's own compressed form."""
        histogram = HdrHistogram(1, _HIGHEST_US, _DIGITS)
        for value, number in self.counts_us().items():
            histogram.record_value(value, number)
        return str(histogram.encode().decode("ascii"))

    @classmethod
    def decoded(cls, text: str) -> "HdrLatencies":
        """Return the distribution that :meth:`encoded` wrote; ValueError if it is not one."""
        try:
            histogram = HdrHistogram.decode(text.encode("ascii"))
        except Exception as error:  # noqa: BLE001 - base64's, zlib's and the library's own, which share nothing
            raise ValueError(f"not a histogram: {error}") from None
        return cls(
            {
                int(item.value_iterated_to): int(item.count_added_in_this_iter_step)
                for item in histogram.get_recorded_iterator()
            }
        )

    def counts_us(self) -> dict[int, int]:
        """Return how often each value in µs occurred."""
        return dict(zip(self._values, self._numbers, strict=True))


def _highest(value: int) -> int:
    return value + (1 << _spare_bits(value)) - 1


def _middle(value: int) -> float:
    return value + (1 << _spare_bits(value)) // 2
