"""The line on which a scenario's clients reach the server: directly, or through a PgBouncer of ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from pgwatch_wed.load.ground.ground_connection import connected
from pgwatch_wed.load.load_model import Ground, Scenario
from pgwatch_wed.load.users.many_users import CostWatch, costs
from pgwatch_wed.load.users.own_pooler import own_pooler


@dataclass(frozen=True, slots=True)
class LoadLine:
    """``scenario`` as this line can run it; ``conninfo`` is None if clients connect directly."""

    scenario: Scenario
    conninfo: str | None = None
    notes: tuple[str, ...] = ()
    watch: CostWatch | None = None

    def cost_notes(self) -> tuple[str, ...]:
        """Say what the connections through a pooler cost until now."""
        if self.watch is None:
            return ()
        return (f"{self.scenario.name}: {self.watch.cost().words}",)


@contextmanager
def line_of(ground: Ground, scenario: Scenario) -> Iterator[LoadLine]:
    """Open it for the ``with`` block."""
    if not scenario.pooler:
        yield LoadLine(scenario)
        return
    with (
        connected(ground) as session,
        own_pooler(session, clients=scenario.clients) as pooler,
        costs(pooler) as watch,
    ):
        protocol, note = pooler.protocol(scenario.protocol)
        name = scenario.name
        notes = (f"{name}: through {pooler.version}", *([f"{name}: {note}"] if note else []))
        yield LoadLine(replace(scenario, protocol=protocol), pooler.conninfo, notes, watch)
