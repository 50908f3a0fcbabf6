"""What a call of a statement with values returns and touches on a copy, against production."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

FACTOR = 2.0
# Below these, a factor means nothing: an index may be one level deeper, a row more or less.
_SLACK_ROWS = 0.5
_SLACK_BLOCKS = 3.0


@dataclass(frozen=True, slots=True)
class CallWork:
    """What a call returns and touches, on average; ``is_complete``: none was stopped by the time limit."""

    rows: float
    blocks: float
    ms: float
    is_complete: bool = True


class TrialFailedError(Exception):
    """A statement failed on the copy; the text says how, without values."""


@dataclass(frozen=True, slots=True)
class CallTrial:
    """A read-only session on the copy, in autocommit mode, with a time limit."""

    connection: psycopg.Connection[Any]

    def work(self, texts: Iterable[str]) -> CallWork:
        """Run each once and return the average; raises :class:`TrialFailedError`."""
        return mean([self.once(text) for text in texts])

    def once(self, text: str) -> CallWork:
        """Run a statement once; raises :class:`TrialFailedError`."""
        try:
            row = self.connection.execute(
                f"explain (analyze, buffers, timing off, format json) {text}".encode()
            ).fetchone()
        except psycopg.Error as error:
            if self.connection.closed:
                raise
            raise TrialFailedError(failure(error)) from None
        assert row is not None
        document = row[0] if isinstance(row[0], list) else json.loads(row[0])
        plan = document[0]["Plan"]
        rows = float(plan["Actual Rows"]) * float(plan["Actual Loops"])
        blocks = float(plan.get("Shared Hit Blocks", 0) + plan.get("Shared Read Blocks", 0))
        return CallWork(rows, blocks, float(document[0]["Execution Time"]))


def failure(error: psycopg.Error) -> str:
    """Return the kind of an error: its message may contain values."""
    if isinstance(error, psycopg.errors.QueryCanceled):
        return "it takes longer on the copy than the time limit"
    words = "".join(f" {c.lower()}" if c.isupper() else c for c in type(error).__name__).strip()
    return f"it fails on the copy: {words} ({error.sqlstate or 'no code'})"


def mean(works: Sequence[CallWork]) -> CallWork:
    """Return the average of some calls; zeros if there are none."""
    count = max(len(works), 1)
    return CallWork(
        sum(w.rows for w in works) / count,
        sum(w.blocks for w in works) / count,
        sum(w.ms for w in works) / count,
    )


def deviation(here: CallWork, there: CallWork) -> float:
    """Return the factor by which rows or blocks a call differ, whichever is worse; 1 within the slack."""
    return max(rows_apart(here, there), blocks_apart(here, there))


def rows_apart(here: CallWork, there: CallWork) -> float:
    """Return the factor by which rows a call differ; 1 within the slack."""
    return _factor(here.rows, there.rows, _SLACK_ROWS)


def blocks_apart(here: CallWork, there: CallWork) -> float:
    """Return the factor by which blocks a call differ; 1 within the slack."""
    return _factor(here.blocks, there.blocks, _SLACK_BLOCKS)


def _factor(here: float, there: float, slack: float) -> float:
    if abs(here - there) <= slack:
        return 1.0
    low, high = sorted((here, there))
    return high / low if low > 0 else float("inf")
