"""The tests of the fleet's experiments, against known values and against scipy where it is there."""

import math

import pytest

from pgwatch_wed.fleet.experiment import exact_tests


def test_fisher_of_known_tables() -> None:
    # the lady who tasted tea, and Fisher's twins: the textbook's values
    assert exact_tests.fisher(4, 4, 3, 1) == pytest.approx(34 / 70)
    assert exact_tests.fisher(13, 17, 10, 2) == pytest.approx(0.000_536_724_1, rel=1e-6)
    assert exact_tests.fisher(14, 46, 14, 0) == pytest.approx(5.765_05e-14, rel=1e-5)
    assert exact_tests.fisher(8, 22, 8, 0) == pytest.approx(1 / math.comb(30, 8))
    assert exact_tests.fisher(5, 5, 2, 2) == 1.0


def test_fisher_agrees_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for cases, others in ((3, 5), (8, 22), (20, 21)):
        for a in range(cases + 1):
            for b in range(others + 1):
                table = [[a, b], [cases - a, others - b]]
                theirs = stats.fisher_exact(table)[1]
                assert exact_tests.fisher(cases, others, a, b) == pytest.approx(theirs)


def test_the_least_p_is_that_of_the_most_uneven_table() -> None:
    for cases, others, exposed in ((3, 9, 4), (5, 5, 5), (2, 28, 1)):
        each = [
            exact_tests.fisher(cases, others, a, exposed - a)
            for a in range(max(0, exposed - others), min(cases, exposed) + 1)
        ]
        assert exact_tests.least_p(cases, others, exposed) == pytest.approx(min(each))


def test_holm_of_known_values() -> None:
    found = exact_tests.holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert found == pytest.approx({"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06})
    assert exact_tests.holm({}) == {}


def test_what_can_never_be_significant_costs_nothing() -> None:
    assert exact_tests.testable({"strong": 1e-6, "weak": 0.5, "weaker": 1.0}, 0.05) == {"strong"}
    assert exact_tests.testable(dict.fromkeys(range(10), 0.03), 0.05) == set()
    assert exact_tests.testable(dict.fromkeys(range(10), 0.001), 0.05) == set(range(10))


def test_the_least_share_is_that_of_clopper_and_pearson() -> None:
    assert exact_tests.least_share(0, 5) == 0
    assert exact_tests.least_share(0, 0) == 0
    assert exact_tests.least_share(5, 5) == pytest.approx(0.05 ** (1 / 5))
    assert exact_tests.least_share(12, 13) == pytest.approx(0.683_66, rel=1e-4)
