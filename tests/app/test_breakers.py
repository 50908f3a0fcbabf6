"""Circuit breakers: one trial at a time, deadlines count, whoever calls from wherever."""

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from pgwatch_wed.app.breakers import (
    Breaker,
    BreakerOpenError,
    breaker,
    states,
    transitions,
)


class Clock:
    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


def state(peer: Breaker) -> str:
    return str(peer.state)


def opened(clock: Callable[[], float]) -> Breaker:
    found = Breaker("peer", failures=1, reset_s=10, trial_s=60, monotonic=clock)
    found.admit().end(is_failure=True)
    assert state(found) == "open"
    return found


def test_of_fifty_tasks_in_half_open_exactly_one_goes_through(clock: Clock) -> None:
    peer = opened(clock)
    clock.at = 10
    asked = 0

    @peer
    async def ask() -> None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.01)

    async def everybody() -> list[object]:
        return await asyncio.gather(*(ask() for _ in range(50)), return_exceptions=True)

    outcomes = asyncio.run(everybody())
    assert asked == 1
    assert sum(isinstance(o, BreakerOpenError) for o in outcomes) == 49
    assert state(peer) == "closed"


def test_of_fifty_threads_in_half_open_exactly_one_goes_through(clock: Clock) -> None:
    peer = opened(clock)
    clock.at = 10
    asked, refused = [], []
    together, seen = threading.Barrier(50), threading.Event()

    def call() -> None:
        together.wait()
        try:
            with peer.guarding():
                asked.append(1)
                seen.wait(5)
        except BreakerOpenError:
            refused.append(1)
            if len(refused) == 49:
                seen.set()

    threads = [threading.Thread(target=call) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(asked), len(refused)) == (1, 49)


def test_a_call_that_a_deadline_cut_off_is_a_failure(clock: Clock) -> None:
    peer = Breaker("peer", failures=2, monotonic=clock)

    @peer
    async def hang() -> None:
        await asyncio.sleep(60)

    async def twice() -> None:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await hang()

    asyncio.run(twice())
    assert state(peer) == "open"


def test_a_cancelled_trial_does_not_block_the_next(clock: Clock) -> None:
    peer = opened(clock)
    clock.at = 10

    async def cancelled() -> None:
        task = asyncio.create_task(peer(asyncio.sleep)(60))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert state(peer) == "open"
    clock.at = 20
    with peer.guarding():
        pass
    assert state(peer) == "closed"


def test_a_trial_that_never_ends_makes_way_for_another(clock: Clock) -> None:
    peer = opened(clock)
    clock.at = 10
    lost = peer.admit()
    clock.at = 69
    with pytest.raises(BreakerOpenError):
        peer.admit()
    clock.at = 70
    assert state(peer) == "open"
    clock.at = 80
    second = peer.admit()
    lost.end(is_failure=False)  # it returned at last: too late to say anything
    assert state(peer) == "half_open"
    second.end(is_failure=False)
    assert state(peer) == "closed"


def test_a_call_from_before_says_nothing_about_now(clock: Clock) -> None:
    peer = Breaker("peer", failures=1, reset_s=10, monotonic=clock)
    slow, failing = peer.admit(), peer.admit()
    failing.end(is_failure=True)
    slow.end(is_failure=False)
    assert state(peer) == "open"


def test_only_failures_in_a_row_that_are_the_peers_open_it(clock: Clock) -> None:
    peer = Breaker(
        "peer", failures=2, counts=lambda e: not isinstance(e, ValueError), monotonic=clock
    )

    @peer
    def call(error: Exception | None) -> str:
        if error:
            raise error
        return "done"

    for error in (OSError(), ValueError(), OSError(), None, OSError()):
        if error:
            with pytest.raises(type(error)):
                call(error)
        else:
            assert call(None) == "done"
    assert state(peer) == "closed"
    with pytest.raises(OSError):
        call(OSError())
    with pytest.raises(BreakerOpenError) as refused:
        call(None)
    assert refused.value.retry_in_s == pytest.approx(30)


def test_a_step_of_the_wall_clock_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = Breaker("peer", failures=1, reset_s=0.05)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    peer.admit().end(is_failure=True)
    with pytest.raises(BreakerOpenError):
        peer.admit()
    time.sleep(0.06)
    peer.admit().end(is_failure=False)
    assert state(peer) == "closed"


def test_states_and_transitions_are_visible_from_birth() -> None:
    one = breaker("visible in a test", failures=1)
    assert breaker("visible in a test") is one
    assert states()["visible in a test"] == "closed"
    assert set(transitions()["visible in a test"].values()) == {0}
    one.admit().end(is_failure=True)
    assert states()["visible in a test"] == "open"
    assert {str(s): n for s, n in transitions()["visible in a test"].items()} == {
        "closed": 0,
        "open": 1,
        "half_open": 0,
    }


def test_a_generator_is_refused_since_it_ends_after_the_call(clock: Clock) -> None:
    def rows() -> object:
        yield 1

    with pytest.raises(TypeError, match="generator"):
        Breaker("peer", monotonic=clock)(rows)
