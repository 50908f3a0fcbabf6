"""The server's version gets no more fixes, or misses known ones.

## Why it matters
Minor releases fix data corruption and security holes; they need a restart and nothing else. A major version is maintained for five
years.

## How sure we are
B for the end of life, which PostgreSQL announces; for minor releases only those known when this tool was released. Of a major version
that this tool does not know the verdict is unknown.

## Not reported
The newest minor known to this tool, or a newer one.

## Remedy
Install the packages and restart; for a major version pg_upgrade or logical replication.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from pgwatch_wed.facts import Server, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown

NEEDS: tuple[str, ...] = ()
SCOPE = "cluster"

# major: (the day of the last fixes, the newest minor release known to this tool)
# Source: https://www.postgresql.org/support/versioning/
_RELEASES = {
    10: (date(2022, 11, 10), 23),
    11: (date(2023, 11, 9), 22),
    12: (date(2024, 11, 21), 22),
    13: (date(2025, 11, 13), 23),
    14: (date(2026, 11, 12), 23),
    15: (date(2027, 11, 11), 18),
    16: (date(2028, 11, 9), 14),
    17: (date(2029, 11, 8), 11),
    18: (date(2030, 11, 14), 6),
    19: (date(2031, 11, 13), 0),
}
_MANY = 3  # nine months of fixes
_TRIAL = re.compile(r"\d+(devel|alpha|beta|rc)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # A major upgrade takes months to plan.
    warn_before_end: timedelta = timedelta(days=180)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for an ending major version, and for missing minor releases."""
    server = snapshot.server
    if _TRIAL.search(server.version):
        yield _trial(server)
    elif server.major not in _RELEASES:
        yield Unknown(
            f"this version of the tool does not know PostgreSQL {server.major}", "take a newer one"
        )
    else:
        end, newest = _RELEASES[server.major]
        today = snapshot.now.date()
        if today > end - limits.warn_before_end:
            yield _ending(server, end, newest, is_over=today > end)
        if server.version_num % 10_000 < newest:
            yield _behind(server, end, newest)


def _trial(server: Server) -> Finding:
    return Finding(
        object=Object("server", f"PostgreSQL {server.major}"),
        severity=Severity.INFO,
        grade=Grade.B,
        title=f"PostgreSQL {server.version} is a version for trials",
        detail="It gets no fixes of its own; a release may need its data dumped and restored.",
        evidence={"version": server.version},
        impact=Impact(risk="bugs and holes stay open"),
    )


def _ending(server: Server, end: date, newest: int, *, is_over: bool) -> Finding:
    return Finding(
        object=Object("server", f"PostgreSQL {server.major}"),
        severity=Severity.WARNING if is_over else Severity.INFO,
        grade=Grade.B,
        title=f"PostgreSQL {server.major} {'gets' if is_over else 'will get'} no more fixes after {end:%d %B %Y}",
        detail="Plan the upgrade to a maintained major version.",
        evidence=_evidence(server, end, newest),
        impact=Impact(risk="holes and corruption bugs stay open"),
    )


def _behind(server: Server, end: date, newest: int) -> Finding:
    minor = server.version_num % 10_000
    missed = newest - minor
    return Finding(
        object=Object("server", f"PostgreSQL {server.major}.{minor}"),
        severity=Severity.WARNING if missed >= _MANY else Severity.INFO,
        grade=Grade.B,
        title=f"PostgreSQL {server.major}.{minor} is {missed} minor release{'s' if missed > 1 else ''} behind",
        detail=f"{server.major}.{newest} is the newest that this version of the tool knows; there may be newer ones.",
        evidence=_evidence(server, end, newest),
        impact=Impact(risk="fixed bugs and holes are still in this server"),
    )


def _evidence(server: Server, end: date, newest: int) -> dict[str, Any]:
    return {
        "version": server.version,
        "end_of_life": end.isoformat(),
        "newest_known_minor": newest,
    }
