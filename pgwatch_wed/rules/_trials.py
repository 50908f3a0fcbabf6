"""The lab's trial drops: what the workload would cost without an index."""

from typing import Any

from pgwatch_wed.facts import Index, IndexDropTrial, Snapshot
from pgwatch_wed.findings import Grade

# A smaller difference between the costs of two plans is noise.
_TOLERANCE = 1.01


def trial(snapshot: Snapshot, index: Index) -> IndexDropTrial | None:
    """Return the trial of an index, if the lab made one that involves any statements."""
    found = (t for t in snapshot.index_drop_trials if t.index_oid == index.oid and t.statements)
    return next(found, None)


def veto(snapshot: Snapshot, index: Index) -> bool:
    """Tell whether the workload would cost more without the index."""
    found = trial(snapshot, index)
    return found is not None and (
        found.cost_after > found.cost_before * _TOLERANCE or (found.worst_ratio or 1.0) > 1.1
    )


def grade(found: IndexDropTrial | None) -> Grade:
    """Return A if the lab tried it and plans as the server does, otherwise B."""
    return Grade.A if found is not None and not found.doubts else Grade.B


def evidence(found: IndexDropTrial | None) -> dict[str, Any]:
    """Return the trial's numbers for a finding."""
    if found is None:
        return {}
    return {
        "workload_cost_with": found.cost_before,
        "workload_cost_without": found.cost_after,
        "statements_tried": found.statements,
    }
