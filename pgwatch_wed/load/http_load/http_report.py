"""What a load on an HTTP service came to, and what its objectives are answered: what text, JSON and HTML are rendered from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version

from pgwatch_wed import __version__
from pgwatch_wed.load.course.block_figures import (
    PERCENTILES,
    believed,
    percentile_figures,
    phase_figures,
    phase_spoilt,
)
from pgwatch_wed.load.course.load_conditions import generator
from pgwatch_wed.load.course.objective_answers import answered, percent_of
from pgwatch_wed.load.http_load.http_outcome import REQUEST, HttpOutcome
from pgwatch_wed.load.load_model import Answer, Block, LoadObjective, ObjectiveResult, Spoilt
from pgwatch_wed.load.load_words import ERRORS
from pgwatch_wed.load.stress_report import Generator, PercentileFigure, PhaseFigures

_CLOSED = (
    "users wait for answers, so a stall holds back the requests that would have seen it: "
    "specify --rate, or --users and --think"
)
_CUT = "the run ended early, with requests that had not ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedRequests:
    """Requests of one name that succeeded, and their latency."""

    name: str
    requests: int
    latency: tuple[PercentileFigure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReport:
    """What a run of ``db-analyze stress --http`` produces. ``spoilt``: why none of its times can be believed."""

    generated_at: datetime
    tool_version: str
    profile: str
    generator: Generator
    outcome: HttpOutcome
    objectives: tuple[ObjectiveResult, ...]
    figures: PhaseFigures | None
    names: tuple[NamedRequests, ...] = ()
    spoilt: tuple[Spoilt, ...] = ()

    def count(self, answer: Answer) -> int:
        """Count the objectives that were answered so."""
        return sum(o.answer is answer for o in self.objectives)

    @property
    def is_believable(self) -> bool:
        """Whether times can be believed."""
        return bool(self.outcome.blocks) and not self.spoilt


def http_report(
    outcome: HttpOutcome, objectives: Sequence[LoadObjective], profile: str
) -> HttpReport:
    """Answer the objectives."""
    blocks = outcome.blocks
    percents = {p for o in objectives if (p := percent_of(o)) is not None}
    ends = max((b.began + b.seconds for b in blocks), default=0.0)
    return HttpReport(
        generated_at=datetime.fromtimestamp(ends, UTC),
        tool_version=__version__,
        profile=profile,
        generator=generator(f"Locust {version('locust')}"),
        outcome=outcome,
        objectives=tuple(http_answered(o, outcome) for o in objectives),
        figures=phase_figures(blocks, sorted({*PERCENTILES, *percents}), REQUEST),
        names=named_requests(blocks),
        spoilt=phase_spoilt(blocks),
    )


def http_answered(objective: LoadObjective, outcome: HttpOutcome) -> ObjectiveResult:
    """Answer an objective; what a closed loop or an early end cannot show is not passed."""
    result = answered(objective, outcome.blocks, REQUEST)
    if result.answer is not Answer.PASS:
        return result
    if percent_of(objective) is not None and outcome.order.rate is None:
        return replace(result, answer=Answer.UNKNOWN, reason=_CLOSED)
    if objective.name == ERRORS and outcome.ended_early:
        return replace(result, answer=Answer.UNKNOWN, reason=_CUT)
    return result


def named_requests(blocks: Sequence[Block]) -> tuple[NamedRequests, ...]:
    """Return figures by name, the most frequent first; times are of the blocks that can be believed, if any can."""
    timed = believed(blocks) or list(blocks)
    names = {name for block in blocks for name in block.by_script}
    found = (_named(name, blocks, timed) for name in names)
    return tuple(sorted(found, key=lambda each: (-each.requests, each.name)))


def _named(name: str, blocks: Sequence[Block], timed: Sequence[Block]) -> NamedRequests:
    times = [b.by_script[name].latency for b in timed if name in b.by_script]
    return NamedRequests(
        name=name,
        requests=sum(b.by_script[name].service.count for b in blocks if name in b.by_script),
        latency=percentile_figures(times, PERCENTILES, REQUEST) if times else (),
    )
