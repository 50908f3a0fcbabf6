"""What was predicted, and what came of it: the record that the tool keeps of itself.

A room that predicts calls :func:`predict` in the transaction that stores a run, once for each prediction; the same
kind about the same subject that is still open is not predicted again. In later runs it asks :func:`due` for its open
predictions, looks up what really happened, and calls :func:`settle` with it::

    new = Prediction("forecast", "table-size", "C", {"table": oid}, due_at, "bytes", low, middle, high)
    predict(connection, cluster_id, database_id, run_id, snapshot.now, new)
    for open_ in due(connection, cluster_id, "forecast", until=snapshot.now):
        settle(connection, open_, ending_of(open_, size), snapshot.now, actual=size)

Kinds are ``forecast`` (an interval of values at ``due_at``, or if ``unit`` is ``days`` of days from ``made_at``) and
``regression`` (that a query is slower: ``confirmed`` if later runs show it, too). Advice has a table of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from pgwatch_wed.history.schema import predictions


class Ending(StrEnum):
    """What became of a prediction."""

    HELD = "held"  # the value was within the interval
    MISSED = "missed"
    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    MOOT = "moot"  # what it was about is gone, or was changed on purpose


@dataclass(frozen=True, slots=True)
class Prediction:
    """A prediction to be stored; ``subject`` contains JSON values that identify what it is about."""

    kind: str
    rule: str
    grade: str
    subject: Mapping[str, Any]
    due_at: datetime | None = None
    unit: str = ""
    low: float | None = None
    predicted: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class StoredPrediction:
    """A prediction in the history; ``outcome`` is None as long as it is open."""

    id: int
    cluster_id: int
    database_id: int | None
    run_id: int
    kind: str
    rule: str
    grade: str
    subject: Mapping[str, Any]
    made_at: datetime
    due_at: datetime | None
    unit: str
    low: float | None
    predicted: float | None
    high: float | None
    outcome: str | None
    actual: float | None
    settled_at: datetime | None


def predict(
    connection: sa.Connection,
    cluster_id: int,
    database_id: int | None,
    run_id: int,
    made_at: datetime,
    new: Prediction,
) -> None:
    """Store a prediction, unless one of this kind and rule about this subject is open."""
    same = (p for p in of_kind(connection, cluster_id, new.kind) if p.outcome is None)
    mine = (new.rule, dict(new.subject), database_id)
    if any((p.rule, dict(p.subject), p.database_id) == mine for p in same):
        return
    connection.execute(
        predictions.insert().values(
            cluster_id=cluster_id,
            database_id=database_id,
            run_id=run_id,
            kind=new.kind,
            rule=new.rule,
            grade=new.grade,
            subject=dict(new.subject),
            made_at=made_at,
            due_at=new.due_at,
            unit=new.unit,
            low=new.low,
            predicted=new.predicted,
            high=new.high,
        )
    )


def of_kind(
    connection: sa.Connection, cluster_id: int | None = None, kind: str | None = None
) -> tuple[StoredPrediction, ...]:
    """Return predictions, open or not, oldest first."""
    query = sa.select(predictions)
    if cluster_id is not None:
        query = query.where(predictions.c.cluster_id == cluster_id)
    if kind is not None:
        query = query.where(predictions.c.kind == kind)
    rows = connection.execute(query.order_by(predictions.c.made_at, predictions.c.id))
    return tuple(StoredPrediction(**row._mapping) for row in rows)  # noqa: SLF001 - public, in spite of its name


def due(
    connection: sa.Connection, cluster_id: int, kind: str, until: datetime | None = None
) -> tuple[StoredPrediction, ...]:
    """Return the open predictions of a kind; with ``until``, only those that are due by then."""
    return tuple(
        p
        for p in of_kind(connection, cluster_id, kind)
        if p.outcome is None and (until is None or (p.due_at is not None and p.due_at <= until))
    )


def settle(
    connection: sa.Connection,
    open_: StoredPrediction,
    ending: Ending,
    at: datetime,
    actual: float | None = None,
) -> None:
    """Store what became of a prediction. It is settled once."""
    connection.execute(
        predictions.update()
        .where(predictions.c.id == open_.id, predictions.c.outcome.is_(None))
        .values(outcome=ending.value, actual=actual, settled_at=at)
    )


def ending_of(open_: StoredPrediction, actual: float) -> Ending:
    """Tell whether a value is within the interval that was predicted; a missing bound is none."""
    is_low = open_.low is not None and actual < open_.low
    is_high = open_.high is not None and actual > open_.high
    return Ending.MISSED if is_low or is_high else Ending.HELD
