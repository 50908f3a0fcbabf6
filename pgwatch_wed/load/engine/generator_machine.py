"""Who used this machine's CPUs while a block ran: pgbench, the server if it is here, and others."""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from pgwatch_wed.load.load_model import Machine

_PROC = Path("/proc")
_TICKS_PER_S = 1_000_000  # of PSI's totals
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class GeneratorTimes:
    """CPU seconds of pgbench, and seconds that its threads were ready and waited for a CPU."""

    at: float
    cpu: float
    waited: float | None


@dataclass(frozen=True, slots=True)
class MachineTimes:
    """CPU seconds of the whole machine since it was started; None where this system does not tell."""

    at: float
    busy: float
    stolen: float | None
    pressed: float | None  # seconds in which something waited for a CPU
    ours: float  # of this process and what it started
    server: float | None  # of the server, if it is here


def generator_times(pid: int) -> GeneratorTimes | None:
    """Read those of a process; None if it has ended."""
    try:
        cpu = psutil.Process(pid).cpu_times()
        return GeneratorTimes(time.monotonic(), cpu.user + cpu.system, _waited(pid))
    except psutil.Error:
        return None


def _waited(pid: int) -> float | None:
    total = 0
    try:
        for task in (_PROC / str(pid) / "task").iterdir():
            total += int((task / "schedstat").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return total / _NS_PER_S


def machine_times(data_directory: Path | None) -> MachineTimes:
    """Read those of this machine; ``data_directory`` is the server's, if it is here."""
    cpu = psutil.cpu_times()
    idle = cpu.idle + getattr(cpu, "iowait", 0.0)
    stolen: float | None = getattr(cpu, "steal", None)
    guests = getattr(cpu, "guest", 0.0) + getattr(cpu, "guest_nice", 0.0)  # in user, too
    return MachineTimes(
        at=time.monotonic(),
        busy=sum(cpu) - idle - (stolen or 0.0) - guests,
        stolen=stolen,
        pressed=_pressed(),
        ours=_of_family(os.getpid()) or 0.0,
        server=_of_server(data_directory),
    )


def _pressed() -> float | None:
    try:
        some = (_PROC / "pressure" / "cpu").read_text().splitlines()[0]
        return int(some.rpartition("total=")[2]) / _TICKS_PER_S
    except (OSError, ValueError, IndexError):
        return None


def _of_server(data_directory: Path | None) -> float | None:
    if data_directory is None:
        return None
    try:
        pid = int((data_directory / "postmaster.pid").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return _of_family(pid)


def _of_family(pid: int) -> float | None:
    """Return the CPU seconds of a process and all that it started, ended or not."""
    try:
        first = psutil.Process(pid)
        total = _seconds(first)
    except psutil.Error:
        return None
    return total + sum(_of_each(first))


def _of_each(first: psutil.Process) -> Iterator[float]:
    with contextlib.suppress(psutil.Error):
        for child in first.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                yield _seconds(child)


def _seconds(process: psutil.Process) -> float:
    cpu = process.cpu_times()
    return float(cpu.user + cpu.system + cpu.children_user + cpu.children_system)


def server_cpu_ms(before: MachineTimes, after: MachineTimes) -> float | None:
    """Return the CPU time of the server in between; None if it is not here, or was started anew."""
    if before.server is None or after.server is None or after.server < before.server:
        return None
    return (after.server - before.server) * 1000


def machine_of(
    before: MachineTimes,
    after: MachineTimes,
    generator: tuple[GeneratorTimes, GeneratorTimes] | None,
    threads: int,
) -> Machine:
    """Return what happened between two moments."""
    seconds = max(after.at - before.at, 1e-6)
    cores = psutil.cpu_count() or 1
    busy = after.busy - before.busy
    known = after.ours - before.ours + (server_cpu_ms(before, after) or 0.0) / 1000
    used, pressure = _of_generator(generator, threads)
    return Machine(
        cores=cores,
        generator_cpu=used,
        generator_pressure=pressure,
        others_cpu=max(0.0, busy - known) / seconds,
        pressure=_share(before.pressed, after.pressed, seconds),
        steal=_share(before.stolen, after.stolen, seconds * cores),
    )


def _of_generator(
    times: tuple[GeneratorTimes, GeneratorTimes] | None, threads: int
) -> tuple[float | None, float | None]:
    if times is None or times[1].at <= times[0].at:
        return None, None
    first, last = times
    seconds = last.at - first.at
    waited = _rate(first.waited, last.waited, seconds * threads)
    return (last.cpu - first.cpu) / seconds, waited


def _rate(before: float | None, after: float | None, seconds: float) -> float | None:
    if before is None or after is None:
        return None
    return max(0.0, after - before) / seconds


def _share(before: float | None, after: float | None, whole: float) -> float | None:
    """Return a share of time; clocks that are read one after the other may make it a little more than all."""
    rate = _rate(before, after, whole)
    return None if rate is None else min(rate, 1.0)
