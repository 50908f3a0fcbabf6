"""The log of pgbench, read while it is written, and what is counted of it."""

from pathlib import Path

import pytest

from pgwatch_wed.load.engine.block_tally import Tally, over_capacity_failures
from pgwatch_wed.load.engine.pgbench_log import LoggedTransaction, LogStream
from pgwatch_wed.load.load_model import FailureKind, LoadScript, Order

ONE, TWO = LoadScript(name="one", text="select 1;"), LoadScript(name="two", text="select 2;")
S = 1_000_000


def stream(tmp_path: Path, threads: int = 1) -> LogStream:
    return LogStream(tmp_path / "log", 7, threads, has_lag=True, has_retries=True)


def test_a_line_is_read_once_it_is_whole(tmp_path: Path) -> None:
    log, file = stream(tmp_path), tmp_path / "log.7"
    assert list(log.news()) == []
    file.write_text("0 1 2500 1 1700000000 500 900 2\n0 2 31")
    assert list(log.news()) == [LoggedTransaction(0, 1, 1_700_000_000_000_500, 2500, 900, 2, None)]
    assert list(log.news()) == []
    with file.open("a") as more:
        more.write("00 0 1700000001 7 100 0\n")
    assert [t.took for t in log.news()] == [3100]
    log.close()


def test_a_long_log_is_read_in_parts_without_a_loss(tmp_path: Path) -> None:
    lines = [f"0 {n} {n} 0 1700000000 500 5 0\n" for n in range(3000)]
    (tmp_path / "log.7").write_text("".join(lines))
    log = stream(tmp_path)
    part = [t.took for t in log.news(all_of_it=False)]
    assert 0 < len(part) < 3000
    assert part + [t.took for t in log.news()] == list(range(3000))
    log.close()


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("skipped", FailureKind.SKIPPED),
        ("deadlock", FailureKind.DEADLOCK),
        ("serialization", FailureKind.SERIALIZATION),
        ("failed", FailureKind.ERROR),
        ("of-the-future", FailureKind.ERROR),
    ],
)
def test_a_failed_transaction_says_how(tmp_path: Path, word: str, kind: FailureKind) -> None:
    (tmp_path / "log.7").write_text(f"0 1 {word} 0 1700000000 500 0 1\n")
    log = stream(tmp_path)
    assert [(t.failure, t.took) for t in log.news()] == [(kind, 0)]
    log.close()


def test_each_thread_has_a_file(tmp_path: Path) -> None:
    (tmp_path / "log.7").write_text("0 1 10 0 1700000000 0 5 0\n")
    (tmp_path / "log.7.1").write_text("1 1 20 0 1700000000 0 5 0\n")
    log = stream(tmp_path, threads=2)
    assert [(t.thread, t.took) for t in log.news()] == [(0, 10), (1, 20)]
    log.close()


def order(rate: float | None = 10.0, timeout_s: float | None = None) -> Order:
    return Order(
        scripts=(ONE, TWO), clients=2, rate=rate, seconds=5, warmup_s=2, timeout_s=timeout_s
    )


def ended(
    at_s: float, took_s: float = 0.01, lag_s: float = 0.0, failure: FailureKind | None = None
) -> LoggedTransaction:
    return LoggedTransaction(
        0, 0, int((1000 + at_s) * S), int(took_s * S), int(lag_s * S), 0, failure
    )


def tally(*lines: LoggedTransaction, what: Order | None = None) -> Tally:
    found = Tally(what or order(), 1)
    found.add([ended(0.01), *lines])  # the first begins the warm-up, at 1000
    return found


def test_the_warm_up_is_left_out_and_is_in_what_the_server_counted() -> None:
    found = tally(ended(1.9), ended(2.5), ended(6.9), ended(7.5))
    assert (found.succeeded, found.all_run) == (2, 5)
    assert found.spent().latency.count == 2
    assert found.began == pytest.approx(1002)


def test_in_an_open_loop_what_was_due_counts_and_in_a_closed_one_what_ended() -> None:
    # due in the warm-up and ended late; due inside and ended after it
    lines = (ended(3.0, took_s=2.5, lag_s=2.4), ended(9.0, took_s=3.0, lag_s=2.0))
    opened, closed = tally(*lines), tally(*lines, what=order(rate=None))
    assert opened.spent().latency.mean() == pytest.approx(3000, rel=1e-3)
    assert opened.succeeded == closed.succeeded == 1
    assert closed.spent().latency.mean() == pytest.approx(2500, rel=1e-3)
    assert closed.spent().lag is None
    lag = opened.spent().lag
    assert lag is not None
    assert lag.mean() == pytest.approx(2000, rel=1e-3)
    assert opened.spent().service.mean() == pytest.approx(1000, rel=1e-3)


def test_what_took_longer_than_the_timeout_has_failed_and_stays_among_the_times() -> None:
    found = tally(ended(3, took_s=0.4), ended(4, took_s=0.2), what=order(timeout_s=0.3))
    assert found.failures == {FailureKind.TIMEOUT: 1}
    assert (found.succeeded, found.spent().latency.count) == (1, 2)


def test_over_capacity_each_transaction_that_was_due_counts_once() -> None:
    # of 50: one served in time, one late, one due inside that ended after it, one error
    lines = (
        ended(3, took_s=0.2),
        ended(4, took_s=0.9),
        ended(9, took_s=3),
        ended(5, failure=FailureKind.ERROR),
    )
    found = tally(*lines, what=order(timeout_s=0.5))
    assert found.failures[FailureKind.TIMEOUT] == 2
    assert (found.ended_inside, found.late_inside) == (2, 1)
    failures = over_capacity_failures(found.failures, 50, found.ended_inside, found.late_inside)
    assert failures == {
        FailureKind.ERROR: 1,
        FailureKind.TIMEOUT: 1,
        FailureKind.SKIPPED: 47,
    }
    assert found.ended_inside - found.late_inside + sum(failures.values()) == 50


def test_what_was_due_and_never_begun_is_told_from_a_pause_by_chance() -> None:
    on_time = tally(*(ended(s / 10) for s in range(20, 70)))
    assert on_time.close(1007) == pytest.approx(5)
    assert on_time.never_begun() == 0
    stalled = tally(*(ended(s / 10) for s in range(20, 45)))
    stalled.close(1007)
    assert stalled.never_begun() == pytest.approx(26, abs=1)
    closed = tally(ended(3), what=order(rate=None))
    closed.close(1007)
    assert closed.never_begun() == 0


def test_a_run_that_is_cut_short_was_measured_for_less() -> None:
    found = tally(ended(3), ended(4))
    assert found.close(1004.5) == pytest.approx(2.5)
    nothing = Tally(order(), 1)
    assert nothing.close(1004.5) == 0
    assert nothing.began is None
    assert nothing.never_begun() == 0
