"""The server's version gets no more fixes, or misses known ones.

## Why it matters
Minor releases fix data corruption and security holes; they need a restart and nothing else. A major version is maintained for five
years.

## How sure we are
B for the end of life, which PostgreSQL announces; for minor releases only those known when this tool was released.

## Not reported
The newest minor known to this tool, or a newer one; major versions that this tool does not know.

## Remedy
Install the packages and restart; for a major version pg_upgrade or logical replication.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown

NEEDS: tuple[str, ...] = ()
SCOPE = "cluster"

# major: (the day after which there are no more fixes, the newest minor release known to this tool)
# Source: https://www.postgresql.org/support/versioning/
_RELEASES = {
    10: (date(2022, 11, 10), 23),
    11: (date(2023, 11, 9), 22),
    12: (date(2024, 11, 21), 22),
    13: (date(2025, 11, 13), 23),
    14: (date(2026, 11, 12), 20),
    15: (date(2027, 11, 11), 15),
    16: (date(2028, 11, 9), 11),
    17: (date(2029, 11, 8), 7),
    18: (date(2030, 11, 14), 1),
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # A major upgrade takes months to plan.
    warn_before_end: timedelta = timedelta(days=180)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for an ending major version, and for missing minor releases."""
    server = snapshot.server
    if server.major not in _RELEASES:
        return
    end, newest = _RELEASES[server.major]
    today = snapshot.now.date()
    minor = server.version_num % 10_000
    evidence = {
        "version": server.version,
        "end_of_life": end.isoformat(),
        "newest_known_minor": newest,
    }
    if today > end - limits.warn_before_end:
        over = today > end
        yield Finding(
            object=Object("server", f"PostgreSQL {server.major}"),
            severity=Severity.WARNING if over else Severity.INFO,
            grade=Grade.B,
            title=f"PostgreSQL {server.major} {'gets' if over else 'will get'} no more fixes after {end:%d %B %Y}",
            detail="Plan the upgrade to a maintained major version.",
            evidence=evidence,
            impact=Impact(risk="holes and corruption bugs stay open"),
        )
    if minor < newest:
        yield Finding(
            object=Object("server", f"PostgreSQL {server.major}.{minor}"),
            severity=Severity.WARNING if newest - minor >= 3 else Severity.INFO,
            grade=Grade.B,
            title=f"PostgreSQL {server.major}.{minor} is {newest - minor} minor releases behind",
            detail=f"{server.major}.{newest} is the newest that this version of the tool knows; there may be newer ones.",
            evidence=evidence,
            impact=Impact(risk="fixed bugs and holes are still in this server"),
        )
