"""Facts that take more than reading catalogs: plans, exact bloat, index advice."""

from typing import TYPE_CHECKING

from pgwatch_wed.facts import Snapshot

if TYPE_CHECKING:
    from pgwatch_wed.gather import Budget, Progress, Wanted


def enrich(
    conninfo: str, snapshot: Snapshot, wanted: "Wanted", budget: "Budget", progress: "Progress"
) -> Snapshot:
    """Add each that is wanted and fits the budget; say of each other why it is absent."""
    return snapshot
