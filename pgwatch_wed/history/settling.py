"""Forecasts are predictions: what is said of the size in four weeks is compared with what came."""

from datetime import timedelta

import sqlalchemy as sa

from pgwatch_wed.facts import Forecast, Snapshot
from pgwatch_wed.history import measures, predictions
from pgwatch_wed.history.predictions import Ending, Prediction, StoredPrediction
from pgwatch_wed.history.snapshots import StoredSnapshot

_KIND = "forecast"
_RULE = "capacity-limit-near"
_WEEKS = 4

_SERIES = {"database": "relations_bytes", "sequence": "sequence_value", "wal": "wal_position"}
"""The kinds that are predicted, with the series that tells what came."""

_MOST_SEQUENCES = 20


def predict(connection: sa.Connection, stored: StoredSnapshot, snapshot: Snapshot) -> None:
    """Settle the predictions about a database that are due, and store those of a new run."""
    _settle(connection, stored)
    told = [f for f in snapshot.forecasts if f.kind in _SERIES and _WEEKS in f.weeks_ahead]
    told.sort(key=lambda f: (f.kind == "sequence", -f.value / (f.limit or 1)))
    others = sum(f.kind != "sequence" for f in told)
    own = (stored.cluster_id, stored.database_id, stored.run_id, stored.taken_at)
    for each in told[: others + _MOST_SEQUENCES]:
        predictions.predict(connection, *own, _prediction(each))


def _prediction(own: Forecast) -> Prediction:
    place = own.weeks_ahead.index(_WEEKS)
    assert own.as_of is not None
    return Prediction(
        kind=_KIND,
        rule=_RULE,
        grade="C",
        subject={"kind": own.kind, "oid": own.oid if own.kind == "sequence" else 0},
        due_at=own.as_of + timedelta(weeks=_WEEKS),
        unit=own.unit,
        low=own.ahead_low[place],
        predicted=own.ahead[place],
        high=own.ahead_high[place],
    )


def _settle(connection: sa.Connection, stored: StoredSnapshot) -> None:
    for each in predictions.due(connection, stored.cluster_id, _KIND, until=stored.taken_at):
        if each.database_id == stored.database_id and each.subject.get("kind") in _SERIES:
            _compare(connection, stored, each)


def _compare(
    connection: sa.Connection, stored: StoredSnapshot, predicted: StoredPrediction
) -> None:
    """Compare with the largest value until the prediction was due."""
    kind, oid = predicted.subject["kind"], predicted.subject["oid"]
    own = (stored.cluster_id, stored.database_id, _SERIES[kind])
    times = (predicted.made_at, predicted.due_at)
    series = measures.read(connection, *own, *times, oids=frozenset((oid,)))
    points = [p.value for each in series for p in each.points if p.value is not None]
    # a counter that fell began anew: it was reset on purpose
    has_fallen = kind != "database" and points != sorted(points)
    if not points or has_fallen:
        predictions.settle(connection, predicted, Ending.MOOT, stored.taken_at)
        return
    largest = max(points)
    ending = predictions.ending_of(predicted, largest)
    predictions.settle(connection, predicted, ending, stored.taken_at, largest)
