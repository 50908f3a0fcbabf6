"""How long and how hard: the profiles quick, ci and heavy, and the form of those in files."""

from collections.abc import Mapping
from dataclasses import dataclass

from pgwatch_wed.load.load_model import BLOCK_S, WARMUP_S, LoadObjective
from pgwatch_wed.load.stress_report import PhaseKind

DEFAULT_OBJECTIVES = (
    LoadObjective(name="p95", limit=200.0),
    LoadObjective(name="errors", limit=0.001),
)
# A soak at the capacity itself queues without end; this is what capacity plans leave free.
LOAD_SHARE = 0.7
DEFAULT_SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPhase:
    """A phase of one scenario: so many blocks of one length."""

    kind: PhaseKind
    seconds: float
    blocks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedScenario:
    """What a profile does with one scenario."""

    name: str
    phases: tuple[PlannedPhase, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadProfile:
    """How a run is made up.

    ``scenarios``: names, each with its share of the time, relative to the others. ``rate``: transactions a second of
    steady and soak; None: ``load_share`` of the capacity, which the ramp finds (without a ramp, a block in a closed loop
    estimates it). ``clients``: None means the scenario's own. The seconds include the warm-up of each block.
    ``timeout_s``: a transaction that takes longer has failed. ``users`` and ``think_s``: so many connections through PgBouncer, at users / think time.
    """

    name: str
    scenarios: Mapping[str, float]
    seconds: Mapping[PhaseKind, float]
    scale: int = 1
    clients: int | None = None
    rate: float | None = None
    load_share: float = LOAD_SHARE
    block_s: float = BLOCK_S
    warmup_s: float = WARMUP_S
    objectives: tuple[LoadObjective, ...] = DEFAULT_OBJECTIVES
    seed: int = DEFAULT_SEED
    users: int | None = None
    think_s: float | None = None
    timeout_s: float | None = None
    checkpoints: int = 3

    @property
    def total_s(self) -> float:
        """How long all phases of all scenarios take."""
        return sum(self.seconds.values())

    def planned(self) -> tuple[PlannedScenario, ...]:
        """Return what is to be done: each scenario has its share of each phase, in whole blocks."""
        whole = sum(self.scenarios.values())
        return tuple(
            PlannedScenario(name=name, phases=tuple(self._phases(share / whole)))
            for name, share in self.scenarios.items()
        )

    def _phases(self, share: float) -> list[PlannedPhase]:
        each = self.block_s + self.warmup_s
        phases = []
        for kind in (PhaseKind.RAMP, PhaseKind.STEADY, PhaseKind.SOAK):
            given = self.seconds.get(kind, 0.0) * share
            if given > 0:
                phases.append(
                    PlannedPhase(kind=kind, seconds=given, blocks=max(1, int(given / each + 1e-9)))
                )
        return phases


PROFILES: Mapping[str, LoadProfile] = {
    p.name: p
    for p in (
        LoadProfile(
            name="quick",
            scenarios={"tpcb-like": 1},
            seconds={PhaseKind.RAMP: 12, PhaseKind.STEADY: 48},
        ),
        LoadProfile(
            name="ci",
            scenarios={"tpcb-like": 1, "read-mostly": 1},
            seconds={PhaseKind.RAMP: 120, PhaseKind.STEADY: 180},
        ),
        LoadProfile(
            name="heavy",
            scenarios={"tpcb-like": 1},
            seconds={PhaseKind.RAMP: 15 * 60, PhaseKind.SOAK: 30 * 60},
            scale=10,
            clients=32,
        ),
    )
}
