"""Connections to the lab's database: of the superuser, of the owner of what comes from the target, and of those who plan."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import psycopg

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.whatif import planner
from pgwatch_wed.whatif.lab import guest, role_settings
from pgwatch_wed.whatif.lab.lab_sessions import LabSessions, PlanningSession

DATABASE = "lab"


class LabConnections:
    """Opens connections to the lab's database.

    ``settings`` are the target's settings of the planner, ``of_roles`` those of its roles. ``jobs`` sessions plan at once.
    """

    def __init__(
        self, server: embedded.EmbeddedServer, settings: Mapping[str, str], jobs: int
    ) -> None:
        self._server = server
        self._settings = settings
        self.of_roles = role_settings.PlannerSettings()
        self.sessions = LabSessions(jobs, self._connect)

    def admin(self) -> AbstractContextManager[psycopg.Connection[Any]]:
        """Connect as the superuser, who runs no code from the target."""
        return psycopg.connect(
            self._server.dsn(DATABASE), autocommit=True, options="-c search_path=pg_catalog"
        )

    def guest(self) -> AbstractContextManager[psycopg.Connection[Any]]:
        """Connect as the owner of what comes from the target; see :meth:`searching` for its names."""
        return psycopg.connect(
            self._server.dsn(DATABASE, guest.ROLE),
            autocommit=True,
            options="-c search_path=pg_catalog",
        )

    @contextmanager
    def searching(self, connection: psycopg.Connection[Any]) -> Iterator[None]:
        """Look up names in the target's texts as the target does."""
        query = "select pg_catalog.set_config('search_path', %s, false)"
        connection.execute(query, [self._settings.get("search_path", "public")])
        try:
            yield
        finally:
            connection.execute(query, ["pg_catalog"])

    def planning(self, user: str | None = None) -> AbstractContextManager[PlanningSession]:
        """Return a session with the settings of a role, in which names are looked up as on the target."""
        return self.sessions.one(self.of_roles.of(user))

    def _connect(self, slot: int, own: Mapping[str, str]) -> psycopg.Connection[Any]:
        session = psycopg.connect(
            self._server.dsn(DATABASE, guest.ROLE),
            prepare_threshold=None,
            options=f"-c pgwatch_wed.slot={slot}",
        )
        try:
            planner.apply(session, {**self._settings, **own})
            planner.without_newer_paths(session, self._settings)
            session.commit()
        except psycopg.Error:
            session.close()
            raise
        return session
