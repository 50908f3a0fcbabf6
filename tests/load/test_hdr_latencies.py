"""Distributions of times."""

from random import Random

import pytest
from hdrh.histogram import HdrHistogram

from pgwatch_wed.load.engine.hdr_latencies import HdrLatencies, grouped


def of(values_us: list[int]) -> HdrLatencies:
    counts: dict[int, int] = {}
    for value in values_us:
        counts[grouped(value)] = counts.get(grouped(value), 0) + 1
    return HdrLatencies(counts)


def test_percentiles_are_exact_to_three_digits() -> None:
    found = of(list(range(1000, 1_001_000, 10)))
    assert found.count == 100_000
    for percent in (50, 95, 99):
        assert found.percentile(percent) == pytest.approx(1 + percent * 10, rel=2e-3)
    assert found.mean() == pytest.approx(501, rel=2e-3)
    assert found.above(901) == pytest.approx(10_000, abs=110)


def test_a_percentile_needs_ten_transactions_beyond_it() -> None:
    assert of([5] * 199).percentile(95) is None
    assert of([5] * 200).percentile(95) == 0.005
    assert of([5] * 999).percentile(99) is None
    assert of([5] * 19).percentile(50) is None
    nothing = of([])
    assert (nothing.count, nothing.percentile(50), nothing.mean()) == (0, None, None)


def test_two_are_added_and_kept_as_text() -> None:
    one, other = of([100] * 30), of([900] * 30)
    both = one.added(other)
    assert (one.count, other.count, both.count) == (30, 30, 60)
    assert HdrLatencies.decoded(both.encoded()).values_ms() == both.values_ms()
    with pytest.raises(ValueError, match="not a histogram"):
        HdrLatencies.decoded("nonsense")


def test_a_time_out_of_range_is_kept_at_its_end() -> None:
    assert of([10**12] * 40).percentile(50) == pytest.approx(36_000_000, rel=1e-3)
    assert of([0] * 40).percentile(50) == 0


def test_it_answers_as_the_library_does() -> None:
    random = Random(5)
    values = [int(random.lognormvariate(8, 2)) for _ in range(5000)]
    found, library = of(values), HdrHistogram(1, 36_000_000_000, 3)
    for value in values:
        library.record_value(value)
    for percent in (0, 1, 50, 90, 95, 99, 99.8):
        assert found.percentile(percent) == library.get_value_at_percentile(percent) / 1000
    assert found.mean() == pytest.approx(library.get_mean_value() / 1000, rel=1e-3)
    assert found.encoded() == library.encode().decode()
