"""An example of what became of advice."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pgwatch_wed.facts import AdviceRecord, FollowedAdvice

NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)


def followed(**changes: Any) -> FollowedAdvice:
    """Return a row of the fact with these changes."""
    day = timedelta(days=1)
    return replace(
        FollowedAdvice(
            rule="index-missing",
            grade="A",
            kind="index",
            schema="public",
            table="orders",
            name="orders_idx",
            state="applied",
            found="as public.mine",
            advised_at=NOW - 30 * day,
            absent_at=NOW - 11 * day,
            since=NOW - 10 * day,
            outcome="harmed",
            outcome_reason="other statements on the table lost more than these gained",
            ready_at=None,
            predicted_ms_per_day=60_000.0,
            predicted_ratio=0.4,
            saved_ms_per_day=5_000.0,
            lost_ms_per_day=65_000.0,
            blocks_ratio=1.0,
            time_ratio=1.02,
            calls_after=500,
            oids=(),
            undo=("DROP INDEX CONCURRENTLY orders_idx;",),
            slower=("update orders set x = $1",),
        ),
        **changes,
    )


RECORD = AdviceRecord(
    "index-missing", "A", 5, 4, 1, 1, 0, 0, 2, 1, 0, 1, 3, 60_000.0, 50_000.0, 0.4, 0.45
)
