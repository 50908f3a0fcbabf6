"""How full the largest relations really are, by pgstattuple, which reads all of them."""

import time
from typing import Any

import psycopg
from psycopg import errors, sql

from pgwatch_wed.errors import said
from pgwatch_wed.facts import Cause, ExactBloat, Missing, Snapshot
from pgwatch_wed.quote import ident
from pgwatch_wed.target.capabilities import Capabilities
from pgwatch_wed.target.door import Door, Guards, opened
from pgwatch_wed.target.queries import composed

EXTENSION = "pgstattuple"
_MOST_SECONDS = 30.0  # per relation


def measure(
    conninfo: str, snapshot: Snapshot, most: int, seconds: float
) -> tuple[ExactBloat, ...] | Missing:
    """Measure the largest tables and B-tree indexes until the time is up; locked ones are left out.

    Raises :class:`pgwatch_wed.errors.ConnectError`.
    """
    capabilities = Capabilities.of(snapshot.server, snapshot.extensions)
    if EXTENSION not in capabilities.extension_versions:
        return Missing(
            f"extension {EXTENSION} is not installed in this database",
            f"CREATE EXTENSION {EXTENSION};",
            Cause.NOT_OFFERED,
        )
    schema = sql.Identifier(capabilities.extension_schemas[EXTENSION])
    deadline = time.monotonic() + seconds
    found: list[ExactBloat] = []
    refusal: psycopg.Error | None = None
    with opened(conninfo) as door:
        for kind, oid in _largest(snapshot, most):
            left = min(deadline - time.monotonic(), _MOST_SECONDS)
            if left < 0.1:
                break
            is_table = kind == "table"
            query = composed(
                "target", "exact_bloat_table" if is_table else "exact_bloat_index", schema=schema
            )
            try:
                row = _ask(door, query, oid, left)
            except (errors.LockNotAvailable, errors.QueryCanceled) as error:
                refusal = error
                continue  # it is locked or too large; the others may not be
            except psycopg.OperationalError:
                raise
            except psycopg.Error as error:
                refusal = error
                continue
            found.append(ExactBloat(oid, kind, *_numbers(row)))
    if not found and refusal:
        return _why(refusal, snapshot.server.role)
    return tuple(found)


def _why(error: psycopg.Error, role: str) -> Missing:
    text = said(error)
    reason = f"{EXTENSION} could not measure anything: {text}"
    if isinstance(error, errors.InsufficientPrivilege):
        return Missing(reason, f"GRANT pg_stat_scan_tables TO {ident(role)};", Cause.DENIED, text)
    return Missing(
        reason, "run again with a larger --budget, or during off-peak hours", Cause.FAILED, text
    )


def _largest(snapshot: Snapshot, most: int) -> list[tuple[str, int]]:
    """Return the largest relations that pgstattuple can measure, both tables and B-tree indexes."""
    sized = [(t.pages, "table", t.oid) for t in snapshot.tables if t.kind in ("r", "m")]
    sized += [
        (i.pages, "index", i.oid)
        for i in snapshot.indexes
        if i.kind == "i" and i.access_method == "btree" and i.is_valid
    ]
    sized.sort(key=lambda r: (-r[0], r[2]))
    return [(kind, oid) for pages, kind, oid in sized[:most] if pages > 0]


def _ask(door: Door, query: sql.Composed, oid: int, seconds: float) -> tuple[Any, ...] | None:
    """Run a query in its own transaction, so that no snapshot is held from one relation to the next."""
    guards = Guards(statement_ms=max(int(seconds * 1000), 1))
    with door.asking("exact_bloat", guards) as connection:
        return connection.execute(query, {"oid": oid}).fetchone()


def _numbers(row: tuple[Any, ...] | None) -> tuple[int, int, int, float | None]:
    assert row is not None, "exactly one row"
    total, dead, free, density = row
    # an empty index has no leaf density
    known = density is not None and density == density
    return int(total), int(dead), int(free), float(density) if known else None
