"""The server's version is out of support, or lacks known fixes.

## Why it matters
Minor releases fix data corruption and security vulnerabilities; they require a restart and nothing else. A major version is
supported for five years.

## How sure we are
B for the end of life, which PostgreSQL announces; for minor releases, only those known when this tool was released. For a major
version that this tool does not know, the verdict is unknown.

## Not reported
The newest minor release known to this tool, or a newer one.

## Remedy
Install the packages and restart; for a major version, use pg_upgrade or logical replication.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from pgwatch_wed import units
from pgwatch_wed.facts import Server, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown

NEEDS: tuple[str, ...] = ()
SCOPE = "cluster"

# major: (the date of the final release, the newest minor release known to this tool)
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

    # A major upgrade takes months of planning.
    warn_before_end: timedelta = timedelta(days=180)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for a major version near its end of life, and for missing minor releases."""
    server = snapshot.server
    if _TRIAL.search(server.version):
        yield _trial(server)
    elif server.major not in _RELEASES:
        yield Unknown(
            f"this version of the tool does not know PostgreSQL {server.major}", "use a newer one"
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
        title=f"PostgreSQL {server.version} is a pre-release version",
        detail="It gets no fixes; moving to a release may require a dump and restore.",
        evidence={"version": server.version},
        impact=Impact(risk="bugs and security vulnerabilities are not fixed"),
    )


def _ending(server: Server, end: date, newest: int, *, is_over: bool) -> Finding:
    return Finding(
        object=Object("server", f"PostgreSQL {server.major}"),
        severity=Severity.WARNING if is_over else Severity.INFO,
        grade=Grade.B,
        title=f"PostgreSQL {server.major} {'reached' if is_over else 'reaches'} its end of life on {end:%Y-%m-%d}",
        detail="It gets no more fixes after that. Plan the upgrade to a supported major version.",
        evidence=_evidence(server, end, newest),
        impact=Impact(risk="security vulnerabilities and corruption bugs are no longer fixed"),
    )


def _behind(server: Server, end: date, newest: int) -> Finding:
    minor = server.version_num % 10_000
    missed = newest - minor
    return Finding(
        object=Object("server", f"PostgreSQL {server.major}.{minor}"),
        severity=Severity.WARNING if missed >= _MANY else Severity.INFO,
        grade=Grade.B,
        title=f"PostgreSQL {server.major}.{minor} is {units.count(missed, 'minor release')} behind",
        detail=f"{server.major}.{newest} is the newest release that this version of the tool knows; there may be newer ones.",
        evidence=_evidence(server, end, newest),
        impact=Impact(risk="this server still has bugs and vulnerabilities that have been fixed"),
    )


def _evidence(server: Server, end: date, newest: int) -> dict[str, Any]:
    return {
        "version": server.version,
        "end_of_life": end.isoformat(),
        "newest_known_minor": newest,
    }
