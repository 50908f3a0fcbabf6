"""What pg_wait_sampling counted during a block: waits of statements, a hundred times a second. Its profile is never reset."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from pgwatch_wed.errors import said
from pgwatch_wed.load.ground.server_answer import load_sql
from pgwatch_wed.load.sampling.active_samples import ProfiledWait, WaitName, WaitProfile

Counts = Mapping[ProfiledWait, int]


@dataclass(slots=True)
class WaitProfileReader:
    """Reads the profile before and after."""

    _schema: str = ""
    _before: Counts | None = None
    _missing: str = ""

    def begin(self, connection: psycopg.Connection[Any]) -> None:
        """Read it for the first time, if it is there; a second beginning is after a lost connection."""
        try:
            row = connection.execute(load_sql("wait_sampling").encode()).fetchone()
            schema, is_preloaded, has_queries = row or (None, False, False)
            if schema is None and not is_preloaded:
                return
            if schema is None:
                self._missing = (
                    "the extension was not created in the load's database, which a superuser can do"
                )
            elif not is_preloaded:
                self._missing = "it is not in shared_preload_libraries"
            elif not has_queries:
                self._missing = "pg_wait_sampling.profile_queries is off"
            elif self._before is not None:
                self._missing = "the connection was lost meanwhile"
            else:
                self._schema = schema
                self._before = self._read(connection)
        except psycopg.Error as error:
            self._missing = said(error)

    def end(self, connection: psycopg.Connection[Any]) -> WaitProfile | None:
        """Read it again, and return the difference; None where the extension is not."""
        if self._missing or self._before is None:
            return WaitProfile(missing=self._missing) if self._missing else None
        try:
            return difference(self._before, self._read(connection))
        except psycopg.Error as error:
            return WaitProfile(missing=said(error))

    def _read(self, connection: psycopg.Connection[Any]) -> Counts:
        query = load_sql("wait_profile").replace("@schema@", self._schema)
        return {
            ProfiledWait(query_id, WaitName(type_, event)): count
            for query_id, type_, event, count in connection.execute(query.encode())
        }


def difference(before: Counts, after: Counts) -> WaitProfile:
    """Return what was counted between two readings."""
    if any(after.get(key, 0) < count for key, count in before.items()):
        return WaitProfile(missing="its profile was reset meanwhile")
    grown = {key: count - before.get(key, 0) for key, count in after.items()}
    return WaitProfile({key: count for key, count in grown.items() if count})
