"""A deadline that the server itself keeps, for sessions whose timeouts are not ours to set.

pg_dump sets every timeout of its session to zero. A client that is stopped (Ctrl-Z), suspended with
its machine or whose parent was killed would keep its locks for as long as that lasts.
"""

import math
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any

import psycopg
from psycopg import sql

from pgwatch_wed.target import wire

# The client's own deadline comes first: the server's is for a client that is not there any more.
GRACE_S = 3
_CONNECTING_S = 5
_PATIENCE_S = 5.0
_THEIRS = "pg_catalog.pg_stat_activity where application_name = {name} and usename = session_user"
# An error that is caught is not in the server's log: being cancelled is how this ends as a rule.
# With the sessions gone nobody needs it, though we may be cut off and cannot say so.
_WAIT = f"""do $pgwatch_wed$ /* pgwatch_wed:deadline */
declare
    seen boolean := false;
begin
    for second in 1 .. {{seconds}} loop
        perform pg_catalog.pg_sleep(1);
        perform pg_catalog.pg_stat_clear_snapshot();
        if exists (select from {_THEIRS}) then
            seen := true;
        elsif seen or second >= {_CONNECTING_S} then
            return;
        end if;
    end loop;
    perform pg_catalog.pg_terminate_backend(pid) from {_THEIRS};
exception when query_canceled then
    null;
end
$pgwatch_wed$"""  # noqa: S608 - of our own words alone
_END = f"""select /* pgwatch_wed:deadline */ pg_catalog.pg_stat_clear_snapshot();
select /* pgwatch_wed:deadline */ pg_catalog.pg_terminate_backend(pid) from {_THEIRS}"""  # noqa: S608


class Deadline:
    """Ends other sessions of our role after a time, even if this process can do nothing any more.

    ``connection`` stays busy for the length of the ``with`` block. It has to be in a transaction
    whose statement timeout is longer than the time and :data:`GRACE_S`.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], application_name: str, seconds: float
    ) -> None:
        self._connection = connection
        self._wait = sql.SQL(_WAIT).format(
            name=application_name, seconds=math.ceil(seconds) + GRACE_S
        )
        self._end = sql.SQL(_END).format(name=application_name)
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> "Deadline":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._stop()

    def end_now(self) -> None:
        """End the sessions at once: their client was killed, and a backend may not notice for long."""
        self._stop()
        with suppress(psycopg.Error), wire.watched(self._connection, _PATIENCE_S):
            self._connection.execute(self._end)

    def _keep(self) -> None:
        with suppress(psycopg.Error):
            self._connection.execute(self._wait)

    def _stop(self) -> None:
        with wire.watched(self._connection, _PATIENCE_S):
            while self._thread.is_alive():
                with suppress(psycopg.Error):
                    self._connection.cancel_safe(timeout=2)
                self._thread.join(0.2)
