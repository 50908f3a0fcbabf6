"""What is said of advice that siblings have tried."""

from collections.abc import Iterator, Sequence
from statistics import median

from pgwatch_wed import units
from pgwatch_wed.facts.advice_words import AdviceOutcome
from pgwatch_wed.fleet.experiment.experiments import OpenAdvice, SiblingRecord, Trial

# Fewer times as many writes explain nothing.
_NOTABLE = 2.0


def told(record: SiblingRecord) -> str:
    """Return what came of it: ``applied on 7 of 12 clusters: helped on 6, …; harmed on 1 (c9), which writes 40 times as much``."""
    of = len(record.trials) + len(record.open_on)
    group = f" of group {record.group}" if record.group else ""
    parts = "; ".join(_parts(record))
    return f"{record.label}: applied on {len(record.trials)} of {units.count(of, 'cluster')}{group}{f': {parts}' if parts else ''}."


def _parts(record: SiblingRecord) -> Iterator[str]:
    if record.helped:
        change = _change(record.median_blocks_ratio)
        yield f"helped on {record.helped}{f', where a call reads {change} (median)' if change else ''}"
    if record.no_effect:
        yield f"no effect on {record.no_effect}"
    harmed = [t for t in record.trials if t.outcome == AdviceOutcome.HARMED]
    if harmed:
        yield f"harmed on {len(harmed)}: {', '.join(_harmed(record, t) for t in harmed)}"
    if record.undecided:
        yield f"not known yet on {record.undecided}{_when(record.trials)}"


def _change(ratio: float | None) -> str:
    if ratio is None:
        return ""
    return (
        f"{units.share(1 - ratio)} fewer blocks"
        if ratio < 1
        else f"{units.share(ratio - 1)} more blocks"
    )


def _harmed(record: SiblingRecord, trial: Trial) -> str:
    ratio = writes_ratio(record, trial)
    if ratio is not None and ratio >= _NOTABLE:
        return f"{trial.member}, which writes {units.short(ratio)} times as many rows of the table"
    return trial.member


def writes_ratio(record: SiblingRecord, harmed: Trial) -> float | None:
    """Return how many times as many rows a cluster writes as the median of those that were helped."""
    usual = [
        t.writes_per_day
        for t in record.trials
        if t.outcome == AdviceOutcome.HELPED and t.writes_per_day is not None
    ]
    if not usual or harmed.writes_per_day is None or median(usual) <= 0:
        return None
    return harmed.writes_per_day / median(usual)


def _when(trials: Sequence[Trial]) -> str:
    ready = sorted(t.ready_at for t in trials if t.ready_at is not None)
    return f", on the first about {ready[0]:%Y-%m-%d %H:%M} UTC" if ready else ""


def verdict(record: SiblingRecord, enough: float) -> str:
    """Say whether that is enough for the rest, with numbers."""
    asked = units.share(enough)
    if not record.settled:
        return f"Not enough for the rest: no outcome is known yet. {_needed(record)}"
    least = units.share(record.least_share)
    figures = f"helped on {record.helped} of {record.settled}: with 95% confidence, it helps at least {least} of such clusters"
    if not record.is_enough:
        return f"Not enough for the rest: {figures}, and more than {asked} is asked for. {_needed(record)}"
    doubtful = [o.member for o in record.open_on if o.doubt]
    rest = len(record.open_on) - len(doubtful)
    but = f" Not for {', '.join(doubtful)}, which may be harmed." if doubtful else ""
    left = f" ({units.count(rest, 'cluster')})" if record.open_on else ""
    return f"Enough for the rest{left}: {figures}.{but}"


def _needed(record: SiblingRecord) -> str:
    more = units.count(record.more_needed, "more cluster")
    said = f"It takes {more} that it helps, and none that it does not."
    if record.open_on:
        said += (
            f" db-analyze fleet canary {record.open_on[0].finding_id} says where to try it next."
        )
    return said


def unknown_harm(harmed: Trial) -> str:
    """Say that a cluster was harmed, and not why."""
    return f"it did harm on {harmed.member}, and it is not known whether as much is written there as here"


def writes_like(own: OpenAdvice, harmed: Trial) -> str:
    """Say that as much is written as where it did harm."""
    here, there = (f"{units.short(w or 0.0)}" for w in (own.writes_per_day, harmed.writes_per_day))
    return f"{here} rows of the table are written a day, and {there} on {harmed.member}, where it did harm"
