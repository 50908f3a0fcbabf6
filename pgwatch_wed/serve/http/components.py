"""What health is said of: each probe, and the facts of each server that is watched."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pgwatch_wed.app import breakers
from pgwatch_wed.app.breakers import BreakerState
from pgwatch_wed.serve.state import (
    STALE_INTERVALS,
    Collected,
    Health,
    ProbeResult,
    Reason,
    ServiceState,
)

_BADNESS = {Health.PASS: 0, Health.WARN: 1, Health.UNKNOWN: 2, Health.FAIL: 3}
# How the draft of application/health+json calls what a kind of probe looks at.
_TYPES = {"postgres": "datastore", "redis": "datastore", "host": "system", "facts": "component"}


@dataclass(frozen=True, slots=True)
class Component:
    """One thing that is healthy or not; ``causes`` and ``affects`` name other components."""

    name: str
    kind: str
    status: Health
    since: float
    at: float | None = None
    latency_s: float | None = None
    reason: Reason | None = None
    detail: str = ""
    is_essential: bool = False
    target: str = ""
    readings: Mapping[str, float] = field(default_factory=dict)
    breaker: str = ""
    causes: tuple[str, ...] = ()
    affects: tuple[str, ...] = ()

    @property
    def type(self) -> str:
        """The draft's componentType."""
        return _TYPES.get(self.kind, "component")


def worst(states: Iterable[Health]) -> Health:
    """Return the worst of them: unknown is worse than a warning and better than a failure."""
    return max(states, key=lambda s: _BADNESS[s], default=Health.UNKNOWN)


def overall(components: Iterable[Component]) -> Health:
    """Return the health of the whole: what is not essential can only make it a warning."""
    found = tuple(components)
    states = [
        c.status if c.is_essential else min(c.status, Health.WARN, key=_BADNESS.__getitem__)
        for c in found
    ]
    return worst(states)


def components(state: ServiceState, now: float) -> tuple[Component, ...]:
    """Return all of them as they count now, with what follows from what."""
    around = breakers.states()
    probed = [_of_probe(p.as_of(now), around.get(f"probe {p.name}")) for p in state.probes.values()]
    collected = [_of_facts(c, now, state.at) for c in state.targets.values()]
    return _linked(tuple(sorted((*probed, *collected), key=lambda c: c.name)))


def _of_probe(result: ProbeResult, breaker: BreakerState | None) -> Component:
    return Component(
        name=result.name,
        kind=result.kind,
        status=result.status,
        since=result.since,
        at=result.at,
        latency_s=result.latency_s,
        reason=result.reason,
        detail=result.detail,
        is_essential=result.is_essential,
        target=result.target,
        readings=result.readings,
        breaker=breaker.value if breaker is not None else "",
    )


def _of_facts(collected: Collected, now: float, begun: float) -> Component:
    """Return whether the facts of a server are new enough to be judged."""
    name = f"facts-{collected.target}"
    unknown = Component(name, "facts", Health.UNKNOWN, begun, target=collected.target)
    if not collected.read_at:
        return replace(unknown, detail=_failed(collected) or "nothing was read yet")
    late = {
        tier: at + STALE_INTERVALS * collected.intervals_s.get(tier, 0)
        for tier, at in collected.read_at.items()
        if now - at > STALE_INTERVALS * collected.intervals_s.get(tier, now)
    }
    newest = max(collected.read_at.values())
    if late:
        tiers = ", ".join(sorted(late))
        detail = (
            _failed(collected) or f"not read for more than {STALE_INTERVALS} intervals: {tiers}"
        )
        return replace(unknown, at=newest, since=min(late.values()), detail=detail)
    status = Health.WARN if collected.failure else Health.PASS
    first = min(collected.read_at.values())
    return replace(unknown, status=status, at=newest, since=first, detail=_failed(collected))


def _failed(collected: Collected) -> str:
    # why may name an address; the probe's reason does not
    return "the last reading failed" if collected.failure else ""


def _linked(found: tuple[Component, ...]) -> tuple[Component, ...]:
    """Add what causes what: nothing can be known of a server that cannot be reached."""
    down = {c.target: c.name for c in found if _is_door(c) and c.status is Health.FAIL}

    def link(component: Component) -> Component:
        name = down.get(component.target) if component.target else None
        if name is None:
            return component
        hurt = tuple(
            c.name
            for c in found
            if c.target == component.target and c.name != name and c.status is not Health.PASS
        )
        if component.name == name:
            return replace(component, affects=hurt)
        return replace(component, causes=(name,) if component.name in hurt else ())

    return tuple(link(c) for c in found)


def _is_door(component: Component) -> bool:
    return component.kind == "postgres"
