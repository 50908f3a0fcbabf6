"""The role may not see everything that the rules need.

## Why it matters
What a role may not see looks as if it did not exist: a tool that does not say so calls a sick database healthy.

## How sure we are
B: the server denied access, or shows a placeholder. Which privilege is missing is asked of the server.

## Not reported
What the provider of a managed service does not allow: no GRANT would help, so it is unknown, with this reason. It is info, not a
warning, if only something is hidden that monitoring roles do not normally see: errors in the configuration files, statistics of
some of the tables.

## Remedy
The smallest GRANT that is sufficient, never one of something that the role already has; so the undo takes away only what was granted.

Statistics on columns are granted as columns of pg_statistic, without those that contain values. On a managed service, only
pg_read_all_data shows them, and it allows far more: reading every row of every table. Without it, index advice is not available.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pgwatch_wed.facts import Cause, Missing, Server, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.postgres import privileges
from pgwatch_wed.postgres.visibility import activity_hidden

NEEDS: tuple[str, ...] = ()

# What a role may lack that sees all that monitoring roles normally see.
_EXTRAS = frozenset({"file_settings", "column_statistics:left-out", "subscriptions"})


@dataclass(frozen=True, slots=True)
class Limits:
    """No thresholds: a fact can either be read or not."""


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:  # noqa: ARG001 - none
    """Yield one finding that lists what is hidden, and what no GRANT would show."""
    hidden = {n: m for n, m in snapshot.missing.items() if m.cause is Cause.DENIED}
    activity = activity_hidden(snapshot)
    if activity is not None:
        hidden["activity"] = activity
    for name, missing in snapshot.missing.items():
        if missing.cause is Cause.CLOSED:
            yield Unknown(f"{_words(name)}: {missing.reason}")
    if hidden:
        yield _finding(snapshot.server, hidden)


def _finding(server: Server, hidden: Mapping[str, Missing]) -> Finding:
    grants = dict.fromkeys(line for m in hidden.values() for line in m.mend.splitlines())
    names = sorted({_words(n) for n in hidden})
    sql = "\n".join(grants)
    return Finding(
        object=Object("role", server.role),
        severity=Severity.INFO if hidden.keys() <= _EXTRAS else Severity.WARNING,
        grade=Grade.B,
        title=f"Role {server.role} cannot see {', '.join(names)}",
        detail="Rules that need them say unknown.",
        evidence={name: m.reason for name, m in hidden.items()},
        impact=Impact(risk="problems in what is hidden are not found"),
        remedy=(Remedy(sql=sql, lock="none", undo=privileges.undo(server, sql)),) if sql else (),
        caveats=privileges.warnings(sql),
    )


def _words(fact: str) -> str:
    return "some column statistics" if fact == _SOME_STATISTICS else fact.replace("_", " ")


_SOME_STATISTICS = "column_statistics:left-out"
