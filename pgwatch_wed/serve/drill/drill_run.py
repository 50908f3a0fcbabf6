"""Plants one incident after the other, and times what the service makes of them."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pgwatch_wed.serve.drill.drill_incidents import (
    DrillIncident,
    DrillServer,
    cpu_seconds,
    own_cpu_seconds,
)
from pgwatch_wed.serve.drill.drill_service import Ears, HeardAlert

# What the machine of the drill does besides is not planted, and may well be true.
_OF_THE_MACHINE = ("Host", "Disk")
# By default a lesser alert comes after minutes.
_PATIENCE_S, _QUIET_S = 600.0, 30.0


@dataclass(frozen=True, slots=True)
class DrillOutcome:
    """What became of an incident, in seconds since it was planted; None: it did not happen.

    ``resolved_s`` counts from when it was mended. ``cause`` is the first that was named, ``is_right`` whether it is the one that
    was planted; None if nobody could know it and nobody claimed to.
    """

    name: str
    is_trap: bool
    detected_s: float | None
    by: str
    caused_s: float | None
    cause: str
    is_right: bool | None
    resolved_s: float | None
    false: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DrillCost:
    """Shares of one core while nothing is planted."""

    service: float
    server: float


def drilled(
    server: DrillServer, ears: Ears, incidents: Sequence[DrillIncident], speed: float
) -> Iterator[DrillOutcome]:
    """Yield the outcome of each incident."""
    for incident in incidents:
        yield _drill(server, ears, incident, speed)


def measured(server: DrillServer, seconds: float) -> DrillCost:
    """Measure what the service costs; its own speed counts."""
    began = time.monotonic()
    own, of_server = own_cpu_seconds(), cpu_seconds(server.server)
    time.sleep(seconds)
    took = time.monotonic() - began
    return DrillCost(
        (own_cpu_seconds() - own) / took, (cpu_seconds(server.server) - of_server) / took
    )


def _drill(server: DrillServer, ears: Ears, incident: DrillIncident, speed: float) -> DrillOutcome:
    start = len(ears.heard)
    planted = time.monotonic()
    hint, mend = incident.plant(server)

    def mine(is_firing: bool) -> list[HeardAlert]:
        return [
            h for h in ears.heard[start:] if h.name in incident.alerts and h.is_firing is is_firing
        ]

    patience = _PATIENCE_S / speed + 30
    if incident.is_trap:
        time.sleep(max(patience / 6, 10))
    else:
        _wait(
            lambda: bool(mine(True)) and (not hint or any(h.causes for h in mine(True))), patience
        )
    mended = time.monotonic()
    mend()
    server.end()
    if not incident.is_trap and mine(True):
        names = {h.name for h in mine(True)}
        _wait(lambda: {h.name for h in mine(False)} >= names, patience + 720 / speed)
    time.sleep(_QUIET_S / speed)
    return _outcome(incident, ears.heard[start:], hint, planted, mended)


def _wait(happened: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not happened() and time.monotonic() < end:
        time.sleep(0.1)


def _outcome(
    incident: DrillIncident, heard: Sequence[HeardAlert], hint: str, planted: float, mended: float
) -> DrillOutcome:
    true = [h for h in heard if h.name in incident.alerts and h.is_firing]
    ends = [h for h in heard if h.name in incident.alerts and not h.is_firing]
    known = [(h, c) for h in true for c in h.causes[:1] if c["grade"] != "unknown"]
    right = next((h for h, c in known if hint and hint in c["title"]), None)
    named = known[0][1]["title"] if known else ""
    return DrillOutcome(
        name=incident.name,
        is_trap=incident.is_trap,
        detected_s=true[0].at - planted if true else None,
        by=true[0].name if true else "",
        caused_s=right.at - planted if right else None,
        cause=named,
        is_right=_is_right(hint, named),
        resolved_s=max(h.at for h in ends) - mended if ends else None,
        false=tuple(
            h.name
            for h in heard
            if h.is_firing
            and h.name not in incident.alerts
            and not h.name.startswith(_OF_THE_MACHINE)
        ),
    )


def _is_right(hint: str, named: str) -> bool | None:
    if not hint:
        return None if not named else False
    return hint in named
