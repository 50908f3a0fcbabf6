"""Loaded by Locust beside the locustfile: schedules users in an open loop, and records every request.

It runs in Locust's processes, whose sockets gevent has replaced, so it imports nothing of this package, and this
package does not import it. What it is told is in PGWATCH_WED_HTTP, as JSON; what it found is a file for each process.
"""

import importlib
import json
import os
import random
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from locust import User, events

gevent: Any = importlib.import_module("gevent")  # comes with Locust

_TOLD = json.loads(os.environ["PGWATCH_WED_HTTP"])
_INTERVAL_S: float | None = _TOLD[
    "interval_s"
]  # of a user, between two tasks; None: the locustfile decides
_OUT = Path(_TOLD["out"])
_MOST_NAMES, _REST = 200, "(others)"
_BITS = 11  # of a time in µs, as in an HdrHistogram of three digits
_TICK_S = 0.05


class _Found:
    def __init__(self) -> None:
        self.times: dict[str, dict[str, Counter[int]]] = defaultdict(lambda: defaultdict(Counter))
        self.failures: Counter[str] = Counter()
        self.errors: list[str] = []
        self.first = self.last = 0.0  # of the measured part
        self.cpu = [0.0, 0.0]
        self.waited: list[float | None] = [None, None]
        self.late_s, self.latest_s, self.ticks = 0.0, 0.0, 0
        self.node = ""


_FOUND = _Found()
_DUE: dict[Any, "_Due"] = {}
_DICE = random.Random(_TOLD["seed"])  # noqa: S311 - no secret


class _Due:
    """When a user's task should have begun, whether it has, and by how much it was late."""

    def __init__(self, at: float) -> None:
        self.at = at
        self.lag: float | None = None


def _wait(_: User) -> float:
    greenlet, now = gevent.getcurrent(), time.monotonic()
    due = _DUE.get(greenlet)
    last = now if due is None else due.at
    assert _INTERVAL_S is not None
    _DUE[greenlet] = _Due(last + _DICE.expovariate(1 / _INTERVAL_S))
    return max(0.0, _DUE[greenlet].at - now)


def _on_init(environment: Any, **_: Any) -> None:
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


def _tick() -> None:
    while True:
        began = time.monotonic()
        gevent.sleep(_TICK_S)
        late = time.monotonic() - began - _TICK_S
        if _FOUND.first and not _FOUND.last:
            _FOUND.late_s += late
            _FOUND.latest_s = max(_FOUND.latest_s, late)
            _FOUND.ticks += 1


def _on_spawned(**_: Any) -> None:
    if not _FOUND.first:
        _FOUND.first = time.monotonic()
        _FOUND.cpu[0], _FOUND.waited[0] = time.process_time(), _waited()


def _on_stopping(**_: Any) -> None:
    if not _FOUND.last:
        _FOUND.last = time.monotonic()
        _FOUND.cpu[1], _FOUND.waited[1] = time.process_time(), _waited()


def _waited() -> float | None:
    try:
        tasks = list(Path("/proc/self/task").iterdir())
        return sum(int((t / "schedstat").read_text().split()[1]) for t in tasks) / 1e9
    except (OSError, ValueError, IndexError):
        return None


def _on_request(
    name: str,
    response_time: float,
    exception: BaseException | None = None,
    response: Any = None,
    **_: Any,
) -> None:
    began = time.monotonic() - response_time / 1000
    due = _DUE.get(gevent.getcurrent())
    if due is not None and due.lag is None:
        due.lag = max(0.0, began - due.at)
    lag = 0.0 if due is None or due.lag is None else due.lag
    if (
        not _FOUND.first
        or began - lag < _FOUND.first
        or (_FOUND.last and began - lag > _FOUND.last)
    ):
        return
    if exception is not None:
        _fail(exception, has_answer=bool(getattr(response, "status_code", 0)))
        return
    known = name in _FOUND.times or len(_FOUND.times) < _MOST_NAMES
    times = _FOUND.times[name if known else _REST]
    service, late = round(response_time * 1000), round(lag * 1_000_000)
    for kind, us in (("latency", service + late), ("lag", late), ("service", service)):
        times[kind][_grouped(us)] += 1


def _grouped(us: int) -> int:
    spare = us.bit_length() - _BITS
    return us if spare <= 0 else us >> spare << spare


def _fail(exception: BaseException, *, has_answer: bool) -> None:
    # FastHttpUser wraps everything in a ConnectionError, even the status of an answer
    cause = getattr(exception, "original", None) or exception
    kinds = [kind.__name__ for kind in type(cause).__mro__]
    if has_answer:
        _FOUND.failures["error"] += 1
    elif any("timeout" in kind.lower() for kind in kinds):
        _FOUND.failures["timeout"] += 1
    else:
        _FOUND.failures["not connected" if "ConnectionError" in kinds else "error"] += 1
    text = " ".join(str(exception).split())[:200] or type(exception).__name__
    if len(_FOUND.errors) < 5 and text not in _FOUND.errors:
        _FOUND.errors.append(text)


def _document() -> dict[str, Any]:
    unfinished, skipped = _pending()
    failures = Counter(_FOUND.failures)
    failures["timeout"] += unfinished
    failures["skipped"] += skipped
    return {
        "node": _FOUND.node,
        "first": _FOUND.first,
        "last": _FOUND.last,
        "cpu_s": _FOUND.cpu[1] - _FOUND.cpu[0],
        "waited_s": None if None in _FOUND.waited else _FOUND.waited[1] - _FOUND.waited[0],  # type: ignore[operator]
        "late_s": _FOUND.late_s / max(1, _FOUND.ticks),
        "latest_s": _FOUND.latest_s,
        "failures": failures,
        "errors": _FOUND.errors,
        "times": _FOUND.times,
    }


def _pending() -> tuple[int, int]:
    """Return how many tasks had begun and did not end, and how many were due and did not even begin."""
    unfinished = skipped = 0
    if _INTERVAL_S is None or not _FOUND.last:
        return 0, 0
    for due in _DUE.values():
        if _FOUND.first <= due.at < _FOUND.last and due.lag is None:
            unfinished += 1
        missed = (_FOUND.last - max(due.at, _FOUND.first)) / _INTERVAL_S
        skipped += max(0, int(missed))
    return unfinished, skipped


def _on_report(client_id: str, data: dict[str, Any]) -> None:
    _FOUND.node = client_id
    data["pgwatch_wed"] = json.dumps(_document())


_FAR: dict[str, str] = {}  # what workers reported last, on whatever machine


def _on_worker(client_id: str, data: dict[str, Any]) -> None:
    if "pgwatch_wed" in data:
        _FAR[client_id] = data["pgwatch_wed"]


def _on_quitting(**_: Any) -> None:
    _on_stopping()
    document = _document()
    if _FAR:
        document["far"] = {node: json.loads(text) for node, text in _FAR.items()}
    if _OUT.is_dir():
        part = _OUT / f"{os.getpid()}.part"
        part.write_text(json.dumps(document), encoding="utf-8")
        part.rename(_OUT / f"{os.getpid()}.json")


_HOOKS: Any = events  # has no types
_HOOKS.init.add_listener(_on_init)
_HOOKS.spawning_complete.add_listener(_on_spawned)
_HOOKS.test_stopping.add_listener(_on_stopping)
_HOOKS.request.add_listener(_on_request)
_HOOKS.report_to_master.add_listener(_on_report)
_HOOKS.worker_report.add_listener(_on_worker)
_HOOKS.quitting.add_listener(_on_quitting)
