"""The words of a replay: statements, what became of each, and the mix that is run."""

from collections.abc import Mapping
from dataclasses import dataclass

from pgwatch_wed.load.load_model import LoadScript, QueryProtocol, Scenario
from pgwatch_wed.load.stress_report import ReplayedStatement, ReplayFidelity

SCENARIO = "replay"
NOT_REPRODUCED = (
    "transactions: each statement runs in one of its own",
    "the order of statements",
    "the popularity of keys: each is as likely as it is among rows",
    "think time: statements are due at random",
    "the temperature of the cache: at most 16 sets of values a statement are soon cached",
    "writes, and locks of rows",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayMix:
    """What is to be run instead of production, and how much of production that is.

    ``settings`` hold for every session: role, read-only, limits, search path. ``rate`` is how often the statements
    of the mix were called a second. ``scripts`` contain values of users: they are not to be shown.
    """

    label: str
    window_s: float
    scripts: tuple[LoadScript, ...]
    settings: Mapping[str, str]
    protocol: QueryProtocol
    protocol_reason: str
    rate: float
    covered_calls: float
    fidelity: ReplayFidelity
    values_from: Mapping[str, str]  # by script: sampled rows, statistics, or none
    notes: tuple[str, ...] = ()

    @property
    def rejected(self) -> tuple[ReplayedStatement, ...]:
        """The statements that are not replayed, each with its reason."""
        return tuple(s for s in self.fidelity.statements if not s.is_used)

    def scenario(self, clients: int = 8) -> Scenario:
        """Return the mix as a scenario that prepares nothing and writes nothing."""
        return Scenario(
            name=SCENARIO,
            title=f"statements of {self.label}, replayed",
            prepare=(),
            scripts=self.scripts,
            clients=clients,
            is_writing=False,
            protocol=self.protocol,
            settings=self.settings,
        )
