"""The runner of probes: intervals, one deadline over everything, tries, abandoned attempts, breakers."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from pgwatch_wed.app import breakers
from pgwatch_wed.app.breakers import BreakerState
from pgwatch_wed.serve.probes.observation import Limit, Observation, ProbeFailure
from pgwatch_wed.serve.probes.probe_runner import Probe, Runner
from pgwatch_wed.serve.probes.probe_settings import ProbeSettings
from pgwatch_wed.serve.state import Board, Family, Health, ProbeResult, Reason, Sample

FAIL = ProbeFailure(Reason.REFUSED)


class Peer:
    """What answers as it is told: failures, then what it is otherwise."""

    def __init__(self, *outcomes: Observation | Exception) -> None:
        self.outcomes = list(outcomes)
        self.asked = 0
        self.at_once = 0
        self.most_at_once = 0
        self.hang = threading.Event()
        self.hang.set()

    def __call__(self, limit: Limit) -> Observation:
        self.asked += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.hang.wait(10)
        self.at_once -= 1
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def runner(peer: Callable[[Limit], Observation], **settings: float) -> tuple[Runner, Board]:
    board = Board()
    chosen = ProbeSettings(
        name="peer",
        kind="test",
        **{"interval_s": 0.2, "deadline_s": 0.1, "tries": 2, **settings},  # type: ignore[arg-type]
    )
    return Runner(board, [Probe(chosen, peer)], now=time.time), board


def test_without_room_for_a_thread_nothing_is_known_and_probing_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, board = runner(Peer(Observation()))

    def fail(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fail)
        made.run_once()
    seen = [board.state.probes["peer"].status]
    made.run_once()
    seen.append(board.state.probes["peer"].status)
    assert seen == [Health.UNKNOWN, Health.PASS]


@contextmanager
def running(made: Runner) -> Iterator[None]:
    made.start()
    try:
        yield
    finally:
        made.stop()


def until(true: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def result(board: Board) -> ProbeResult:
    return board.state.probes["peer"]


def test_one_failure_is_a_blip_two_are_news() -> None:
    made, board = runner(Peer(FAIL, Observation()))
    made.run_once()
    assert result(board).status is Health.PASS
    made, board = runner(Peer(FAIL))
    made.run_once()
    assert (result(board).status, result(board).reason) == (Health.FAIL, Reason.REFUSED)


def test_wrong_credentials_are_not_tried_again() -> None:
    peer = Peer(ProbeFailure(Reason.AUTH))
    made, board = runner(peer)
    made.run_once()
    assert (result(board).reason, peer.asked) == (Reason.AUTH, 1)


def test_no_room_is_a_warning_and_counts() -> None:
    made, board = runner(Peer(ProbeFailure(Reason.LIMIT)))
    made.run_once()
    assert (result(board).status, result(board).reason) == (Health.WARN, Reason.LIMIT)
    assert made.breakers["peer"].state == "closed"


def test_since_is_kept_while_the_status_is() -> None:
    made, board = runner(Peer(Observation(), Observation(), FAIL), tries=1)
    made.run_once()
    first = result(board)
    made.run_once()
    assert (result(board).since, result(board).at > first.at) == (first.since, True)
    made.run_once()
    assert result(board).since == result(board).at > first.since


def test_the_deadline_holds_whatever_the_probe_does_and_threads_never_pile_up() -> None:
    peer = Peer(Observation())
    peer.hang.clear()
    made, board = runner(peer, tries=1)
    before = threading.active_count()
    begun = time.monotonic()
    with running(made):
        until(lambda: "peer" in board.state.probes)
        assert time.monotonic() - begun < 0.4
        assert (result(board).status, result(board).reason) == (Health.FAIL, Reason.TIMEOUT)
        until(lambda: "has not returned" in result(board).detail)
        time.sleep(0.5)
        assert threading.active_count() <= before + 2  # the clock's thread, and the one that hangs
        assert (peer.asked, peer.most_at_once) == (1, 1)
        assert result(board).as_of(time.time()).status is Health.FAIL  # and not stale
        peer.hang.set()
        until(lambda: result(board).status is Health.PASS)
    assert peer.most_at_once == 1


def test_a_late_return_changes_nothing() -> None:
    peer = Peer(Observation(detail="too late"), Observation(detail="fresh"))
    peer.hang.clear()
    made, board = runner(peer, tries=1, interval_s=60.0)
    made.run_once()
    peer.hang.set()
    until(lambda: peer.at_once == 0)
    assert result(board).reason is Reason.TIMEOUT
    until(lambda: made._courses[0].attempt is None)
    made.run_once()
    assert result(board).detail == "fresh"


def test_a_probe_that_hangs_does_not_delay_another() -> None:
    slow, quick = Peer(Observation()), Peer(Observation())
    slow.hang.clear()
    board = Board()
    made = Runner(
        board,
        [
            Probe(ProbeSettings(name=n, kind="test", interval_s=0.2, deadline_s=0.1), p)
            for n, p in (("slow", slow), ("quick", quick))
        ],
        now=time.time,
    )
    with running(made):
        until(lambda: quick.asked > 5)
        assert board.state.probes["quick"].status is Health.PASS
        assert slow.asked == 1
    slow.hang.set()


def test_a_breaker_opens_and_lets_one_trial_through_an_interval() -> None:
    peer = Peer(*[FAIL] * 8, Observation())
    made, board = runner(peer)
    with running(made):
        until(lambda: board.state.details["breakers"] == {"peer": "open"})
        assert breakers.states()["probe peer"] == "open"
        assert breakers.transitions()["probe peer"][BreakerState.OPEN] == 1
        until(lambda: result(board).status is Health.PASS)
        assert board.state.details["breakers"] == {"peer": "closed"}
    assert peer.most_at_once == 1


def test_a_breaker_is_born_closed_and_at_zero() -> None:
    runner(Peer(Observation()))
    assert breakers.states()["probe peer"] == "closed"
    assert set(breakers.transitions()["probe peer"].values()) == {0}


def test_metrics_with_labels_are_there_while_the_peer_is() -> None:
    found = Family(
        "hits_total", "counter", "Hits.", (Sample("hits_total", (("cache", "a"),), 1.0),)
    )
    made, board = runner(Peer(Observation(families=(found,)), FAIL), tries=1)
    made.run_once()
    assert list(board.state.families["probes"]) == [found]
    made.run_once()
    assert list(board.state.families["probes"]) == []


def test_a_slow_answer_is_a_warning() -> None:
    def slow(limit: Limit) -> Observation:
        time.sleep(0.03)
        return Observation()

    made, board = runner(slow, latency_s=0.01, deadline_s=0.19)
    made.run_once()
    assert (result(board).status, result(board).reason) == (Health.WARN, Reason.CONDITION)
    assert "the threshold is 10 ms" in result(board).detail


def test_a_fault_of_the_probe_itself_tells_nothing_secret() -> None:
    made, board = runner(Peer(RuntimeError("password=hunter2 at 10.0.0.1")))
    made.run_once()
    assert (result(board).status, result(board).detail) == (
        Health.FAIL,
        "the probe itself failed (RuntimeError)",
    )


def test_intervals_have_jitter() -> None:
    begun: list[float] = []

    def noting(limit: Limit) -> Observation:
        begun.append(time.monotonic())
        return Observation()

    made, _ = runner(noting)
    with running(made):
        until(lambda: len(begun) > 6)
    gaps = [b - a for a, b in itertools.pairwise(begun)]
    assert all(0.15 < g < 1 for g in gaps)
    assert max(gaps) - min(gaps) > 0.002


@pytest.mark.parametrize("times", [3])
def test_it_can_be_stopped_and_started_again(times: int) -> None:
    peer = Peer(Observation())
    made, _ = runner(peer)
    for _ in range(times):
        asked = peer.asked
        with running(made):
            until(lambda asked=asked: peer.asked > asked)  # type: ignore[misc]
    asked = peer.asked
    time.sleep(0.3)
    assert peer.asked == asked
