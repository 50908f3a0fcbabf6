"""What every run does with the history, whoever makes it: store what was read, then what was concluded, then tidy up."""

from collections.abc import Sequence

import sqlalchemy as sa

from pgwatch_wed import clock
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Report
from pgwatch_wed.history import condense, retention, runs, states
from pgwatch_wed.history.pairing import is_redacted
from pgwatch_wed.history.store import Store

_PRUNED_BY_A_RUN = 20


def remember(connection: sa.Connection, read: Sequence[Snapshot]) -> runs.StoredRun | None:
    """Store what was read, before anything is concluded from it.

    What was read for a few rules is not kept: it would look as if everything else had been dropped.
    """
    if any(snapshot.is_partial for snapshot in read):
        return None
    run, _ = runs.add(connection, runs.NewRun(read))
    return run


def conclude(
    connection: sa.Connection,
    run: runs.StoredRun,
    report: Report,
    document: str,
    snapshots: Sequence[Snapshot],
) -> None:
    """Store what was concluded; ``document`` is the JSON report."""
    run = runs.conclude(connection, run, report, document, snapshots)
    if not any(map(is_redacted, snapshots)):  # their names are others each time
        states.follow(connection, run, snapshots)


def tidy(store: Store, most: int = _PRUNED_BY_A_RUN) -> None:
    """Remove runs that are due, at most so many, and add up series of long ago."""
    with store.writing() as connection:
        moment = clock.now()
        retention.prune(connection, moment, retention.Retention(), most)
        condense.condense(connection, moment)
