"""Clusters on which a statement takes too little of the time to be judged: where it is as fast as before, they are controls.

A statement that became slower may have been too small to be judged before, and still be on all the others. Without them, nothing
could be told of it.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median

import sqlalchemy as sa

from pgwatch_wed.history import series
from pgwatch_wed.history.schema import databases
from pgwatch_wed.history.work_rows import StatementInterval
from pgwatch_wed.sqltext.statement_link import statement_key

_PAST = timedelta(days=7)
_LEAST_CALLS = 30
_LEAST_RATIO = 1.25
"""As for one cluster: what became slower by less is not called slower."""

_Known = tuple[str, int]
"""A database, and the statement in it."""


@dataclass(slots=True)
class QuietControls:
    """The statements of some keys, wherever they are: the texts of each cluster are looked at once for all of them."""

    connection: sa.Connection
    keys: frozenset[str]
    _found: dict[int, dict[str, list[_Known]]] = field(default_factory=dict)

    def where_unchanged(
        self, cluster_id: int, key: str, since: datetime, until: datetime
    ) -> str | None:
        """Return the database in which a statement takes no longer since a time than in the week before; None if that is not known."""
        if cluster_id not in self._found:
            self._found[cluster_id] = self._known(cluster_id)
        ratios = {
            database: ratio
            for database, statement_id in self._found[cluster_id].get(key, ())
            for rows in [series.of_statement(self.connection, statement_id, since - _PAST, until)]
            if (ratio := _ratio(rows, since)) is not None
        }
        if any(ratio >= _LEAST_RATIO for ratio in ratios.values()):
            return None
        return next(iter(ratios), None)

    def _known(self, cluster_id: int) -> dict[str, list[_Known]]:
        mine = databases.c.cluster_id == cluster_id
        query = sa.select(databases.c.id, databases.c.name).where(mine).order_by(databases.c.name)
        found: dict[str, list[_Known]] = defaultdict(list)
        for row in self.connection.execute(query).all():
            for own in series.known_statements(self.connection, row.id):
                for key in self.keys.intersection(_keys(own.text)) if own.text is not None else ():
                    found[key].append((str(row.name), own.id))
        return found


def _keys(text: str) -> tuple[str, ...]:
    return tuple(statement_key("", text, is_toplevel=is_top) for is_top in (True, False))


def _ratio(rows: Sequence[StatementInterval], since: datetime) -> float | None:
    """Return how long a call takes, after / before; None without enough calls on both sides."""
    sides = (
        [r for r in rows if r.ended_at <= since and r.calls],
        [r for r in rows if r.began_at >= since and r.calls],
    )
    if any(sum(r.calls for r in side) < _LEAST_CALLS for side in sides):
        return None
    before, after = (median(r.exec_ms / r.calls for r in side) for side in sides)
    return after / before if before > 0 else None
