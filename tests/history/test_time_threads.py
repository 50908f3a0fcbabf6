"""What people reported of slower statements and of forecasts that were wrong: rebuilt, and held against what is true."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pgwatch_wed.history.forecasts import Outlook, Untold, forecast
from pgwatch_wed.history.interval_units import Observed
from pgwatch_wed.history.regressions import Judged, Shift, Sides
from tests.test_regressions import server, verdict

DAY = timedelta(days=1)
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def dashboard(before: Observed, after: Observed) -> Shift:
    """Return what is found out if a statement's intervals were alike, and then are as others."""
    w = server(base=24, current=4)

    def as_(like: Observed, each: Observed) -> Observed:
        noise = each.exec_ms / 10_000
        return replace(like, begins=each.begins, ends=each.ends, exec_ms=like.exec_ms * noise)

    sides = w[0]
    w[0] = Sides(
        tuple(as_(before, i) for i in sides.base), tuple(as_(after, i) for i in sides.current)
    )
    return verdict(w)


def calls(
    mean_ms: float, deviation_ms: float, blocks: float, plan: str | None = None, rows: float = 50
) -> Observed:
    """Return an hour of 1,000 calls."""
    return Observed(
        NOW, NOW, 1_000, 1_000 * mean_ms, 1_000 * rows, 1_000 * blocks,
        deviation_ms=deviation_ms, plan=plan,
    )  # fmt: skip


def test_an_analyze_at_night_flips_a_plan() -> None:
    """lukretium.com/blog/the-query-plan-that-changed-its-mind: an index scan became a sequential one, 12 ms became 8 s."""
    found = dashboard(calls(12, 15, 60, "index"), calls(8_000, 900, 400_000, "sequential"))
    assert (found.outcome, found.grade, found.is_new_plan) == (Judged.REGRESSED, "A", True)
    assert 500 < found.ratio < 900
    assert found.rows_ratio == 1


def test_a_plan_that_is_bad_for_some_parameters_alone() -> None:
    """monpg.app/blog/postgresql-plan-regressions-after-deploy: the slowest calls went from 50 ms to 4 s, and not the others.

    Of 1,000 calls, 20 take 4 s instead of 50 ms: their number is the same, so it is no other mix.
    """
    before, after = calls(20, 25, 500), calls(99, 550, 8_000)
    found = dashboard(before, after)
    assert (found.outcome, found.grade) == (Judged.REGRESSED, "B")


def test_more_calls_with_the_parameters_that_were_always_slow() -> None:
    """PerformanceMonitor#3798 tells sensitivity to parameters from a change of the plan: 2% take 1 s, and then 8%."""

    def mixed(share: float) -> Observed:
        mean = share * 1_000 + (1 - share) * 5
        return calls(mean, 995 * (share * (1 - share)) ** 0.5, 100 + share * 50_000)

    assert dashboard(mixed(0.02), mixed(0.08)).outcome is Judged.MIXED


def sizes(values: list[float]) -> list[tuple[datetime, float | None]]:
    return [(NOW - (len(values) - 1 - n) * DAY, v) for n, v in enumerate(values)]


def test_a_load_is_no_pace() -> None:
    """CrunchyData/pgmonitor#264: an ETL job made the alert say that a disk fills up, and it did not."""
    quiet = [10_000.0 + 10 * n + n % 3 for n in range(60)]
    loaded = [v + (5_000 if n >= 58 else 0) for n, v in enumerate(quiet)]
    found = forecast(sizes(loaded), NOW, 20_000)
    assert isinstance(found, Outlook)
    assert 8 < found.pace[1] < 12
    assert found.reached[0] is not None
    assert found.reached[0] > NOW + 300 * DAY, "410 days at the true pace"
    assert "is not part of the pace" in found.notes[0]


def test_what_is_cleaned_up_now_and_then_does_not_fill_the_disk() -> None:
    """alphagov/prometheus-aws-configuration-beta#153: between two cleanings, a disk is always about to be full."""
    values = [1_000.0 + 50 * (n % 10) for n in range(89)]
    found = forecast(sizes(values), NOW, 2_000)
    assert isinstance(found, Outlook)
    assert not found.is_growing
    assert found.reached[0] is None


def test_nothing_is_extrapolated_from_what_has_just_begun() -> None:
    """netdata/netdata#6114: a minute after the start, the last minute was taken for the rate of the hour."""
    found = forecast(sizes([100.0, 400.0, 900.0]), NOW, 1_000)
    assert isinstance(found, Untold)
    assert found.reason.startswith("3 of the 30 days")
    assert found.told_at == NOW + 27 * DAY
