"""Our few statistics are those of scipy, and hold what they promise of simulated blocks."""

import math
import random
from collections.abc import Sequence

import pytest
from scipy import stats

from pgwatch_wed.load.load_model import Latencies, Proven
from pgwatch_wed.load.statistics import (
    block_noise,
    block_percentiles,
    holm,
    proportions,
    rank_sum,
    signed_rank,
    student,
)
from pgwatch_wed.load.statistics.pair_verdict import PairVerdict

SEED = 20260110


def heavy(rng: random.Random, sd: float) -> float:
    """Return a difference of two blocks as a busy machine makes them: Student's t with three degrees of freedom."""
    t = rng.gauss(0, 1) / math.sqrt(sum(rng.gauss(0, 1) ** 2 for _ in range(3)) / 3)
    return sd * t / math.sqrt(3)


@pytest.mark.parametrize(
    ("pairs", "cutoff", "covers"),
    [(5, 0, None), (6, 1, 96.9), (8, 4, 96.1), (10, 9, 95.1), (12, 14, 95.8), (20, 53, 95.2)],
)
def test_the_cutoffs_are_those_of_the_tables(pairs: int, cutoff: int, covers: float | None) -> None:
    assert signed_rank.rank_cutoff(pairs) == cutoff
    if covers is not None:
        outside = 2 * sum(signed_rank.rank_sums(pairs)[:cutoff]) / 2**pairs
        assert round(100 * (1 - outside), 1) == covers


def test_fewer_than_six_pairs_have_no_interval() -> None:
    assert signed_rank.shift_interval([0.1] * 5) is None
    assert signed_rank.shift_interval([0.1] * 6) == (0.1, 0.1)
    assert signed_rank.least_pairs() == 6
    assert signed_rank.least_pairs(3) == 7
    assert signed_rank.p_beyond([0.1] * 5) > 0.05


def test_the_signed_rank_test_is_that_of_scipy() -> None:
    rng = random.Random(SEED)
    for pairs in (6, 9, 14):
        differences = [rng.gauss(0.3, 1) for _ in range(pairs)]
        assert signed_rank.p_beyond(differences) == pytest.approx(
            stats.wilcoxon(differences, method="exact").pvalue
        )
        above = stats.wilcoxon(
            [d - 0.2 for d in differences], alternative="greater", method="exact"
        )
        assert signed_rank.p_above(differences, 0.2) == pytest.approx(above.pvalue)


def test_interval_and_p_value_agree() -> None:
    rng = random.Random(SEED)
    for _ in range(200):
        differences = [round(rng.gauss(0.05, 0.1), 2) for _ in range(8)]  # with ties
        interval = signed_rank.shift_interval(differences)
        assert interval is not None
        outside = interval[0] > 0.05 or interval[1] < -0.05
        assert outside == (signed_rank.p_beyond(differences, 0.05) <= 0.05)


def test_the_rank_sum_test_is_that_of_scipy() -> None:
    rng = random.Random(SEED)
    for some, others in ((5, 5), (4, 9), (12, 7)):
        base = [rng.gauss(0, 1) for _ in range(some)]
        current = [rng.gauss(0.5, 1) for _ in range(others)]
        expected = stats.mannwhitneyu(base, current, method="exact").pvalue
        assert rank_sum.p_shifted_beyond(base, current) == pytest.approx(expected)
        assert sum(rank_sum.inversion_counts(some, others)) == math.comb(some + others, some)
        assert rank_sum.shift_between(base, current) == pytest.approx(
            sorted(c - b for c in current for b in base)[some * others // 2], abs=0.5
        )


def test_two_small_samples_have_no_interval() -> None:
    assert rank_sum.unpaired_interval([1, 2, 3], [2, 3, 4]) is None
    interval = rank_sum.unpaired_interval([1, 2, 3, 4], [11, 12, 13, 14])
    assert interval == (7, 13)


def test_holm_is_that_of_the_books() -> None:
    assert holm.holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06}
    )
    assert holm.holm({"a": 0.9, "b": 0.8}) == {"b": 1.0, "a": 1.0}
    assert holm.holm({}) == {}


@pytest.mark.parametrize("freedom", [1, 2, 5, 9, 60, 61, 1000])
@pytest.mark.parametrize("p", [0.5, 0.8, 0.975, 0.9995])
def test_the_quantiles_of_t_are_those_of_scipy(p: float, freedom: int) -> None:
    assert student.t_quantile(p, freedom) == pytest.approx(
        stats.t.ppf(p, freedom), rel=3e-6, abs=1e-6
    )


@pytest.mark.parametrize(
    ("events", "trials"),
    [(0, 10), (1, 10), (10, 10), (3, 3000), (17, 100_000), (60_000, 1_000_000)],
)
def test_the_interval_of_a_share_is_the_exact_one(events: int, trials: int) -> None:
    expected = stats.binomtest(events, trials).proportion_ci(0.95, method="exact")
    assert proportions.share_interval(events, trials) == pytest.approx(
        (expected.low, expected.high), rel=1e-6, abs=1e-12
    )


def test_no_error_in_so_many_shows_less_than_one_in_a_thousand_from_three_thousand_on() -> None:
    assert proportions.share_below(0, 3000) == pytest.approx(3 / 3000, rel=0.01)
    assert proportions.share_below(0, 2900) > 0.001
    assert proportions.share_interval(0, 0) == (0.0, 1.0)


def test_the_incomplete_beta_function_is_that_of_scipy() -> None:
    rng = random.Random(SEED)
    for _ in range(300):
        a, b = 10 ** rng.uniform(-0.5, 5), 10 ** rng.uniform(-0.5, 5)
        x = min(max(rng.gauss(a / (a + b), 1 / math.sqrt(a + b)), 1e-9), 1 - 1e-9)
        assert proportions.beta_cdf(x, a, b) == pytest.approx(
            stats.beta.cdf(x, a, b), rel=1e-6, abs=1e-12
        )


def test_what_can_be_found_in_noise_is_that_of_the_field_notes() -> None:
    assert block_noise.detectable_effect(0.20, 5) == pytest.approx(0.40, abs=0.01)
    assert block_noise.detectable_effect(0.20, 10) == pytest.approx(0.22, abs=0.01)
    assert block_noise.detectable_effect(0.20, 20) == pytest.approx(0.14, abs=0.01)
    assert block_noise.pairs_needed(0.02) == 6
    assert block_noise.pairs_needed(0.05) in range(10, 13)
    assert block_noise.pairs_needed(0.20) in range(130, 140)
    assert block_noise.pairs_needed(10) is None
    assert block_noise.pairs_needed(0.1, 0) is None


def test_the_noise_of_counts_that_mostly_agree_is_not_zero() -> None:
    assert block_noise.noise_floor([0, 0, 0, 0, 0, 0.1]) > 0
    assert block_noise.noise_floor([0.0, 0.0, 0.0]) == 0
    assert block_noise.noise_floor([0.1]) == 0


@pytest.mark.parametrize(
    ("differences", "shows"),
    [
        ([0.5, 0.6, 0.4, 0.5, 0.45, 0.55], Proven.PROVEN),
        ([-0.5, -0.6, -0.4, -0.5, -0.45, -0.55], Proven.PROVEN),
        ([0.01, -0.01, 0.02, 0.0, 0.01, -0.02], Proven.REFUTED),
        ([0.3, -0.3, 0.2, 0.1, -0.2, 0.4], Proven.NOT_PROVEN),
        ([0.5, 0.6, 0.4, 0.5, 0.45], Proven.NOT_PROVEN),
        ([0.0] * 6, Proven.REFUTED),
        ([0.0] * 5, Proven.NOT_PROVEN),
    ],
)
def test_pairs_show_an_effect_none_or_not_enough(
    differences: Sequence[float], shows: Proven
) -> None:
    verdict = PairVerdict.of(differences)
    assert verdict.shows is shows
    assert (verdict.needed is None) == (shows is not Proven.NOT_PROVEN)
    assert bool(verdict.what_would_do) == (shows is Proven.NOT_PROVEN)


def test_what_would_tell_is_more_than_what_was_run() -> None:
    assert PairVerdict.of([0.06, 0.05, 0.07, 0.04, 0.06, 0.05]).needed != 6
    assert PairVerdict.of([0.0] * 5).what_would_do == "1 more pair would do"
    assert PairVerdict.of([5.0, -5.0, 5.0, -5.0, 5.0, -5.0]).needed is None
    noisy = PairVerdict.of([0.01, 0.0, 0.02, -0.01, 0.01], noise=0.2)
    assert noisy.needed is not None
    assert noisy.needed > 100


@pytest.mark.parametrize(("sd", "pairs"), [(0.02, 6), (0.05, 20), (0.2, 6), (0.2, 20)])
def test_identical_blocks_are_seldom_called_different(sd: float, pairs: int) -> None:
    rng = random.Random(SEED)
    runs = 600
    wrong = sum(
        signed_rank.p_beyond([heavy(rng, sd) for _ in range(pairs)]) <= 0.05 for _ in range(runs)
    )
    assert wrong / runs <= 0.06


@pytest.mark.parametrize(
    ("sd", "pairs", "least", "most"),
    [(0.02, 6, 0.75, 1), (0.05, 20, 0.85, 1), (0.2, 20, 0, 0.4)],
)
def test_an_effect_of_five_percent_is_found_where_noise_allows_it(
    sd: float, pairs: int, least: float, most: float
) -> None:
    rng = random.Random(SEED)
    runs = 400
    effect = math.log(1.05)
    found = sum(
        signed_rank.p_beyond([effect + heavy(rng, sd) for _ in range(pairs)]) <= 0.05
        for _ in range(runs)
    )
    assert least <= found / runs <= most


class Times:
    """Latencies of a list of values."""

    def __init__(self, values: Sequence[float]) -> None:
        self.values = sorted(values)

    @property
    def count(self) -> int:
        return len(self.values)

    def percentile(self, percent: float) -> float | None:
        at = int(len(self.values) * percent / 100)
        return self.values[at] if len(self.values) - at >= 10 else None

    def mean(self) -> float | None:
        return sum(self.values) / len(self.values)

    def above(self, limit_ms: float) -> int:
        return sum(v > limit_ms for v in self.values)

    def added(self, other: Latencies) -> "Times":
        assert isinstance(other, Times)
        return Times([*self.values, *other.values])

    def encoded(self) -> str:
        return ""


def blocks(rng: random.Random, number: int, between: float) -> list[Latencies]:
    levels = [rng.gauss(0, between) for _ in range(number)]
    return [Times([math.exp(v + rng.gauss(0, 0.5)) for _ in range(200)]) for v in levels]


@pytest.mark.parametrize("between", [0.0, 0.2, 0.5])
def test_the_interval_of_a_percentile_covers_it_though_blocks_differ(between: float) -> None:
    rng = random.Random(SEED)
    truth = math.exp(1.6448536 * math.hypot(0.5, between))
    runs = 100
    covered = 0
    for _ in range(runs):
        interval = block_percentiles.percentile_interval(blocks(rng, 10, between), 95)
        assert interval is not None
        covered += interval[0] <= truth <= interval[1]
    assert covered / runs >= 0.90


def test_percentiles_that_cannot_be_known_have_no_interval() -> None:
    rng = random.Random(SEED)
    assert block_percentiles.percentile_interval([], 95) is None
    assert block_percentiles.percentile_interval(blocks(rng, 2, 0), 95) is None
    assert block_percentiles.percentile_interval(blocks(rng, 5, 0), 99.9) is None
    few = block_percentiles.percentile_interval([Times(range(70)) for _ in range(3)], 95)
    assert few is not None
    assert few[1] == math.inf


def test_blocks_that_differ_count_for_less() -> None:
    alike = block_percentiles.effective_trials([5, 4, 6, 5, 5, 5], [100] * 6)
    assert alike == 600
    differing = block_percentiles.effective_trials([0, 0, 0, 0, 0, 30], [100] * 6)
    assert differing is not None
    assert differing < 60
    assert block_percentiles.block_share_interval([1, 2], [100, 100]) is None
    none = block_percentiles.block_share_interval([0, 0, 0], [1000] * 3)
    assert none is not None
    assert none == pytest.approx((0.0, 3.69 / 3000), rel=0.01)


def test_the_interval_by_order_statistics_is_wider_the_more_values_follow_each_other() -> None:
    rng = random.Random(SEED)
    values = [rng.gauss(0, 1) for _ in range(2000)]
    narrow = block_percentiles.ordered_interval(values, 95)
    wide = block_percentiles.ordered_interval(values, 95, follows=0.57)
    assert narrow is not None
    assert wide is not None
    assert wide[0] < narrow[0] < 1.645 < narrow[1] < wide[1]
    assert block_percentiles.ordered_interval(values[:100], 95) is None


def test_autocorrelation_is_what_it_says() -> None:
    assert block_percentiles.autocorrelation([1, -1] * 20) < -0.9
    assert block_percentiles.autocorrelation([0.1] * 7) == 0
    assert block_percentiles.autocorrelation([*range(40)]) > 0.9
