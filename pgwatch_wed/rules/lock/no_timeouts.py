"""Nothing ends a transaction that its client forgot.

## Why it matters
One forgotten transaction holds locks and VACUUM back until somebody notices.

## How sure we are
B that no timeout is set; whether one is wanted is the owner's choice, so it is for information.

## Not reported
Servers with idle_in_transaction_session_timeout (or transaction_timeout, 17 and later) set for all, or for every
role that logs in. A server-wide statement_timeout or lock_timeout is not asked for: they would hit backups
and migrations too.

## Remedy
ALTER SYSTEM SET idle_in_transaction_session_timeout; a role that needs longer gets its own value.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown

NEEDS = ("settings", "role_settings", "roles")
SCOPE = "cluster"

_TIMEOUTS = ("idle_in_transaction_session_timeout", "transaction_timeout")


@dataclass(frozen=True, slots=True)
class Limits:
    """No thresholds: a timeout is set, or it is not."""


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:  # noqa: ARG001 - none
    """Yield one finding where nothing would end a forgotten transaction."""
    if any((snapshot.setting_number(name) or 0) > 0 for name in _TIMEOUTS):
        return
    guarded = {s.role for s in snapshot.role_settings if s.name in _TIMEOUTS and s.value != "0"}
    open_roles = [r.name for r in snapshot.roles if r.name not in guarded and not r.is_superuser]
    if guarded and not open_roles:
        return
    yield Finding(
        object=Object("setting", "idle_in_transaction_session_timeout"),
        severity=Severity.INFO,
        grade=Grade.B,
        title="Nothing ends a forgotten transaction",
        detail="idle_in_transaction_session_timeout is 0: a client that stops in the middle holds its locks "
        "for as long as it stays connected.",
        evidence={
            "idle_in_transaction_session_timeout_ms": 0,
            "roles_without": open_roles[:20],
            "statement_timeout_ms": snapshot.setting_number("statement_timeout"),
            "lock_timeout_ms": snapshot.setting_number("lock_timeout"),
        },
        impact=Impact(risk="one forgotten client can stop the application"),
        remedy=(
            Remedy(
                sql="ALTER SYSTEM SET idle_in_transaction_session_timeout = '15min';\nSELECT pg_reload_conf();",
                lock="none; new transactions of every role are concerned",
                in_transaction=False,
                undo="ALTER SYSTEM RESET idle_in_transaction_session_timeout;",
            ),
        ),
        caveats=("Batch jobs that think for long between statements need a value of their own.",),
    )
