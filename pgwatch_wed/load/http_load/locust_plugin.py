"""Loaded by Locust beside the locustfile: schedules users in an open loop, and records every request.

It runs in Locust's processes, whose sockets gevent has replaced, so it imports nothing of this package, and this
package does not import it. What it is told is in PGWATCH_WED_HTTP, as JSON; what it found is a file for each process:
a line at the end of each block, which adds to those before, so that a long run needs no more memory than a short one.
"""

import importlib
import json
import os
import random
import re
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from locust import User, events
from locust.runners import MasterRunner

gevent: Any = importlib.import_module("gevent")  # comes with Locust

_TOLD = json.loads(os.environ["PGWATCH_WED_HTTP"])
_INTERVAL_S: float | None = _TOLD[
    "interval_s"
]  # of a user, between two tasks; None: the locustfile decides
_BLOCK_S: float = _TOLD["block_s"]
_SECONDS: float = _TOLD[
    "seconds"
]  # to measure; then the load goes on, so that what was due can still begin
_OUT = Path(_TOLD["out"])
_IS_LOCAL = _OUT.is_dir()  # else a worker on another machine, which reports to the master
_MOST_NAMES, _REST = 200, "(others)"
_MOST_ERRORS = 5
_BITS = 11  # of a time in µs, as in an HdrHistogram of three digits
_TICK_S = 0.05
_PARTS = 5  # of a block, whose shortest lags tell whether a backlog grows
_QUERY = re.compile(r"[?#][^\s'\"<>)]+")  # of a URL; it may contain secrets


class _Due:
    """When a user's task should have begun, whether it has, and by how much it was late."""

    def __init__(self, at: float) -> None:
        self.at = at
        self.lag: float | None = None


class _Part:
    """What became of requests that were due in a block, and how many ended in it."""

    def __init__(self) -> None:
        self.times: dict[str, dict[str, Counter[int]]] = defaultdict(lambda: defaultdict(Counter))
        self.failures: Counter[str] = Counter()
        self.least: list[float | None] = [None] * _PARTS
        self.ended = 0

    def document(self) -> dict[str, Any]:
        return {
            "times": self.times,
            "failures": self.failures,
            "least": self.least,
            "ended": self.ended,
        }


class _Found:
    def __init__(self) -> None:
        self.parts: dict[int, _Part] = defaultdict(_Part)
        self.names: set[str] = set()
        self.errors: list[str] = []
        self.first = self.last = 0.0  # of the measured part
        self.marks: list[tuple[int, float, float, float | None]] = []  # at which blocks began
        self.late: dict[int, list[float]] = defaultdict(lambda: [0.0, 0, 0.0])  # sum, ticks, most
        self.is_master = False


_FOUND = _Found()
_DUE: dict[Any, _Due] = {}
_DICE = random.Random(_TOLD["seed"])  # noqa: S311 - no secret


def _block(moment: float) -> int:
    return int(max(0.0, moment - _FOUND.first) / _BLOCK_S)


# --- users in an open loop


def _wait(_: User) -> float:
    greenlet, now = gevent.getcurrent(), time.monotonic()
    due = _DUE.get(greenlet)
    last = now if due is None else due.at
    assert _INTERVAL_S is not None
    _DUE[greenlet] = _Due(last + _DICE.expovariate(1 / _INTERVAL_S))
    return max(0.0, _DUE[greenlet].at - now)


def _on_init(environment: Any, **_: Any) -> None:
    _FOUND.is_master = isinstance(environment.runner, MasterRunner)
    if _INTERVAL_S is not None:
        for each in environment.user_classes:
            each.wait_time = _wait
            each.on_start = _beginning(each.on_start)
    gevent.spawn(_tick)


def _beginning(on_start: Any) -> Any:
    """Let a user's first task be due like all others, else they would all begin at once."""

    def begin(user: User) -> None:
        gevent.sleep(_wait(user))
        on_start(user)

    return begin


# --- whether this process keeps up


def _tick() -> None:
    parent = os.getppid()
    while True:
        began = time.monotonic()
        gevent.sleep(_TICK_S)
        if _IS_LOCAL and os.getppid() != parent:
            os.killpg(os.getpgrp(), signal.SIGKILL)  # nobody is there who could end the load
        if _FOUND.first and not _FOUND.last:
            _note_late(max(began, _FOUND.first), time.monotonic(), began)


def _note_late(begun: float, now: float, began: float) -> None:
    late = now - began - _TICK_S
    for block in range(_block(begun), _block(now) + 1):
        noted = _FOUND.late[block]
        noted[0], noted[1], noted[2] = noted[0] + late, noted[1] + 1, max(noted[2], late)
    if now >= _FOUND.first + _SECONDS:
        _measured_until(_FOUND.first + _SECONDS)
    elif _block(now) > _FOUND.marks[-1][0]:
        _mark(_block(now), now)
        if _IS_LOCAL:
            _write(before=_block(now))


def _mark(block: int, at: float) -> None:
    _FOUND.marks.append((block, at, time.process_time(), _waited()))


def _waited() -> float | None:
    try:
        tasks = list(Path("/proc/self/task").iterdir())
        return sum(int((t / "schedstat").read_text().split()[1]) for t in tasks) / 1e9
    except (OSError, ValueError, IndexError):
        return None


def _on_spawned(**_: Any) -> None:
    if not _FOUND.first:
        _FOUND.first = time.monotonic()
        _mark(0, _FOUND.first)


def _on_stopping(**_: Any) -> None:
    if _FOUND.first and not _FOUND.last:
        _measured_until(time.monotonic())


def _measured_until(last: float) -> None:
    _FOUND.last = last
    _mark(_block(last) + 1, time.monotonic())


# --- requests


def _on_request(
    name: str,
    response_time: float,
    exception: BaseException | None = None,
    response: Any = None,
    **_: Any,
) -> None:
    ended = time.monotonic()
    began = ended - response_time / 1000
    due = _DUE.get(gevent.getcurrent())
    if due is not None and due.lag is None:
        due.lag = max(0.0, began - due.at)
    lag = 0.0 if due is None or due.lag is None else due.lag
    at = began - lag
    if not _FOUND.first or at < _FOUND.first or (_FOUND.last and at > _FOUND.last):
        return
    part = _FOUND.parts[_block(at)]
    _note_lag(part, at, lag)
    if exception is not None:
        _fail(part, exception, has_answer=bool(getattr(response, "status_code", 0)))
        return
    _FOUND.parts[_block(ended)].ended += 1
    times = part.times[_known(name)]
    service, late = round(response_time * 1000), round(lag * 1_000_000)
    for kind, us in (("latency", service + late), ("lag", late), ("service", service)):
        times[kind][_grouped(us)] += 1


def _note_lag(part: _Part, at: float, lag: float) -> None:
    share = (at - _FOUND.first) / _BLOCK_S - _block(at)
    place = min(_PARTS - 1, int(share * _PARTS))
    known = part.least[place]
    part.least[place] = lag if known is None else min(known, lag)


def _known(name: str) -> str:
    """Return a request's name without what may be secret, unless there are too many."""
    shown = _QUERY.sub("", re.sub(r"://[^/\s]*@", "://", name)) or "/"
    if shown not in _FOUND.names and len(_FOUND.names) >= _MOST_NAMES:
        return _REST
    _FOUND.names.add(shown)
    return shown


def _grouped(us: int) -> int:
    spare = us.bit_length() - _BITS
    return us if spare <= 0 else us >> spare << spare


def _fail(part: _Part, exception: BaseException, *, has_answer: bool) -> None:
    # FastHttpUser wraps everything in a ConnectionError, even the status of an answer
    cause = getattr(exception, "original", None) or exception
    kinds = [kind.__name__ for kind in type(cause).__mro__]
    if has_answer:
        part.failures["error"] += 1
    elif any("timeout" in kind.lower() for kind in kinds):
        part.failures["timeout"] += 1
    else:
        part.failures["not connected" if "ConnectionError" in kinds else "error"] += 1
    said = _QUERY.sub("", " ".join(str(exception).split()))
    text = said[:200] or type(exception).__name__
    if len(_FOUND.errors) < _MOST_ERRORS and text not in _FOUND.errors:
        _FOUND.errors.append(text)


# --- what is written


def _taken(before: int | None = None) -> dict[str, Any]:
    """Return what was found since the last time, of blocks before this one, and forget it."""
    blocks = [block for block in _FOUND.parts if before is None or block < before]
    return {
        "is_master": _FOUND.is_master,
        "first": _FOUND.first,
        "last": _FOUND.last,
        "marks": _FOUND.marks,
        "late": _FOUND.late,
        "errors": _FOUND.errors,
        "pending": _pending(),
        "parts": {block: _FOUND.parts.pop(block).document() for block in blocks},
    }


def _pending() -> dict[int, Counter[str]]:
    """Return by block how many tasks had begun and did not end, and how many were due and did not even begin."""
    found: dict[int, Counter[str]] = defaultdict(Counter)
    if _INTERVAL_S is None or not _FOUND.last:
        return found
    for due in _DUE.values():
        if _FOUND.first <= due.at < _FOUND.last and due.lag is None:
            found[_block(due.at)]["timeout"] += 1
        for block, missed in _missed(max(due.at, _FOUND.first), _INTERVAL_S):
            found[block]["skipped"] += missed
    return found


def _missed(since: float, interval_s: float) -> Iterator[tuple[int, int]]:
    whole = max(0, int((_FOUND.last - since) / interval_s))
    told = 0
    for block in range(_block(since), _block(_FOUND.last) + 1) if whole else ():
        ends = _FOUND.first + (block + 1) * _BLOCK_S
        until = min(whole, int((ends - since) / interval_s))
        yield block, until - told
        told = until


def _write(before: int | None = None) -> None:
    _append(str(os.getpid()), json.dumps(_taken(before)))


def _append(name: str, line: str) -> None:
    with (_OUT / f"{name}.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def _on_report(client_id: str, data: dict[str, Any]) -> None:  # noqa: ARG001 - Locust names it
    if not _IS_LOCAL:
        data["pgwatch_wed"] = json.dumps(_taken())


_FAR: list[str] = []  # workers on other machines


def _on_worker(client_id: str, data: dict[str, Any]) -> None:
    if "pgwatch_wed" in data:
        if client_id not in _FAR:
            _FAR.append(client_id)
        _append(f"far-{_FAR.index(client_id)}", data["pgwatch_wed"])


def _on_quitting(**_: Any) -> None:
    _on_stopping()
    if _IS_LOCAL:
        _write()


_HOOKS: Any = events  # has no types
_HOOKS.init.add_listener(_on_init)
_HOOKS.spawning_complete.add_listener(_on_spawned)
_HOOKS.test_stopping.add_listener(_on_stopping)
_HOOKS.request.add_listener(_on_request)
_HOOKS.report_to_master.add_listener(_on_report)
_HOOKS.worker_report.add_listener(_on_worker)
_HOOKS.quitting.add_listener(_on_quitting)
