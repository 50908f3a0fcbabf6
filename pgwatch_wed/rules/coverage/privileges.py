"""The role may not see everything that the rules need.

## Why it matters
What a role may not see looks as if it did not exist: a tool that does not say so calls a sick database healthy.

## How sure we are
B: the server denied access, or shows a placeholder.

## Not reported
Facts that require more than monitoring privileges and are used by only some rules, if they are available.

## Remedy
The smallest GRANT that is sufficient.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.facts import Cause, Missing, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.postgres import waits as locks
from pgwatch_wed.quote import ident

NEEDS: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """No thresholds: a fact can either be read or not."""


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:  # noqa: ARG001 - none
    """Yield one finding that lists what is hidden."""
    role = snapshot.server.role
    hidden = {n: m for n, m in snapshot.missing.items() if m.cause is Cause.DENIED}
    sessions = sum(locks.is_hidden(s) and s.database is not None for s in snapshot.sessions)
    info = snapshot.statements_info[0] if snapshot.statements_info else None
    if sessions or (info and info.hidden_entries):
        parts = [f"the activity of {units.count(sessions, 'session')}"] if sessions else []
        if info and info.hidden_entries:
            parts.append(f"the text of {units.count(info.hidden_entries, 'statement')}")
        grant = f"GRANT pg_read_all_stats TO {ident(role)};"
        are = "is" if len(parts) == 1 else "are"
        hidden["activity"] = Missing(f"{' and '.join(parts)} {are} hidden", grant, Cause.DENIED)
    if hidden:
        yield _finding(role, hidden)


def _finding(role: str, hidden: dict[str, Missing]) -> Finding:
    grants = list(dict.fromkeys(m.mend for m in hidden.values()))
    undo = [g.replace("GRANT ", "REVOKE ", 1).replace(" TO ", " FROM ", 1) for g in grants]
    names = sorted(n.replace("_", " ") for n in hidden)
    return Finding(
        object=Object("role", role),
        severity=Severity.WARNING,
        grade=Grade.B,
        title=f"Role {role} cannot see {', '.join(names)}",
        detail="Rules that need them say unknown.",
        evidence={name: m.reason for name, m in hidden.items()},
        impact=Impact(risk="problems in what is hidden are not found"),
        remedy=(Remedy(sql="\n".join(grants), lock="none", undo="\n".join(undo)),),
    )
