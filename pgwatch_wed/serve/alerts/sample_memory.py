"""The samples of the last hours that rules look at, by series."""

import math
import re
import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache

from pgwatch_wed.serve.alerts.promql.nodes import InstantNode, LabelMatch
from pgwatch_wed.serve.state import Labels

# A NaN that says "the series ended here"; quiet, so that its bits survive being copied.
_STALE_BYTES = struct.pack("<Q", 0x7FF8_0000_5741_1E00)
STALE: float = struct.unpack("<d", _STALE_BYTES)[0]
NAME = "__name__"
# Old samples are removed once so many have gathered.
_SPARE = 256


def is_stale(value: float) -> bool:
    """Tell whether a value marks the end of a series."""
    return math.isnan(value) and struct.pack("<d", value) == _STALE_BYTES


class RememberedSeries:
    """The samples of a series in the order of time; moments are milliseconds."""

    __slots__ = ("labels", "times", "values")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.times = array("q")
        self.values = array("d")

    def append(self, at_ms: int, value: float) -> None:
        """Add a sample; one that is not newer than the last is dropped, as Prometheus does."""
        if not self.times or at_ms > self.times[-1]:
            self.times.append(at_ms)
            self.values.append(value)

    def is_ended(self) -> bool:
        """Tell whether nothing follows."""
        return not self.values or is_stale(self.values[-1])

    def latest(self, at_ms: int) -> tuple[int, float] | None:
        """Return the last sample at or before a moment, with its moment."""
        i = bisect_right(self.times, at_ms)
        return (self.times[i - 1], self.values[i - 1]) if i else None

    def between(self, first_ms: int, last_ms: int) -> tuple[Sequence[int], Sequence[float]]:
        """Return the samples from one moment to another, both included, without marks of an end."""
        i, j = bisect_left(self.times, first_ms), bisect_right(self.times, last_ms)
        times, values = self.times[i:j], self.values[i:j]
        if any(v != v for v in values):
            kept = [(t, v) for t, v in zip(times, values, strict=True) if not is_stale(v)]
            return [t for t, _ in kept], [v for _, v in kept]
        return times, values

    def forget_before(self, at_ms: int) -> bool:
        """Drop what is older, from time to time; tell whether nothing is left."""
        i = bisect_left(self.times, at_ms)
        if i == len(self.times):
            return True
        if i >= _SPARE:
            del self.times[:i], self.values[:i]
        return False


class SampleMemory:
    """The series that rules look at.

    ``keep_ms`` is how long the samples of a metric are kept; other metrics are not kept at all. Without it,
    all are kept for ever.
    """

    def __init__(self, keep_ms: Mapping[str, int] | None = None) -> None:
        self._keep_ms = keep_ms
        self._by_name: dict[str, dict[Labels, RememberedSeries]] = {}
        self._selected: dict[tuple[str, tuple[LabelMatch, ...]], list[RememberedSeries]] = {}

    def wants(self, name: str) -> bool:
        """Tell whether samples of a metric are kept."""
        return self._keep_ms is None or name in self._keep_ms or "" in self._keep_ms

    def append(self, labels: Labels, at_ms: int, value: float) -> None:
        """Add a sample; ``labels`` contain the metric's name and are sorted."""
        self._series(labels).append(at_ms, value)

    def mark_ended(self, labels: Iterable[Labels], at_ms: int) -> None:
        """Say of series that they ended."""
        for each in labels:
            series = self._by_name.get(_name(each), {}).get(each)
            if series is not None and not series.is_ended():
                series.append(at_ms, STALE)

    def _series(self, labels: Labels) -> RememberedSeries:
        name = _name(labels)
        of_name = self._by_name.setdefault(name, {})
        series = of_name.get(labels)
        if series is None:
            series = of_name[labels] = RememberedSeries(labels)
            self._selected.clear()
        return series

    def select(self, selector: InstantNode) -> Sequence[RememberedSeries]:
        """Return the series of a selector."""
        key = (selector.name, selector.matches)
        found = self._selected.get(key)
        if found is None:
            found = self._selected[key] = self._find(selector)
        return found

    def _find(self, selector: InstantNode) -> list[RememberedSeries]:
        if selector.name:
            of_names = [self._by_name.get(selector.name, {})]
        else:
            of_names = list(self._by_name.values())
        tests = [(m.label, matcher(m.op, m.value)) for m in selector.matches]
        return [s for of in of_names for s in of.values() if _fits(s.labels, tests)]

    def forget(self, now_ms: int) -> None:
        """Drop what no rule looks at any more."""
        if self._keep_ms is None:
            return
        longest = max(self._keep_ms.values(), default=0)
        for name, of_name in list(self._by_name.items()):
            oldest = now_ms - self._keep_ms.get(name, longest)
            gone = [labels for labels, s in of_name.items() if s.forget_before(oldest)]
            for labels in gone:
                del of_name[labels]
            if gone:
                self._selected.clear()

    def shift(self, by_ms: int) -> None:
        """Follow a clock that was set: what was a minute ago stays a minute ago."""
        for of_name in self._by_name.values():
            for series in of_name.values():
                series.times = array("q", (t + by_ms for t in series.times))

    def count(self) -> tuple[int, int]:
        """Return how many series and samples are kept."""
        every = [s for of in self._by_name.values() for s in of.values()]
        return len(every), sum(len(s.times) for s in every)


def _name(labels: Labels) -> str:
    return next((v for k, v in labels if k == NAME), "")


def _fits(labels: Labels, tests: Sequence[tuple[str, Callable[[str], bool]]]) -> bool:
    values = dict(labels)
    return all(test(values.get(label, "")) for label, test in tests)


@cache
def matcher(op: str, value: str) -> Callable[[str], bool]:
    """Return the test of a label's value."""
    if op == "=":
        return lambda v: v == value
    if op == "!=":
        return lambda v: v != value
    pattern = re.compile(value, re.DOTALL)
    if op == "=~":
        return lambda v: pattern.fullmatch(v) is not None
    return lambda v: pattern.fullmatch(v) is None
