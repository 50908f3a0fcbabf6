"""Times in an HdrHistogram: three significant digits, from 1 µs to ten hours."""

from collections.abc import Mapping
from functools import cache

from hdrh.histogram import HdrHistogram

from pgwatch_wed.load.load_model import Latencies

_HIGHEST_US = 36_000_000_000
_DIGITS = 3
_SIGNIFICANT_BITS = 11  # of three digits, as in the histogram
_BEYOND = 10  # a percentile with fewer values beyond it is chance


def grouped(us: int) -> int:
    """Return the smallest value that the histogram does not tell from this one."""
    spare = us.bit_length() - _SIGNIFICANT_BITS
    return us if spare <= 0 else us >> spare << spare


class HdrLatencies:
    """A distribution of times; the same values in any order make the same one."""

    __slots__ = ("_histogram",)

    def __init__(self, counts_us: Mapping[int, int]) -> None:
        self._histogram = HdrHistogram(1, _HIGHEST_US, _DIGITS)
        for us, count in counts_us.items():
            self._histogram.record_value(min(max(us, 0), _HIGHEST_US), count)

    @property
    def count(self) -> int:
        """The number of transactions."""
        return int(self._histogram.get_total_count())

    def percentile(self, percent: float) -> float | None:
        """Return the ms below which so many percent are; None with fewer than 10 transactions beyond it."""
        if self.count * (100 - percent) / 100 < _BEYOND:
            return None
        return float(self._histogram.get_value_at_percentile(percent)) / 1000

    def mean(self) -> float | None:
        """Return the mean in ms."""
        return float(self._histogram.get_mean_value()) / 1000 if self.count else None

    def above(self, limit_ms: float) -> int:
        """Return how many took longer, to the precision of the histogram."""
        return sum(n for ms, n in self.values_ms() if ms > limit_ms)

    def values_ms(self) -> list[tuple[float, int]]:
        """Return each value in ms, in order, and how often it occurred."""
        return [
            (item.value_iterated_to / 1000, int(item.count_added_in_this_iter_step))
            for item in self._histogram.get_recorded_iterator()
        ]

    def added(self, other: Latencies) -> "HdrLatencies":
        """Return the distribution of both."""
        both = HdrLatencies({})
        for one in (self, other):
            both._histogram.add(_decoded(one.encoded()))
        return both

    def encoded(self) -> str:
        """Return it as text, for files: HdrHistogram's own compressed form."""
        return str(self._histogram.encode().decode("ascii"))

    @classmethod
    def decoded(cls, text: str) -> "HdrLatencies":
        """Return the distribution that :meth:`encoded` wrote; ValueError if it is not one."""
        read = cls({})
        try:
            read._histogram.add(_decoded(text))
        except Exception as error:  # noqa: BLE001 - base64's, zlib's and the library's own, which share nothing
            raise ValueError(f"not a histogram: {error}") from None
        return read


def _decoded(text: str) -> HdrHistogram:
    return HdrHistogram.decode(text.encode("ascii"))


@cache
def no_latencies() -> HdrLatencies:
    """Return the distribution of nothing."""
    return HdrLatencies({})
