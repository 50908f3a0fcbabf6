"""What became of advice, in one sentence."""

from collections.abc import Iterable, Iterator

from pgwatch_wed.facts import FollowedAdvice, Snapshot
from pgwatch_wed.facts.advice_words import AdviceOutcome, AppliedState
from pgwatch_wed.findings import AdviceLine
from pgwatch_wed.units import duration, share

_FIRST = {
    AppliedState.APPLIED: "applied",
    AppliedState.PARTLY: "partly applied",
    AppliedState.UNDONE: "undone",
    AppliedState.GONE: "its object is gone",
    AppliedState.BEFORE: "was there before it was advised",
}


def advice_lines(snapshots: Iterable[Snapshot]) -> Iterator[AdviceLine]:
    """Yield a line for each piece of advice that was applied, wholly or partly, or that has ended."""
    for snapshot in snapshots:
        for own in snapshot.followed_advice:
            yield line(own)


def line(own: FollowedAdvice) -> AdviceLine:
    """Return what became of one piece of advice."""
    return AdviceLine(
        rule=own.rule,
        grade=own.grade,
        label=own.label,
        state=own.state,
        outcome=own.outcome,
        told="; ".join(_parts(own)),
        advised_at=own.advised_at,
        applied_at=own.since,
        ready_at=own.ready_at,
        predicted_ms_per_day=own.predicted_ms_per_day,
        saved_ms_per_day=own.saved_ms_per_day,
        lost_ms_per_day=own.lost_ms_per_day,
        blocks_ratio=own.blocks_ratio,
        time_ratio=own.time_ratio,
    )


def _parts(own: FollowedAdvice) -> Iterator[str]:
    state = next((s for s in AppliedState if s == own.state), AppliedState.UNKNOWN)
    since = f" {own.since:%Y-%m-%d}" if own.since and state is not AppliedState.BEFORE else ""
    if own.absent_at and own.since and own.absent_at.date() != own.since.date():
        since = f" between {own.absent_at:%Y-%m-%d} and {own.since:%Y-%m-%d}"
    found = f" ({own.found})" if own.found else ""
    yield f"{_FIRST.get(state, state.value)}{since}{found}"
    if state in (AppliedState.APPLIED, AppliedState.PARTLY, AppliedState.UNDONE):
        yield from _outcome(own)


def _outcome(own: FollowedAdvice) -> Iterator[str]:
    match own.outcome:
        case None:
            yield "its effect is not known"
        case AdviceOutcome.TOO_EARLY:
            when = f" on {own.ready_at:%Y-%m-%d %H:%M} UTC at this pace" if own.ready_at else ""
            why = f" ({own.outcome_reason})" if own.outcome_reason else ""
            yield f"too early to tell its effect{why}{f', which will be known{when}' if when else ''}"
        case AdviceOutcome.UNCLEAR:
            yield f"its effect cannot be told: {own.outcome_reason}"
        case AdviceOutcome.HARMED | AdviceOutcome.HELPED | AdviceOutcome.NO_EFFECT:
            yield f"{own.outcome}{_why(own)}"
            yield from _figures(own)


def _why(own: FollowedAdvice) -> str:
    return f" ({own.outcome_reason})" if own.outcome_reason else ""


def _figures(own: FollowedAdvice) -> Iterator[str]:
    if own.blocks_ratio is not None and own.time_ratio is not None:
        blocks = _change(own.blocks_ratio, "as many", "fewer")
        yield f"a call reads {blocks} blocks and takes {_change(own.time_ratio, 'as much', 'less')} time"
    if own.saved_ms_per_day is not None and own.outcome == AdviceOutcome.HELPED:
        promised = (
            f" of {duration(own.predicted_ms_per_day)} predicted"
            if own.predicted_ms_per_day is not None
            else ""
        )
        yield f"saves {duration(own.saved_ms_per_day)} per day{promised}"
    if own.lost_ms_per_day:
        yield f"others lose {duration(own.lost_ms_per_day)} per day"


def _change(ratio: float, same: str, less: str) -> str:
    if abs(ratio - 1) < _SAME:
        return same
    return f"{share(1 - ratio)} {less}" if ratio < 1 else f"{share(ratio - 1)} more"


_SAME = 0.03
