"""What the same advice came to on the clusters of a group: a track record for those that have yet to follow it.

Each cluster counts once. The same means the same structure: an index with these columns, whatever its name.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from pgwatch_wed.facts.advice_words import AdviceOutcome
from pgwatch_wed.findings import Grade
from pgwatch_wed.fleet.experiment import exact_tests, record_words
from pgwatch_wed.fleet.experiment.experiments import OpenAdvice, SiblingRecord, Trial
from pgwatch_wed.history import index_forms
from pgwatch_wed.history.structure import Structure

ENOUGH = 0.5
"""Advice is recommended to the rest if it helps more than this share of clusters, with 95% confidence."""
_MOST_MORE = 100
_LIKE_HARMED = 0.5
"""Who writes at least this share of the rows of a cluster that was harmed is like it."""
_SETTLED = (AdviceOutcome.HELPED, AdviceOutcome.NO_EFFECT, AdviceOutcome.HARMED)
# Of several databases of a cluster, the one that tells most: harm first.
_TELLING = (AdviceOutcome.HARMED, AdviceOutcome.NO_EFFECT, AdviceOutcome.HELPED)


@dataclass(frozen=True, slots=True)
class SameAdvice:
    """Advice that is the same on several clusters of a group: where it was applied, and where it was not."""

    group: str
    rule: str
    label: str
    trials: tuple[Trial, ...]
    open_on: tuple[OpenAdvice, ...]


def identity_of(structures: Sequence[Structure]) -> Hashable:
    """Return what is equal for the same advice on all servers."""
    return tuple(sorted((_identity(s) for s in structures), key=repr))


def _identity(structure: Structure) -> Hashable:
    known = structure.known
    if structure.kind in ("index", "no index"):
        form = index_forms.read(known.get("ddl", ""))
        table = known.get("table") or structure.label
        if form is not None:
            return structure.kind, known["schema"], table if structure.kind == "index" else "", form
    return structure.kind, structure.label


def records_of(found: Iterable[SameAdvice]) -> tuple[SiblingRecord, ...]:
    """Return the records, those that tell most first. What was applied nowhere has none."""
    tried = [same for same in found if same.trials]
    often = Counter((same.group, same.label) for same in tried)
    records = (record_of(_apart(same, often)) for same in tried)
    return tuple(
        sorted(records, key=lambda r: (-r.settled, -len(r.trials), -len(r.open_on), r.label))
    )


def _apart(same: SameAdvice, often: Counter[tuple[str, str]]) -> SameAdvice:
    """Name the rule where two advise the same for reasons of their own."""
    if often[same.group, same.label] == 1:
        return same
    return replace(same, label=f"{same.label} ({same.rule})")


def record_of(same: SameAdvice) -> SiblingRecord:
    """Return what the same advice came to, also if it was applied nowhere."""
    trials = _one_each(same.trials)
    by_outcome = {o: [t for t in trials if t.outcome == o] for o in _SETTLED}
    helped, harmed = by_outcome[AdviceOutcome.HELPED], by_outcome[AdviceOutcome.HARMED]
    settled = sum(map(len, by_outcome.values()))
    ratios = [t.blocks_ratio for t in helped if t.blocks_ratio is not None]
    least = exact_tests.least_share(len(helped), settled)
    bare = SiblingRecord(
        group=same.group,
        rule=same.rule,
        label=same.label,
        trials=trials,
        open_on=(),
        helped=len(helped),
        no_effect=len(by_outcome[AdviceOutcome.NO_EFFECT]),
        harmed=len(harmed),
        undecided=len(trials) - settled,
        median_blocks_ratio=median(ratios) if ratios else None,
        least_share=least,
        is_enough=least > ENOUGH,
        more_needed=_more_needed(len(helped), settled),
        told="",
        verdict="",
    )
    tried = {t.cluster_id for t in trials}
    open_on = tuple(_judged(bare, o) for o in same.open_on if o.cluster_id not in tried)
    whole = replace(bare, open_on=open_on)
    return replace(
        whole, told=record_words.told(whole), verdict=record_words.verdict(whole, ENOUGH)
    )


def _one_each(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    found: dict[int, Trial] = {}
    for each in sorted(trials, key=lambda t: t.applied_at):
        if each.cluster_id not in found or _rank(each) <= _rank(found[each.cluster_id]):
            found[each.cluster_id] = each
    return tuple(sorted(found.values(), key=lambda t: t.member))


def _rank(trial: Trial) -> int:
    return next((n for n, o in enumerate(_TELLING) if o == trial.outcome), len(_TELLING))


def _more_needed(helped: int, settled: int) -> int:
    enough = (
        more
        for more in range(_MOST_MORE)
        if exact_tests.least_share(helped + more, settled + more) > ENOUGH
    )
    return next(enough, _MOST_MORE)


# --- where it has not been applied --------------------------------------------------------------


def _judged(record: SiblingRecord, own: OpenAdvice) -> OpenAdvice:
    """Return the same with what the siblings tell for it."""
    if not record.settled:
        return own
    doubt = _doubt(record, own)
    return replace(
        own,
        fleet_grade=_grade(record, Grade(own.grade), is_doubtful=bool(doubt)).value,
        weight=round(_weight(record, is_doubtful=bool(doubt)), 3),
        doubt=doubt,
    )


def _doubt(record: SiblingRecord, own: OpenAdvice) -> str:
    """Say why what helped on siblings may do harm here."""
    harmed = [t for t in record.trials if t.outcome == AdviceOutcome.HARMED]
    if not harmed:
        return ""
    known = [t for t in harmed if t.writes_per_day is not None]
    if own.writes_per_day is None or len(known) < len(harmed):
        return record_words.unknown_harm(harmed[0])
    calmest = min(known, key=lambda t: t.writes_per_day or 0.0)
    if own.writes_per_day >= _LIKE_HARMED * (calmest.writes_per_day or 0.0):
        return record_words.writes_like(own, calmest)
    return ""


_GRADES = tuple(Grade)


def _grade(record: SiblingRecord, own: Grade, *, is_doubtful: bool) -> Grade:
    """Return the grade: measured on enough siblings it is at least B, since it is still not proven here.

    Where it may do harm as on a sibling it is worse by one, and D where it did not help more often than not.
    """
    if record.helped <= record.harmed + record.no_effect:
        return Grade.D
    if is_doubtful:
        return _GRADES[min(_GRADES.index(own) + 1, len(_GRADES) - 1)]
    return min(own, Grade.B, key=_GRADES.index) if record.is_enough else own


def _weight(record: SiblingRecord, *, is_doubtful: bool) -> float:
    """Return how likely it helps here, with one success and one failure more than were seen (Laplace)."""
    if is_doubtful:
        return 1 / (record.harmed + 2)
    return (record.helped + 1) / (record.settled + 2)


def by_finding(records: Iterable[SiblingRecord]) -> Mapping[tuple[int, str], OpenAdvice]:
    """Return what siblings tell of open findings, by cluster and finding: the additive field of a fleet's findings."""
    return {(o.cluster_id, o.finding_id): o for r in records for o in r.open_on}
