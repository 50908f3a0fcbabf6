"""What the rules about statements share: names, evidence, and how much of the load is visible."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pgwatch_wed import units
from pgwatch_wed.facts import Snapshot, Statement, StatementsInfo
from pgwatch_wed.facts.derived import derived
from pgwatch_wed.findings import MeasuredTime, Object, Unknown
from pgwatch_wed.postgres import pace, plan_time, privileges, statements

_SPACE = re.compile(r"\s+")
_FIRST_WORD = re.compile(r"[\s(]*(?:/\*.*?\*/\s*|--[^\n]*\n\s*)*(\w+)", re.DOTALL)
_MAX_ROLES = 5


@dataclass(frozen=True)
class Load:
    """The users' statements of a snapshot, and their totals."""

    snapshot: Snapshot
    statements: tuple[Statement, ...]

    @classmethod
    def of(cls, snapshot: Snapshot) -> "Load":
        """Take the statements that users ran, costliest first."""
        return _load(snapshot)

    @cached_property
    def total_ms(self) -> float:
        """The total time of all statements."""
        return sum(s.total_exec_ms for s in self.statements)

    @cached_property
    def queries(self) -> tuple[Statement, ...]:
        """All statements that read or write rows, even if their text is hidden: no utility statements."""
        return statements.queries(self.snapshot)

    def share(self, statement: Statement) -> float:
        """Return a statement's share of the total time."""
        return statement.total_exec_ms / self.total_ms if self.total_ms > 0 else 0.0

    @cached_property
    def _seen(self) -> Mapping[str, Any]:
        coverage = statements.coverage([self.snapshot], ())
        info = self.info
        return {
            "load_visible_share": coverage.visible_share,
            "evictions_per_hour": coverage.evictions_per_hour,
            "hidden_statements": info.hidden_entries if info else None,
        }

    @property
    def info(self) -> StatementsInfo | None:
        """pg_stat_statements as a whole."""
        return next(iter(self.snapshot.statements_info), None)

    def evidence(self, statement: Statement) -> dict[str, Any]:
        """Return the evidence common to all findings about statements, including the visible share of the load."""
        seconds = statements.window_seconds(self.snapshot, statement)
        return {
            "query_ids": [statement.query_id],
            "query": statement.text,
            "user": statement.user,
            "roles": list(statements.users(self.snapshot, statement.query_id)[:_MAX_ROLES]),
            "calls": statement.calls,
            "total_exec_ms": round(statement.total_exec_ms, 3),
            "mean_exec_ms": round(statement.mean_exec_ms, 3),
            "rows": statement.rows,
            "load_share": round(self.share(statement), 4),
            "window_seconds": None if seconds is None else round(seconds, 1),
            **self._seen,
        }

    def object_of(self, statement: Statement) -> Object:
        """Name a statement by its query id: the text is in the evidence."""
        return object_of(self.snapshot, statement)

    def least_per_day(self, amount: float, statement: Statement) -> float:
        """Return an amount of a statement per day, for thresholds; less than a day is not extrapolated."""
        seconds = statements.window_seconds(self.snapshot, statement)
        return pace.least_per_day(amount, seconds)

    def per_day(self, amount: float, statement: Statement) -> float | None:
        """Return an amount of a statement per day, for readers; None if its counters cover less than a day."""
        seconds = statements.window_seconds(self.snapshot, statement)
        return pace.per_day(amount, seconds)

    def time(self, ms: float, statement: Statement) -> MeasuredTime:
        """Return a part of a statement's time, at most all of it, with the window and load that it is from."""
        part = min(ms, statement.total_exec_ms)
        seconds = statements.window_seconds(self.snapshot, statement)
        return MeasuredTime(part, seconds, self.total_ms, {statement.query_id: part})

    def times(self, by_query: Mapping[int, float]) -> MeasuredTime:
        """Return parts of the time of several statements."""
        seconds = statements.window_seconds(self.snapshot)
        return MeasuredTime(sum(by_query.values()), seconds, self.total_ms, dict(by_query))

    def planning(self, statement: Statement) -> MeasuredTime:
        """Return the time spent on planning, which is not part of the load: that is execution time."""
        seconds = statements.window_seconds(self.snapshot, statement)
        return MeasuredTime(statement.total_plan_ms, seconds)

    def unknowns(self) -> Iterator[Unknown]:
        """Yield the reason if there is nothing to judge."""
        if self.info is not None and self.info.track == "none":
            yield Unknown(
                "pg_stat_statements.track is none, so statements are not counted",
                "ALTER SYSTEM SET pg_stat_statements.track = 'top'; SELECT pg_reload_conf();",
            )

    def texts_unknown(self, min_share: float = 0.1) -> Iterator[Unknown]:
        """Yield an unknown if the texts that a rule has to read are not visible to this role."""
        hidden = sum(s.total_exec_ms for s in self.statements if s.text is None)
        if self.total_ms > 0 and hidden / self.total_ms >= min_share:
            yield Unknown(
                f"the statement texts for {hidden / self.total_ms:.0%} of the load are hidden or were not read",
                privileges.grant_stats(self.snapshot.server),
            )


@derived
def _load(snapshot: Snapshot) -> Load:
    return Load(snapshot, statements.of_users(snapshot))


def object_of(snapshot: Snapshot, statement: Statement) -> Object:
    """Name a statement by its query id: the text is in the evidence."""
    return Object("statement", str(statement.query_id), database=snapshot.server.database)


def waiting(statement: Statement) -> Iterator[str]:
    """Yield a caveat if most of a statement's time was spent on something other than its plan."""
    most = plan_time.most_ms(statement)
    if most < statement.total_exec_ms:
        fastest = statement.min_exec_ms
        known = "" if fastest is None else f" and by its fastest call ({units.duration(fastest)})"
        yield (
            f"Statement {statement.query_id} took {units.duration(statement.mean_exec_ms)} per call on average, of which its "
            f"plan can have taken {units.duration(most / max(statement.calls, 1))} at most, judging by the blocks that it "
            f"read{known}. The rest is waiting for locks, or "
            "triggers and foreign keys."
        )


def short(statement: Statement, length: int = 60) -> str:
    """Return the beginning of the text as one line."""
    if statement.text is None:
        return f"statement {statement.query_id}"
    text = _SPACE.sub(" ", statement.text).strip()
    return text if len(text) <= length else text[: length - 1] + "…"


def first_word(statement: Statement) -> str:
    """Return the statement's first word in lower case, or nothing where the text is hidden."""
    match = _FIRST_WORD.match(statement.text or "")
    return match[1].lower() if match else ""
