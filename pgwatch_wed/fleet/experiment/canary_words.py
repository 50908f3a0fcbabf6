"""What is said about where to try advice first, and about when that is enough."""

import textwrap
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice

from pgwatch_wed import units
from pgwatch_wed.fleet.experiment.canaries import (
    CanaryAdvice,
    CanaryCandidate,
    CanaryStep,
    is_running,
)

_MOST_OTHERS = 20
_WIDTH = 78


def lines(found: CanaryAdvice) -> Iterator[str]:
    """Yield the answer for a reader."""
    record = found.record
    group = f" in group {record.group}" if record.group else ""
    yield f"{record.label}{group}: {found.step}"
    yield ""
    if record.trials:
        yield from _wrapped(record.told)
        yield from _wrapped(record.verdict)
        yield ""
    for line in _STEPS[found.step](found):
        yield from _wrapped(line)


def _wrapped(line: str) -> Iterator[str]:
    deeper = "    " if line.startswith("- ") else "  "
    yield from textwrap.wrap(
        line,
        _WIDTH,
        initial_indent="  ",
        subsequent_indent=deeper,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]


def _first(found: CanaryAdvice) -> Iterator[str]:
    choice = found.choice
    if choice is None:
        return
    yield f"Try it on {choice.member} (database {choice.database or 'all'}, finding {choice.finding_id}):"
    yield from (f"- {reason}" for reason in reasons(choice))
    if choice.why_never:
        yield "No cluster would tell more: see below."
    yield from _others(found.candidates[1:])
    yield ""
    yield "After later runs, the same command says whether the evidence is enough for the rest."


def reasons(own: CanaryCandidate) -> Iterator[str]:
    """Yield what speaks for and against a cluster, with numbers."""
    if own.ready_days is not None:
        yield f"its outcome would be known in about {_days(own.ready_days)}{_calls(own)}"
    else:
        yield f"its outcome would not be known: {own.why_never}"
    if own.telling_tags:
        critical = "critical" if own.risk_by_tags > 0 else "not critical"
        yield f"its tags call it {critical}: {', '.join(own.telling_tags)}"
    if own.standbys is not None:
        yield (
            "it has no standby"
            if not own.standbys
            else f"it has {units.count(own.standbys, 'standby', 'standbys')}"
        )
    if own.table_bytes is not None:
        writes = (
            ""
            if own.write_share is None
            else f", and {units.share(own.write_share)} of what is done with their rows is writing"
        )
        yield f"its tables have {units.size(own.table_bytes)}{writes}"
    if own.doubt:
        yield f"it may be harmed: {own.doubt}"


def _calls(own: CanaryCandidate) -> str:
    if own.calls_per_day is None:
        return ""
    return f": its statements are called {units.short(own.calls_per_day)} times a day"


def _days(days: float) -> str:
    return units.words(timedelta(days=days))


def _others(others: tuple[CanaryCandidate, ...]) -> Iterator[str]:
    if not others:
        return
    yield ""
    yield "The others, in this order:"
    by_member: dict[str, list[CanaryCandidate]] = {}
    for own in others:
        by_member.setdefault(own.member, []).append(own)
    for member, (first, *more) in islice(by_member.items(), _MOST_OTHERS):
        where = f" (database {first.database}; {len(more):,} more)" if more else ""
        yield f"- {member}{where}: {', '.join(_short(first))}"
    if len(by_member) > _MOST_OTHERS:
        yield f"and {units.count(len(by_member) - _MOST_OTHERS, 'other cluster')}"


def _short(own: CanaryCandidate) -> Iterator[str]:
    yield f"known in {_days(own.ready_days)}" if own.ready_days is not None else own.why_never
    yield from own.telling_tags
    if own.standbys is not None:
        yield units.count(own.standbys, "standby", "standbys") if own.standbys else "no standby"
    if own.table_bytes is not None:
        yield units.size(own.table_bytes)
    if own.write_share is not None:
        yield f"{units.share(own.write_share)} writing"
    if own.doubt:
        yield "may be harmed"


def _wait(found: CanaryAdvice) -> Iterator[str]:
    waiting = [t for t in found.record.trials if is_running(t)]
    for each in waiting:
        when = (
            f", which will be known about {each.ready_at:%Y-%m-%d %H:%M} UTC"
            if each.ready_at
            else ""
        )
        why = f" ({each.reason})" if each.reason else ""
        yield f"Wait for its outcome on {each.member}, applied {each.applied_at:%Y-%m-%d}: {each.outcome}{why}{when}."


def _rest(found: CanaryAdvice) -> Iterator[str]:
    calm = [c.member for c in found.candidates if not c.doubt]
    if calm:
        yield f"Apply it on {', '.join(calm)}."
    for own in found.candidates:
        if own.doubt:
            yield f"Not on {own.member}: {own.doubt}."


def _stop(found: CanaryAdvice) -> Iterator[str]:
    harmed = [t for t in found.record.trials if t.outcome == "harmed" and not t.is_undone]
    if harmed:
        yield f"Undo it on {', '.join(t.member for t in harmed)}; db-analyze run says how."
    yield "It has not helped more often than not: do not apply it to others."


def _done(_: CanaryAdvice) -> Iterator[str]:
    yield "It is open on no cluster of the fleet."


_STEPS = {
    CanaryStep.FIRST: _first,
    CanaryStep.NEXT: _first,
    CanaryStep.WAIT: _wait,
    CanaryStep.REST: _rest,
    CanaryStep.STOP: _stop,
    CanaryStep.DONE: _done,
}
