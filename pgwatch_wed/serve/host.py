"""What the machine has and uses, or the part of it that a container may use: the smaller of both counts.

In a container, the host's memory and processors say nothing. A control group's limit counts, of this group or of
one above it, version 2 or 1; ``max`` or an enormous number is no limit.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from pgwatch_wed.serve.state import PREFIX, Family, Labels, Sample

_MOST_MOUNTS = 10
_UNLIMITED = 1 << 60
MAKER = "host"


@dataclass(frozen=True, slots=True)
class HostFacts:
    """A moment. ``busy_s`` is processor time so far, ``processors`` how many may be used (1.5 of them, perhaps)."""

    at: float  # monotonic
    memory_bytes: int
    available_bytes: int
    processors: float
    busy_s: float
    sent_bytes: int = 0
    received_bytes: int = 0
    free_bytes: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # mount → free, size


def read(mounts: Sequence[str] = (), root: Path = Path("/"), at: float | None = None) -> HostFacts:
    """Read the facts. ``root`` is where /proc and /sys are."""
    memory = psutil.virtual_memory()
    group = ControlGroup.of_this_process(root)
    limit, used = group.memory()
    processors = float(os.cpu_count() or 1)
    quota, busy = group.processor()
    has_memory = limit is not None and limit < memory.total
    total, available = memory.total, memory.available
    if has_memory and limit is not None:
        total, available = limit, min(available, max(0, limit - (used or 0)))
    has_quota = quota is not None and quota < processors and busy is not None
    network = psutil.net_io_counters(pernic=True) or {}
    outside = [counters for name, counters in network.items() if not name.startswith("lo")]
    return HostFacts(
        at=time.monotonic() if at is None else at,
        memory_bytes=total,
        available_bytes=available,
        processors=quota if has_quota and quota is not None else processors,
        busy_s=busy if has_quota and busy is not None else _busy_s(),
        sent_bytes=sum(c.bytes_sent for c in outside),
        received_bytes=sum(c.bytes_recv for c in outside),
        free_bytes=dict(_free(mounts)),
    )


def _busy_s() -> float:
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    # guest time is contained in user time
    counted = {k: v for k, v in times._asdict().items() if not k.startswith("guest")}
    return float(sum(counted.values()) - idle)


def _free(mounts: Sequence[str]) -> Iterator[tuple[str, tuple[int, int]]]:
    for mount in mounts[:_MOST_MOUNTS]:
        with contextlib.suppress(OSError):
            found = os.statvfs(mount)
            # what this user can have: a part is reserved for root
            size = (found.f_blocks - found.f_bfree + found.f_bavail) * found.f_frsize
            yield mount, (found.f_bavail * found.f_frsize, size)


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """The folders that limit this process, the innermost first."""

    unified: tuple[Path, ...] = ()  # version 2
    memory_v1: tuple[Path, ...] = ()
    cpu_v1: tuple[Path, ...] = ()
    accounting_v1: tuple[Path, ...] = ()

    @classmethod
    def of_this_process(cls, root: Path = Path("/")) -> "ControlGroup":
        """Find them in /proc/self/cgroup."""
        paths: dict[str, str] = {}
        for line in _text(root / "proc/self/cgroup").splitlines():
            _, controllers, path = (*line.split(":", 2), "", "")[:3]
            for controller in controllers.split(","):
                paths[controller] = path
        base = root / "sys/fs/cgroup"
        return cls(
            unified=_upwards(base, paths.get("", "/")),
            memory_v1=_upwards(base / "memory", paths.get("memory", "/")),
            cpu_v1=_upwards(base / "cpu", paths.get("cpu", "/")),
            accounting_v1=_upwards(base / "cpuacct", paths.get("cpuacct", "/")),
        )

    def memory(self) -> tuple[int | None, int | None]:
        """Return the limit and what is used, without the files that the kernel can drop at once."""
        tightest: tuple[int | None, int | None] = (None, None)
        for folders, limit, used, droppable in (
            (self.unified, "memory.max", "memory.current", "inactive_file"),
            (
                self.memory_v1,
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "total_inactive_file",
            ),
        ):
            for folder in folders:
                most = _number(folder / limit)
                if most is None or most >= _UNLIMITED:
                    continue
                if tightest[0] is None or most < tightest[0]:
                    kept = (_number(folder / used) or 0) - _statistic(folder, droppable)
                    tightest = (most, max(0, kept))
        return tightest

    def processor(self) -> tuple[float | None, float | None]:
        """Return how many processors may be used, and the seconds that were."""
        quotas: list[tuple[float, float | None]] = []
        for folder in self.unified:
            quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
            if quota.isdigit() and period.isdigit() and int(period):
                micros = _statistic(folder, "usage_usec", "cpu.stat")
                quotas.append((int(quota) / int(period), micros / 1e6 if micros else None))
        for folder, counted in zip(self.cpu_v1, self.accounting_v1, strict=False):
            most, each = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
            if most is not None and most > 0 and each:
                nanos = _number(counted / "cpuacct.usage")
                quotas.append((most / each, nanos / 1e9 if nanos else None))
        return min(quotas, default=(None, None), key=lambda q: q[0])


def _upwards(base: Path, path: str) -> tuple[Path, ...]:
    """Return the folder of a group and those above it, as far as this process sees them."""
    inside = Path(path.strip("/"))
    parts = () if ".." in inside.parts else inside.parts  # a group outside of our namespace
    folders = [base.joinpath(*parts[:n]) for n in range(len(parts), -1, -1)]
    return tuple(f for f in folders if f.is_dir())


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.lstrip("-").isdigit() else None  # and not `max`


def _statistic(folder: Path, name: str, file: str = "memory.stat") -> int:
    for line in _text(folder / file).splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.strip().isdigit():
            return int(value)
    return 0


class HostMeter:
    """Adds up processor time by what may be used: per processor, so that idle and busy add up to the clock."""

    def __init__(self, reading: Callable[[], HostFacts]) -> None:
        self._read = reading
        self._last: HostFacts | None = None
        self._busy_s = self._idle_s = 0.0
        self._received = self._sent = 0

    def read(self) -> tuple[HostFacts, float | None]:
        """Read the facts; return them, and the share of the processors used since the last time."""
        facts, last = self._read(), self._last
        self._last = facts
        if last is not None:  # an interface that goes, such as a container's, takes its bytes along
            self._received += max(0, facts.received_bytes - last.received_bytes)
            self._sent += max(0, facts.sent_bytes - last.sent_bytes)
        if last is None or facts.at <= last.at or facts.busy_s < last.busy_s:
            return facts, None
        passed = facts.at - last.at
        share = min(1.0, (facts.busy_s - last.busy_s) / (passed * facts.processors))
        self._busy_s += share * passed
        self._idle_s += (1 - share) * passed
        return facts, share

    def families(self, facts: HostFacts, target: str) -> tuple[Family, ...]:
        """Return the metrics."""
        who: Labels = (("target", target),)

        def family(kind: str, name: str, about: str, *values: tuple[Labels, float]) -> Family:
            samples = tuple(Sample(PREFIX + name, who + more, value) for more, value in values)
            return Family(PREFIX + name, kind, about, samples, MAKER)

        mounts = [
            ((("mount", name),), free, size) for name, (free, size) in facts.free_bytes.items()
        ]
        return (
            family(
                "counter",
                "host_cpu_seconds_total",
                "Processor time per processor that may be used, by mode: busy and idle add up to the clock.",
                ((("mode", "busy"),), self._busy_s),
                ((("mode", "idle"),), self._idle_s),
            ),
            family(
                "gauge", "host_processors", "Processors that may be used.", ((), facts.processors)
            ),
            family(
                "gauge", "host_memory_bytes", "Memory that may be used.", ((), facts.memory_bytes)
            ),
            family(
                "gauge",
                "host_memory_available_bytes",
                "Memory that is available without swapping.",
                ((), facts.available_bytes),
            ),
            family(
                "gauge",
                "filesystem_free_bytes",
                "Free space of a file system for users.",
                *((mount, free) for mount, free, _ in mounts),
            ),
            family(
                "gauge",
                "filesystem_size_bytes",
                "Size of a file system for users.",
                *((mount, size) for mount, _, size in mounts),
            ),
            family(
                "counter",
                "host_network_bytes_total",
                "Bytes on all network interfaces but loopback.",
                ((("direction", "received"),), self._received),
                ((("direction", "sent"),), self._sent),
            ),
        )
