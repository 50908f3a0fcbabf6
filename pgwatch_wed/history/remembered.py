"""What every run does with the history, whoever makes it: store what was read, then what was concluded, then tidy up."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from pgwatch_wed import clock
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Report
from pgwatch_wed.history import condense, months, retention, runs, states, turns
from pgwatch_wed.history.pairing import is_redacted
from pgwatch_wed.history.schema import chores
from pgwatch_wed.history.schema import runs as runs_table
from pgwatch_wed.history.store import Store
from pgwatch_wed.history.turns import Turn

_PRUNED_BY_A_RUN = 20
_AT_ONCE = 50
_LOOKED_AT = 200
"""So many clusters one run looks at, at most, unless it may remove more runs than that."""

_COUNTED = 500
"""So many runs are looked at to tell how many were added."""

_APART = timedelta(minutes=10)
_CONDENSED_AGAIN = 4
_AHEAD = timedelta(days=3)
"""So long before a month begins, its partitions are created: then nobody has to when it does."""


def remember(
    connection: sa.Connection, read: Sequence[Snapshot], earlier: Sequence[int] = ()
) -> runs.StoredRun | None:
    """Store what was read, before anything is concluded from it.

    ``earlier`` are the clusters that were read under the same name, the last one first. What was read for a few rules is
    not kept: it would look as if everything else had been dropped.
    """
    if any(snapshot.is_partial for snapshot in read):
        return None
    run, _ = runs.add(connection, runs.NewRun(read, earlier=earlier))
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
    """Remove runs that are due, at most so many, or twice as many as were added since, and add up series of long ago.

    Of many runs that end at the same time, one does it: it does nothing if that was begun ten minutes ago or less. Of
    thousands of clusters, it looks at a part.
    """
    moment = clock.now()
    with store.writing() as connection:
        added = _added_since_last(connection, moment)
        if added is None:
            return
        days = condense.condense(connection, moment)
    for _ in range(_CONDENSED_AGAIN):
        if days < condense.MOST_DAYS:
            break
        with store.writing() as connection:
            days = condense.condense(connection, moment)
    policy = retention.Retention()
    most = max(
        most, 2 * added
    )  # else a history grows for ever into which many clusters are read one by one
    with store.writing() as connection:
        retention.prune_common(connection, moment, policy)
        months.ensure_all(connection, moment + _AHEAD)
        shares = list(retention.shares(connection, max(_LOOKED_AT, most)))
    for share in shares:
        while most > 0:
            with store.writing() as connection:
                batch = min(most, _AT_ONCE)
                done = retention.prune(connection, moment, policy, batch, share)
            most -= done.runs
            if not done.left or not done.runs:
                break


def _added_since_last(connection: sa.Connection, moment: datetime) -> int | None:
    """Return how many of the last runs are newer than the last clean-up, if one is due: it begins."""
    if not turns.is_free(connection, Turn.CLEANUP):
        return None
    mine = chores.c.name == "tidy"
    last = connection.execute(sa.select(chores.c.begun_at).where(mine)).scalar()
    # clocks differ a little; one that was far ahead must not hold up everybody
    if last is not None and abs(moment - last) <= _APART:
        return None
    if connection.execute(chores.update().where(mine).values(begun_at=moment)).rowcount == 0:
        connection.execute(chores.insert().values(name="tidy", begun_at=moment))
    if last is None:
        return 0
    newest = sa.select(runs_table.c.taken_at).order_by(runs_table.c.id.desc()).limit(_COUNTED)
    taken = newest.subquery().c.taken_at
    counted = sa.select(sa.func.count()).where(taken > last)
    return int(connection.execute(counted).scalar_one())
