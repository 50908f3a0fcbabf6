"""The machine on which the service runs, or the container: processors, memory, file systems."""

from collections.abc import Callable
from dataclasses import dataclass, field

from pgwatch_wed import units
from pgwatch_wed.serve import host
from pgwatch_wed.serve.probes.observation import Limit, Observation
from pgwatch_wed.serve.probes.probe_settings import ProbeSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings(ProbeSettings):
    """How much may be used before it is a warning; for how long is for an alert to say."""

    cpu_ratio: float = 0.95
    memory_ratio: float = 0.9
    free_ratio: float = 0.1
    mounts: tuple[str, ...] = ("/",)


@dataclass(slots=True)
class HostProbe:
    """Reads it."""

    settings: HostSettings
    now: Callable[[], float]
    _meter: host.HostMeter = field(init=False)

    def __post_init__(self) -> None:
        mounts = self.settings.mounts
        self._meter = host.HostMeter(lambda: host.read(mounts))

    def __call__(self, limit: Limit) -> Observation:
        """Read it."""
        facts, busy = self._meter.read()
        limit.left()
        used = 1 - facts.available_bytes / facts.memory_bytes
        name = self.settings.target or self.settings.name
        seen = Observation(families=self._meter.families(facts, name))
        for mount, (free, size) in facts.free_bytes.items():
            if size and free / size < self.settings.free_ratio:
                seen = seen.warned(f"{units.share(free / size)} of the file system {mount} is free")
        if used > self.settings.memory_ratio:
            seen = seen.warned(
                f"{units.share(used)} of the memory is used ({units.size(facts.memory_bytes)})"
            )
        if busy is not None and busy > self.settings.cpu_ratio:
            seen = seen.warned(f"{units.share(busy)} of the processors are busy")
        return seen
