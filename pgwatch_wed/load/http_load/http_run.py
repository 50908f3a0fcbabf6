"""An order → Locust as a program → what came of it. Locust is never imported: gevent replaces the sockets of its process."""

import importlib.util
import json
import math
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pgwatch_wed.clock import now
from pgwatch_wed.embedded.server import free_port
from pgwatch_wed.errors import CollectError, UsageError, redact
from pgwatch_wed.load.engine.block_run import INTERRUPTED
from pgwatch_wed.load.engine.generator_machine import MachineTimes, machine_times
from pgwatch_wed.load.http_load import locust_guard, locust_results
from pgwatch_wed.load.http_load.http_blocks import http_blocks
from pgwatch_wed.load.http_load.http_outcome import HttpOrder, HttpOutcome, HttpPlan
from pgwatch_wed.load.http_load.http_source import PORTS, authority, plan_of, without_query
from pgwatch_wed.origin import pip_install

_PLUGIN = Path(__file__).with_name("locust_plugin.py")
_REACHED_S = 10.0
_START_S = 30.0  # of Locust, on a busy machine
_STOP_S = 20.0
_TAIL_S = 2.0  # what was due before the end may begin so late, and has not failed
_ANYWHERE = ("0.0.0.0", 5557)  # noqa: S104 - workers come from other machines


def never() -> str:
    """Return no reason to stop."""
    return ""


def http_run(order: HttpOrder, owned: str, *, stop: Callable[[], str] = never) -> HttpOutcome:
    """Run a load on an HTTP service.

    ``owned`` is HOST:PORT of the service, as ``--i-own-this-server`` says. ``stop`` is asked some times a second, and
    ends the run with the reason that it returns; so does Ctrl-C. Raises :class:`UsageError` for an order that cannot
    be run, :class:`CollectError` if Locust fails.
    """
    _check(order)
    with _guarded_folder() as (folder, guard):
        plan = plan_of(order, folder)
        _check_owner(plan, owned)
        if plan.asked:
            _check_reachable(plan)
        out = folder / "out"
        out.mkdir()
        moment, at = now().timestamp(), time.monotonic()
        run = _started(order, plan, folder, guard)
        run.wait(stop)
        results = locust_results.read(
            out,
            is_open=order.rate is not None,
            blocks=order.blocks,
            block_s=order.block_s,
            is_cut=bool(run.early),
        )
        if results is None:
            _refuse_nothing(run)
    assert results is not None
    return HttpOutcome(
        order=order,
        host=plan.host,
        blocks=http_blocks(results, order, run.watched, moment + results.first - at, run.early),
        errors=tuple(redact(error) for error in results.errors),
        ended_early=run.early,
        left_out=plan.left_out,
    )


def _refuse_nothing(run: "_LocustRun") -> None:
    if run.early == INTERRUPTED:
        raise KeyboardInterrupt
    raise CollectError(
        f"Locust measured nothing: {run.said()}", "see whether all users could be started"
    )


def worker_command(order: HttpOrder, locustfile: Path, master: str) -> str:
    """Return what to run on another machine as a worker; it needs our plugin and the locustfile."""
    _, port = order.bind or _ANYWHERE
    arguments = [
        "-f",
        f"{_PLUGIN},{locustfile}",
        "--worker",
        "--master-host",
        master,
        "--master-port",
        str(port),
    ]
    told = shlex.quote(_told(order, Path("/nonexistent")))  # there, all is reported to the master
    return f"PGWATCH_WED_HTTP={told} {shlex.join(['locust', *arguments])}"


def _told(order: HttpOrder, out: Path) -> str:
    interval = order.users / order.rate if order.rate is not None else None
    told = {
        "interval_s": interval,
        "block_s": order.block_s,
        "seconds": order.seconds,
        "out": str(out),
        "seed": order.seed,
    }
    return json.dumps(told)


def _check(order: HttpOrder) -> None:
    if importlib.util.find_spec("locust") is None:
        raise UsageError("Locust is not installed", pip_install("http"))
    for what, value in (
        ("users", order.users),
        ("seconds", order.seconds),
        ("processes", order.processes),
    ):
        if value <= 0:
            raise UsageError(f"{what} must be above zero")
    if (order.rate is not None and order.rate <= 0) or (
        order.spawn_rate is not None and order.spawn_rate <= 0
    ):
        raise UsageError("rates must be above zero")


def _check_owner(plan: HttpPlan, owned: str) -> None:
    place = authority(plan.host)
    if owned.strip() != place:
        raise UsageError(
            f"load is refused: the service is {place}"
            + (f", not {owned.strip()}" if owned.strip() else ""),
            f"if it is yours and may suffer: --i-own-this-server {place}",
        )


def _check_reachable(plan: HttpPlan) -> None:
    """Refuse a service that nobody listens for; what a locustfile asks, perhaps through a proxy, only it knows."""
    place = urlsplit(plan.host)
    port = place.port or PORTS[place.scheme]
    try:
        socket.create_connection((place.hostname, port), timeout=_REACHED_S).close()
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise CollectError(
            f"the service {authority(plan.host)} cannot be reached: {why}",
            "see whether it runs, and the URL",
        ) from None


@dataclass(slots=True)
class _LocustRun:
    """Locust under its guard. ``watched``: what the machine did, from time to time."""

    guard: subprocess.Popen[str]
    folder: Path
    until: float
    every_s: float
    early: str = ""
    watched: list[MachineTimes] = field(default_factory=list)

    def wait(self, stop: Callable[[], str]) -> None:
        """Wait for the end, which may be early."""
        try:
            while self._runs() and not self.early:
                self._watch()
                time.sleep(0.1)
                self.early = stop() or self._overdue()
        except KeyboardInterrupt:
            self.early = INTERRUPTED
        self.watched.append(machine_times(None))
        self._end()
        if self._code() != "0" and not self.early:
            raise CollectError(f"Locust failed: {self.said()}", "see the locustfile")

    def _watch(self) -> None:
        if not self.watched or time.monotonic() - self.watched[-1].at >= self.every_s:
            self.watched.append(machine_times(None))

    def _overdue(self) -> str:
        return "Locust did not end in time" if time.monotonic() > self.until else ""

    def _runs(self) -> bool:
        return self.guard.poll() is None and not self._code()

    def _code(self) -> str:
        """Return Locust's exit status as text; empty while it runs."""
        with suppress(OSError):
            return (self.folder / locust_guard.CODE).read_text(encoding="ascii")
        return ""

    def _end(self) -> None:
        """End Locust so that it writes what it found."""
        if not self._runs():
            return
        _tell(self.guard, "end")
        until = time.monotonic() + _STOP_S + 5.0
        while self._runs() and time.monotonic() < until:
            time.sleep(0.05)

    def said(self) -> str:
        """Return the last line of what Locust wrote, without secrets."""
        lines: list[str] = []
        with suppress(OSError):
            log = self.folder / "locust.log"
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it wrote nothing")
        return without_query(redact(last))


@contextmanager
def _guarded_folder() -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """Make a directory, and a guard that removes it and ends what it runs, when we are done or gone."""
    folder = Path(tempfile.mkdtemp(prefix="pgwed-http-"))
    guard: subprocess.Popen[str] | None = None
    try:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("LOCUST_")}
        guard = subprocess.Popen(  # noqa: S603 - our own file
            [sys.executable, "-P", locust_guard.__file__],
            env=inherited,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            text=True,
            start_new_session=True,  # Ctrl-C is ours to pass on
        )
        _tell(guard, json.dumps({"folder": str(folder), "patience_s": _STOP_S}))
        yield folder, guard
    finally:
        if guard is not None:
            _dismiss(guard)
        locust_guard.remove(folder)


def _tell(guard: subprocess.Popen[str], line: str) -> None:
    assert guard.stdin is not None
    with suppress(OSError):  # it is gone, which is seen elsewhere
        guard.stdin.write(line + "\n")
        guard.stdin.flush()


def _dismiss(guard: subprocess.Popen[str]) -> None:
    assert guard.stdin is not None
    with suppress(OSError):
        guard.stdin.close()
    guard.wait()


def _started(
    order: HttpOrder, plan: HttpPlan, folder: Path, guard: subprocess.Popen[str]
) -> _LocustRun:
    plugin = (
        folder / "pgwatch_wed_locust_plugin.py"
    )  # alone in its directory, which Locust makes importable
    plugin.write_text(_PLUGIN.read_text(encoding="utf-8"), encoding="utf-8")
    told = {
        "command": [sys.executable, "-m", "locust", *_arguments(order, plan, plugin)],
        "environment": {"PGWATCH_WED_HTTP": _told(order, folder / "out")},
        "cwd": str(plan.locustfile.parent),
    }
    _tell(guard, json.dumps(told))
    until = (
        time.monotonic()
        + _START_S
        + order.ramp_s
        + order.seconds
        + _TAIL_S
        + order.timeout_s
        + _STOP_S
    )
    return _LocustRun(guard, folder, until, min(1.0, max(0.25, order.block_s / 10)))


def _arguments(order: HttpOrder, plan: HttpPlan, plugin: Path) -> list[str]:
    arguments = ["--headless", "--only-summary", "--exit-code-on-error", "0"]
    arguments += ["-f", f"{plugin},{plan.locustfile}", "-H", plan.host]
    arguments += ["-u", str(order.users), "-r", str(order.spawn_rate or order.users)]
    arguments += ["-t", f"{math.ceil(order.ramp_s + order.seconds + _TAIL_S)}s"]
    arguments += ["--stop-timeout", str(round(order.timeout_s))]
    if order.far_workers:
        host, port = order.bind or _ANYWHERE
        arguments += ["--master", "--master-bind-host", host, "--master-bind-port", str(port)]
        arguments += ["--expect-workers", str(order.far_workers), "--expect-workers-max-wait", "60"]
    elif order.processes > 1:
        port = free_port()
        arguments += ["--processes", str(order.processes), "--master-bind-host", "127.0.0.1"]
        arguments += ["--master-bind-port", str(port), "--master-port", str(port)]
    return arguments
