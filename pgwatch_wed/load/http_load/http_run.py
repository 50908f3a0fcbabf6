"""An order → Locust as a program → what came of it. Locust is never imported: gevent replaces the sockets of its process."""

import importlib.util
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pgwatch_wed.embedded.server import free_port
from pgwatch_wed.errors import CollectError, UsageError, redact
from pgwatch_wed.load.engine.generator_machine import machine_of, machine_times
from pgwatch_wed.load.http_load import locust_results
from pgwatch_wed.load.http_load.http_outcome import HttpOrder, HttpOutcome, HttpPlan
from pgwatch_wed.load.http_load.http_source import authority, plan_of

_PLUGIN = Path(__file__).with_name("locust_plugin.py")
_START_S = 30.0  # of Locust, on a busy machine
_STOP_S = 20.0
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
    with tempfile.TemporaryDirectory(prefix="pgwed-http-") as name:
        folder = Path(name)
        plan = plan_of(order, folder)
        _check_owner(plan, owned)
        out = folder / "out"
        out.mkdir()
        before = machine_times(None)
        with _started(order, plan, folder, out) as run:
            run.wait(stop)
        after = machine_times(None)
        results = locust_results.read(out, is_open=order.rate is not None)
        if results is None:
            raise CollectError(
                f"Locust measured nothing: {run.said()}", "see whether all users could be started"
            )
    machine = machine_of(before, after, None, 1)
    return HttpOutcome(
        order=order,
        host=plan.host,
        seconds=results.seconds,
        requests=results.spent.latency.count,
        failures=results.failures,
        spent=results.spent,
        by_name=results.by_name,
        machine=machine,
        errors=results.errors,
        spoilt=locust_results.spoilt_by(results, machine, run.early),
        ended_early=run.early,
        left_out=plan.left_out,
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
    return json.dumps({"interval_s": interval, "out": str(out), "seed": order.seed})


def _check(order: HttpOrder) -> None:
    if importlib.util.find_spec("locust") is None:
        raise UsageError("Locust is not installed", "pip install 'pgwatch-wed[http]'")
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


@dataclass(slots=True)
class _LocustRun:
    process: subprocess.Popen[bytes]
    log: Path
    until: float
    early: str = ""

    def wait(self, stop: Callable[[], str]) -> None:
        """Wait for the end, which may be early."""
        try:
            while self.process.poll() is None and not self.early:
                time.sleep(0.1)
                self.early = stop() or self._overdue()
        except KeyboardInterrupt:
            self.early = "interrupted"
        self.end()
        if self.process.returncode and not self.early:
            raise CollectError(f"Locust failed: {self.said()}", "see the locustfile")

    def _overdue(self) -> str:
        return "Locust did not end in time" if time.monotonic() > self.until else ""

    def end(self) -> None:
        """End Locust: first so that it writes what it found."""
        for blow, patience in ((signal.SIGTERM, _STOP_S), (signal.SIGKILL, 5.0)):
            if self.process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(self.process.pid, blow)
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(patience)

    def said(self) -> str:
        """Return the last line of what Locust wrote, without secrets."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return redact(
            next((line.strip() for line in reversed(lines) if line.strip()), "it wrote nothing")
        )


@contextmanager
def _started(order: HttpOrder, plan: HttpPlan, folder: Path, out: Path) -> Iterator[_LocustRun]:
    plugin = (
        folder / "pgwatch_wed_locust_plugin.py"
    )  # alone in its directory, which Locust makes importable
    plugin.write_text(_PLUGIN.read_text(encoding="utf-8"), encoding="utf-8")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("LOCUST_")}
    log = folder / "locust.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter, arguments are a list
            [sys.executable, "-m", "locust", *_arguments(order, plan, plugin)],
            env=inherited | {"PGWATCH_WED_HTTP": _told(order, out)},
            cwd=plan.locustfile.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is ours to pass on
        )
    until = time.monotonic() + _START_S + order.ramp_s + order.seconds + order.timeout_s + _STOP_S
    run = _LocustRun(process, log, until)
    try:
        yield run
    finally:
        run.end()


def _arguments(order: HttpOrder, plan: HttpPlan, plugin: Path) -> list[str]:
    arguments = ["--headless", "--only-summary", "--exit-code-on-error", "0"]
    arguments += ["-f", f"{plugin},{plan.locustfile}", "-H", plan.host]
    arguments += ["-u", str(order.users), "-r", str(order.spawn_rate or order.users)]
    arguments += ["-t", f"{max(1, round(order.ramp_s + order.seconds))}s"]
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
