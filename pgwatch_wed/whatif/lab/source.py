"""TARGET → a lab that imitates it."""

import contextlib
import os
from collections.abc import Collection, Mapping
from typing import Any

import psycopg

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.errors import CollectError
from pgwatch_wed.facts.features import Features
from pgwatch_wed.target import door
from pgwatch_wed.target.queries import composed
from pgwatch_wed.whatif import planner
from pgwatch_wed.whatif.lab import collations, dump, extended, role_settings, security, surroundings
from pgwatch_wed.whatif.lab.lab import LAB_SETTINGS, Lab

# With many tables in FROM, the genetic optimizer is random; and our own plans are not load.
_OURS = {"geqo": "off", "statement_timeout": "60s"}


def open_lab(
    conninfo: str,
    seconds: float = 120,
    users: Collection[str] = (),
    jobs: int | None = None,
) -> Lab:
    """Build a lab for a target; close it, or use it in a ``with`` block.

    ``users`` are the roles whose statements will be planned; ``jobs`` how many may be planned at once, by default as
    many as there are processors but one.
    """
    with door.asking(conninfo, "lab") as connection:
        check_major(connection.info.server_version // 10_000)
        settings = planner.read(connection)
        locale = planner.collation(connection)
        used = collations.read(connection)
        extensions = _extensions(connection)
        statistics = extended.read(connection)
        rights = security.read(connection, users)
        parts = surroundings.inventory(connection)
        of_roles = role_settings.read(connection, settings, users)
        features = Features.of(connection.info.server_version)
        tablespaces = surroundings.tablespaces(connection)
        toasted = surroundings.toasted(connection)
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(
            _start(settings, locale, default_jobs() if jobs is None else jobs)
        )
        lab.imitate(of_roles, features)
        lab.add_extensions(extensions)
        lab.add_collations(used)
        lab.add_roles(rights)
        with dump.dumped(conninfo, seconds=seconds) as file:
            lab.notes += lab.load(file)
        lab.secure()
        lab.place(tablespaces)
        lab.compare(parts)
        lab.carry(statistics)
        lab.prepare(toasted)
        stack.pop_all()
    return lab


def _extensions(connection: psycopg.Connection[Any]) -> list[tuple[str, str]]:
    """Return extensions with their schemas, except for names in a SQL_ASCII database that are not valid text."""
    found = []
    for row in connection.execute(composed("whatif", "extensions")):
        texts = [x.decode(errors="replace") if isinstance(x, bytes) else x for x in row]
        if not any("\ufffd" in text for text in texts):
            found.append((texts[0], texts[1]))
    return found


def check_major(target: int) -> None:
    """Raise :class:`CollectError` if the lab is older than a target's major version."""
    ours = dump.major()
    if target > ours:
        raise CollectError(
            f"the lab is PostgreSQL {ours} and cannot imitate PostgreSQL {target}",
            "use --engine hypopg, which requires the extension HypoPG on the target",
        )


def default_jobs() -> int:
    """Return how many processors this process may use, but one, and at least one."""
    known = getattr(os, "sched_getaffinity", None)  # not on macOS
    number = (os.cpu_count() or 1) if known is None else len(known(0))
    return max(1, number - 1)


def _start(settings: Mapping[str, str], locale: str, jobs: int) -> Lab:
    server = embedded.start(LAB_SETTINGS, initdb=("--no-data-checksums",))
    lab = Lab(server, {**settings, **_OURS}, jobs)
    lab.create(locale)
    return lab
