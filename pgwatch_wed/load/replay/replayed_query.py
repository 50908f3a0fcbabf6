"""One statement of production → texts with values for the copy, as pgbench sends them, or why not."""

from dataclasses import dataclass, replace
from typing import Any

import psycopg

from pgwatch_wed.facts import Statement
from pgwatch_wed.load.replay.effects_reached import EffectsReached, UnsafeError
from pgwatch_wed.load.replay.replay_text import NotSentError, on_one_line
from pgwatch_wed.sqltext import statement
from pgwatch_wed.sqltext.reading import read
from pgwatch_wed.sqltext.statement import UnsupportedError
from pgwatch_wed.whatif.proof.call_trial import CallWork, TrialFailedError
from pgwatch_wed.whatif.proof.fitted_values import (
    FittedCall,
    NoValuesError,
    ProductionCall,
    ValueFitter,
)


class NotReplayedError(Exception):
    """A statement is not replayed; the text says why."""


@dataclass(slots=True)
class Replayer:
    """Prepares statements on a copy. ``asking`` samples and tries as the replay's role, read-only."""

    checking: EffectsReached
    asking: psycopg.Connection[Any]
    path: str
    seed: int
    limit_ms: int

    def replayed(self, given: Statement) -> FittedCall:
        """Return a statement with values; raises :class:`NotReplayedError`."""
        text = self._checked(given)
        fitter = ValueFitter(self.asking, self.seed, self.limit_ms)
        try:
            typed = fitter.typed(text)
            self.checking.check(typed.with_nulls, self.path)
            call = ProductionCall(given.query_id, there_of(given))
            found = fitter.fitted(typed, call)
            return replace(found, texts=tuple(map(on_one_line, found.texts)))
        except (UnsafeError, TrialFailedError, NotSentError, NoValuesError) as error:
            raise NotReplayedError(str(error)) from None

    def _checked(self, given: Statement) -> str:
        """Return the text, if by itself it may be run."""
        if given.text is None:
            raise NotReplayedError("its text is hidden or was not read")
        found = read(given.text)
        try:
            parsed = statement.parse(given.text)
        except UnsupportedError as error:
            raise NotReplayedError(str(error)) from None
        if parsed.is_write:
            raise NotReplayedError("it changes data")
        if found.locks_rows:
            raise NotReplayedError("it locks rows, which changes them")
        return parsed.text


def there_of(given: Statement) -> CallWork:
    """Return what a call did in production."""
    calls = max(given.calls, 1)
    blocks = given.shared_blks_hit + given.shared_blks_read
    return CallWork(given.rows / calls, blocks / calls, given.total_exec_ms / calls)
