"""Where to try advice first: on the cluster that would tell most at the least risk, and when that is enough for the rest."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pgwatch_wed.facts.advice_words import AdviceOutcome
from pgwatch_wed.fleet.experiment.experiments import SiblingRecord, Trial

SOON_DAYS = 7.0
"""An outcome that takes longer hardly matters when a canary is chosen."""


class CanaryStep(StrEnum):
    """What to do next."""

    FIRST = "try it on one"
    WAIT = "wait"
    NEXT = "try it on one more"
    REST = "apply it to the rest"
    STOP = "stop"
    DONE = "nothing is left"


@dataclass(frozen=True, slots=True)
class CanaryCandidate:
    """A cluster on which advice is open, with what its trial would tell and risk; None is what is not known.

    ``ready_days`` is when its outcome would be known, at the pace of its statements and runs. ``write_share`` (0…1) is that
    of what is done with the rows of the table. ``risk_by_tags`` is above 0 for what tags call critical, and below
    for what they call less so; ``telling_tags`` are those. ``doubt`` is why it may be harmed.
    """

    member: str
    cluster_id: int
    database: str
    finding_id: str
    calls_per_day: float | None = None
    ready_days: float | None = None
    why_never: str = ""
    standbys: int | None = None
    table_bytes: int | None = None
    write_share: float | None = None
    risk_by_tags: int = 0
    telling_tags: tuple[str, ...] = ()
    doubt: str = ""

    @property
    def is_soon(self) -> bool:
        """Whether its outcome would be known within a week."""
        return self.ready_days is not None and self.ready_days <= SOON_DAYS


@dataclass(frozen=True, slots=True)
class CanaryAdvice:
    """What to do next with advice in a group; ``candidates`` are the best first."""

    step: CanaryStep
    record: SiblingRecord
    candidates: tuple[CanaryCandidate, ...]

    @property
    def choice(self) -> CanaryCandidate | None:
        """The cluster to try it on now, if there is one."""
        is_asked = self.step in (CanaryStep.FIRST, CanaryStep.NEXT)
        return self.candidates[0] if is_asked and self.candidates else None


def canary(record: SiblingRecord, candidates: Iterable[CanaryCandidate]) -> CanaryAdvice:
    """Return what to do next."""
    ordered = tuple(sorted(candidates, key=_order))
    return CanaryAdvice(_step(record, bool(ordered)), record, ordered)


def _step(record: SiblingRecord, is_open: bool) -> CanaryStep:
    failed = record.harmed + record.no_effect
    if failed and failed >= record.helped:
        return CanaryStep.STOP
    is_waited_for = any(is_running(t) for t in record.trials)
    if not is_open:
        return CanaryStep.WAIT if is_waited_for else CanaryStep.DONE
    if record.is_enough:
        return CanaryStep.REST
    if is_waited_for:
        return CanaryStep.WAIT
    return CanaryStep.NEXT if record.settled else CanaryStep.FIRST


def is_running(trial: Trial) -> bool:
    """Tell whether the outcome of a trial will be known later."""
    return trial.outcome == AdviceOutcome.TOO_EARLY and not trial.is_undone


def _order(own: CanaryCandidate) -> tuple[object, ...]:
    """Order by what tells, then by risk, then by what tells more."""
    return (
        not own.is_soon,
        own.ready_days is None,
        bool(own.doubt),
        own.risk_by_tags,
        not own.standbys,
        # sizes that differ by less than a factor of ten are alike
        len(str(own.table_bytes or 0)),
        round(own.write_share or 0.0, 1),
        own.ready_days or 0.0,
        -(own.calls_per_day or 0.0),
        own.member,
    )


# --- tags ---------------------------------------------------------------------------------------

_TELLING_KEYS = frozenset(
    ("env", "environment", "stage", "tier", "criticality", "critical", "priority", "canary")
)
_HIGH = frozenset(
    (
        *("prod", "production", "live", "critical", "high", "gold", "platinum", "tier1", "tier-1"),
        *("mission-critical", "p1", "1"),
    )
)
_LOW = frozenset(
    (
        *("dev", "development", "test", "testing", "staging", "stage", "qa", "sandbox", "ci"),
        *("demo", "low", "bronze", "tier3", "tier-3", "p3", "p4", "3", "4", "preprod", "uat"),
    )
)
_YES = frozenset(("true", "yes", "on", "1"))


def risk_by_tags(tags: Mapping[str, str]) -> tuple[int, tuple[str, ...]]:
    """Return how critical tags call a cluster: above 0 for more than usual; and which of them tell it."""
    risk = 0
    telling = []
    for key, value in sorted(tags.items()):
        if key.lower() in _TELLING_KEYS:
            own = _risk(key.lower(), value.lower())
            risk += own
            telling += [f"{key}={value}"] if own else []
    return risk, tuple(telling)


def _risk(key: str, value: str) -> int:
    if key == "canary":
        return -2 if value in _YES else 0
    if key == "critical":
        return 1 if value in _YES else -1
    return (value in _HIGH) - (value in _LOW)
