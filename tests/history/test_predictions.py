"""Predictions are stored once, and settled once."""

from datetime import UTC, datetime, timedelta

import pytest

from pgwatch_wed.history import predictions, store
from pgwatch_wed.history.predictions import Ending, Prediction

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DUE = NOW + timedelta(days=30)


def test_a_prediction_is_made_once_and_settled_once(history: store.Store) -> None:
    new = Prediction("forecast", "disk-full", "C", {"table": 5}, DUE, "bytes", 10, 15, 20)
    other = Prediction("forecast", "disk-full", "C", {"table": 6})
    with history.writing() as connection:
        for each in (new, new, other):
            predictions.predict(connection, 1, 2, 3, NOW, each)
    with history.writing() as connection:
        first, second = predictions.due(connection, 1, "forecast")
        assert (first.low, first.predicted, first.high) == (10, 15, 20)
        assert first.subject == {"table": 5}
        assert second.due_at is None
        assert predictions.due(connection, 1, "forecast", until=NOW) == ()
        assert predictions.due(connection, 1, "forecast", until=DUE) == (first,)
        assert predictions.ending_of(first, 20) is Ending.HELD
        assert predictions.ending_of(first, 21) is Ending.MISSED
        assert predictions.ending_of(first, 9) is Ending.MISSED
        predictions.settle(connection, first, Ending.HELD, DUE, actual=12)
        predictions.settle(connection, first, Ending.MISSED, DUE, actual=99)
    with history.writing() as connection:
        assert predictions.due(connection, 1, "forecast") == (second,)
        settled = predictions.of_kind(connection)[0]
        assert (settled.outcome, settled.actual, settled.settled_at) == ("held", 12, DUE)
        predictions.predict(connection, 1, 2, 3, DUE, new)
        assert len(predictions.due(connection, 1, "forecast")) == 2
    with history.reading() as connection:
        assert predictions.of_kind(connection, 7) == ()


@pytest.mark.parametrize("ending", [Ending.CONFIRMED, Ending.REFUTED, Ending.MOOT])
def test_endings_are_kept(history: store.Store, ending: Ending) -> None:
    with history.writing() as connection:
        predictions.predict(connection, 1, None, 3, NOW, Prediction("regression", "r", "B", {}))
        (made,) = predictions.due(connection, 1, "regression")
        predictions.settle(connection, made, ending, DUE)
        assert predictions.of_kind(connection, 1, "regression")[0].outcome == ending
