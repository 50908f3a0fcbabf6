"""Facts that take more than reading catalogs: plans, exact bloat, index advice.

Each is added when it is wanted and fits the budget; of each other the snapshot says why it is absent.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg

from pgwatch_wed.errors import Error
from pgwatch_wed.facts import Missing, Snapshot

if TYPE_CHECKING:
    from pgwatch_wed.gather import Budget, Progress, Wanted

Facts = tuple[Any, ...] | Missing


def enrich(
    conninfo: str, snapshot: Snapshot, wanted: "Wanted", budget: "Budget", progress: "Progress"
) -> Snapshot:
    """Add what is wanted; a failure of one addition costs that addition alone."""
    return snapshot


def put(snapshot: Snapshot, **facts: Facts) -> Snapshot:
    """Return the snapshot with facts filled in, or with the reason why they are absent."""
    absent = {name: value for name, value in facts.items() if isinstance(value, Missing)}
    found: dict[str, Any] = {n: v for n, v in facts.items() if not isinstance(v, Missing)}
    missing = {n: m for n, m in snapshot.missing.items() if n not in found} | absent
    return replace(snapshot, missing=missing, **found)


def attempt(what: str, work: Callable[[], Facts]) -> Facts:
    """Run one addition; what a target may rightly refuse becomes a reason."""
    try:
        return work()
    except Error as error:
        return Missing(f"{what}: {error.message}", error.hint)
    except psycopg.Error as error:
        said = error.diag.message_primary or str(error)
        return Missing(f"{what}: {' '.join(said.split())}")
