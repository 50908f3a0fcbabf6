"""Which indexes a session of the lab sees: all that the target has but the hidden ones, and the candidates that are shown."""

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from threading import RLock
from typing import Any

import psycopg

from pgwatch_wed.whatif.lab import guest, planning_time
from pgwatch_wed.whatif.lab.lab_indexes import BuiltIndex, LabIndexes
from pgwatch_wed.whatif.lab.lab_sessions import PlanningSession


class ShownIndexes:
    """Shows and hides indexes in transactions that are rolled back.

    ``lock`` is for whoever hides an existing index a second time in one.
    """

    def __init__(self, indexes: LabIndexes) -> None:
        self._indexes = indexes
        self.lock = RLock()

    def alone(self, hidden: Collection[int], *, again: bool) -> AbstractContextManager[object]:
        """Let no other session hide existing indexes meanwhile if that may be needed ``again`` in the transaction.

        Whoever holds the entry of one would wait for the lock, and who has the lock for the entry, which no server sees.
        """
        return self.lock if hidden and again else nullcontext()

    def show(
        self,
        session: PlanningSession,
        shown: Sequence[BuiltIndex],
        hidden: Sequence[int],
        seconds: float | None,
    ) -> None:
        """Show and hide indexes in a transaction, in which nothing afterwards may take longer than ``seconds``.

        That is one request: on a busy machine, each waits for a processor twice.
        """
        limit = planning_time.limit(seconds)
        tables = {t for b in shown for t in b.tables}
        tables |= {self._indexes.catalog.indexes[oid].table_oid for oid in hidden}
        if not tables:
            session.connection.execute(planning_time.SET, [limit])
            return
        oids = [oid for b in shown for oid in b.oids[session.slot]]
        session.connection.execute(
            guest.call(f"{planning_time.SET}, {{lab}}.show(%s::oid[], %s::oid[], %s::oid[])"),
            [limit, oids, self._with_parts(hidden), sorted(tables)],
        )

    def _with_parts(self, oids: Sequence[int]) -> list[int]:
        indexes = self._indexes.catalog.indexes
        wanted, found = set(oids), list(oids)
        for index in indexes.values():
            above = index.parent
            while above is not None and above not in wanted:
                above = indexes[above].parent if above in indexes else None
            if above is not None and index.oid not in wanted:
                found.append(index.oid)
        return found


def hide(connection: psycopg.Connection[Any], index: int, table: int) -> None:
    """Hide one more index."""
    call = guest.call("select {lab}.show('{{}}', %s::oid[], %s::oid[])")
    connection.execute(call, [[index], [table]])
