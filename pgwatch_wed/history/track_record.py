"""The record: what past advice, forecasts and regressions came to, by rule and grade."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import sqlalchemy as sa

from pgwatch_wed.facts import AdviceRecord, Missing, Snapshot
from pgwatch_wed.facts.advice_words import AdviceOutcome, AppliedState
from pgwatch_wed.history import advice, predictions
from pgwatch_wed.history.advice import StoredAdvice
from pgwatch_wed.history.advice_facts import predicted_ratio
from pgwatch_wed.history.identity import Identity
from pgwatch_wed.history.predictions import Ending, StoredPrediction

_WHOLE = (AppliedState.APPLIED, AppliedState.UNDONE)
_SETTLED = (AdviceOutcome.HELPED, AdviceOutcome.NO_EFFECT, AdviceOutcome.HARMED)


@dataclass(frozen=True, slots=True)
class PredictionRecord:
    """What the predictions of one kind, rule and grade came to."""

    kind: str
    rule: str
    grade: str
    made: int
    open: int
    endings: tuple[tuple[str, int], ...]

    @property
    def right_share(self) -> float | None:
        """The share of the settled ones that were right."""
        counts = dict(self.endings)
        right = counts.get(Ending.HELD, 0) + counts.get(Ending.CONFIRMED, 0)
        wrong = counts.get(Ending.MISSED, 0) + counts.get(Ending.REFUTED, 0)
        return right / (right + wrong) if right + wrong else None


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """All of it."""

    advice: tuple[AdviceRecord, ...]
    predictions: tuple[PredictionRecord, ...]


def record(connection: sa.Connection, cluster_id: int | None = None) -> TrackRecord:
    """Return the record of one cluster, or of all."""
    by_rule: dict[tuple[str, str], list[StoredAdvice]] = defaultdict(list)
    for own in advice.listed(connection, cluster_id):
        by_rule[own.rule, own.grade].append(own)
    by_kind: dict[tuple[str, str, str], list[StoredPrediction]] = defaultdict(list)
    for made in predictions.of_kind(connection, cluster_id):
        by_kind[made.kind, made.rule, made.grade].append(made)
    return TrackRecord(
        tuple(_of_advice(key, by_rule[key]) for key in sorted(by_rule)),
        tuple(_of_predictions(key, by_kind[key]) for key in sorted(by_kind)),
    )


def facts_of(
    connection: sa.Connection,
    snapshot: Snapshot,  # noqa: ARG001 - all who tell of the past are asked alike
    owner: Identity | None,
) -> tuple[AdviceRecord, ...] | Missing:
    """Return the record of a snapshot's cluster, by rule and grade."""
    return record(connection, owner.cluster_id).advice if owner is not None else ()


def _of_advice(key: tuple[str, str], own: Sequence[StoredAdvice]) -> AdviceRecord:
    states = Counter(a.standing for a in own)
    whole = [a for a in own if a.standing in _WHOLE]
    applied = [a for a in own if a.standing in (*_WHOLE, AppliedState.PARTLY)]
    outcomes = Counter(a.outcome for a in applied)
    known = [(promised, _ratio(a)) for a in whole if (promised := predicted_ratio(a)) is not None]
    ratios = [(p, m) for p, m in known if m is not None]
    times = [
        (float(a.predicted["ms_per_day"]), float(a.measured["saved_ms_per_day"]))
        for a in whole
        if a.outcome in _SETTLED
        and a.measured
        and a.predicted.get("ms_per_day") is not None
        and a.measured.get("saved_ms_per_day") is not None
    ]
    return AdviceRecord(
        *key,
        advised=len(own),
        applied=len(applied),
        partly=states[AppliedState.PARTLY],
        undone=states[AppliedState.UNDONE],
        before=states[AppliedState.BEFORE],
        not_followed=states[AppliedState.UNKNOWN],
        helped=outcomes[AdviceOutcome.HELPED],
        no_effect=outcomes[AdviceOutcome.NO_EFFECT],
        harmed=outcomes[AdviceOutcome.HARMED],
        open=len(applied) - sum(outcomes[o] for o in _SETTLED),
        compared=len(ratios),
        predicted_ms_per_day=sum(p for p, _ in times) if times else None,
        measured_ms_per_day=sum(m for _, m in times) if times else None,
        predicted_ratio=median(p for p, _ in ratios) if ratios else None,
        measured_ratio=median(m for _, m in ratios) if ratios else None,
    )


def _ratio(own: StoredAdvice) -> float | None:
    if own.outcome not in _SETTLED or not own.measured:
        return None
    found = own.measured.get("time_ratio")
    return float(found) if found is not None else None


def _of_predictions(
    key: tuple[str, str, str], made: Iterable[StoredPrediction]
) -> PredictionRecord:
    each = tuple(made)
    endings = Counter(p.outcome for p in each if p.outcome is not None)
    open_ = sum(p.outcome is None for p in each)
    return PredictionRecord(*key, len(each), open_, tuple(sorted(endings.items())))
