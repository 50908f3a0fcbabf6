"""Statements are tried on the copy before they run under load: what they return and touch, against production."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psycopg

from pgwatch_wed.load.replay.replay_mix import CallWork

FACTOR = 2.0
# Below these, a factor means nothing: an index may be one level deeper, a row more or less.
_SLACK_ROWS = 0.5
_SLACK_BLOCKS = 3.0


class TrialFailedError(Exception):
    """A statement failed on the copy; the text says how, without values."""


@dataclass(frozen=True, slots=True)
class ReplayTrial:
    """A session with the settings of the replay."""

    connection: psycopg.Connection[Any]

    def work(self, texts: Iterable[str]) -> CallWork:
        """Run each once and return the average; raises :class:`TrialFailedError`."""
        found = [self._once(text) for text in texts]
        count = max(len(found), 1)
        return CallWork(
            sum(w.rows for w in found) / count,
            sum(w.blocks for w in found) / count,
            sum(w.ms for w in found) / count,
        )

    def _once(self, text: str) -> CallWork:
        try:
            row = self.connection.execute(
                f"explain (analyze, buffers, timing off, format json) {text}".encode()
            ).fetchone()
        except psycopg.Error as error:
            if self.connection.closed:
                raise
            raise TrialFailedError(_why(error)) from None
        assert row is not None
        document = row[0] if isinstance(row[0], list) else json.loads(row[0])
        plan = document[0]["Plan"]
        rows = float(plan["Actual Rows"]) * float(plan["Actual Loops"])
        blocks = float(plan.get("Shared Hit Blocks", 0) + plan.get("Shared Read Blocks", 0))
        return CallWork(rows, blocks, float(document[0]["Execution Time"]))


def _why(error: psycopg.Error) -> str:
    """Return the kind of an error: its message may contain values."""
    if isinstance(error, psycopg.errors.QueryCanceled):
        return "it takes longer on the copy than the time limit"
    words = "".join(f" {c.lower()}" if c.isupper() else c for c in type(error).__name__).strip()
    return f"it fails on the copy: {words} ({error.sqlstate or 'no code'})"


def deviation(here: CallWork, there: CallWork) -> float:
    """Return the factor by which rows or blocks a call differ, whichever is worse; 1 within the slack."""
    return max(
        _factor(here.rows, there.rows, _SLACK_ROWS),
        _factor(here.blocks, there.blocks, _SLACK_BLOCKS),
    )


def _factor(here: float, there: float, slack: float) -> float:
    if abs(here - there) <= slack:
        return 1.0
    low, high = sorted((here, there))
    return high / low if low > 0 else float("inf")


def why_unlike(here: CallWork, there: CallWork) -> str:
    """Say what differs beyond the factor; nothing if it does not."""
    parts = []
    if _factor(here.rows, there.rows, _SLACK_ROWS) > FACTOR:
        parts.append(f"{here.rows:,.2f} rows a call instead of {there.rows:,.2f}")
    if _factor(here.blocks, there.blocks, _SLACK_BLOCKS) > FACTOR:
        parts.append(f"{here.blocks:,.0f} blocks a call instead of {there.blocks:,.0f}")
    return f"its replay differs from production: {', '.join(parts)}" if parts else ""
