"""Why a cluster could not be visited: how the visit ends, and whether another attempt may help.

The server's messages are in its own language. If none is known, the connection is tried once more for the SQLSTATE, but
never after a password was sent: attempts with a wrong one lock accounts.
"""

import re
from dataclasses import dataclass

from pgwatch_wed.errors import CollectError, ConnectError, Error, UsageError, said
from pgwatch_wed.fleet.visits import VisitEnding
from pgwatch_wed.target import refusal
from pgwatch_wed.target.refusal import Refusal, Stage

_ASKED_S = 5.0


@dataclass(frozen=True, slots=True)
class Failure:
    """How a visit ended, why, what mends it, and whether that may pass by itself.

    ``refused_password`` tells whether a password was sent and refused; None if the server did not come to that.
    ``was_tried`` is false if nobody was asked.
    """

    ending: VisitEnding
    reason: str
    mend: str = ""
    is_temporary: bool = False
    refused_password: bool | None = None
    was_tried: bool = True

    @property
    def is_silence(self) -> bool:
        """Tell whether nobody answered, so that an attempt takes as long as it may."""
        return self.is_temporary and re.search(SILENCE, self.reason, re.IGNORECASE) is not None


SILENCE = r"timeout expired|timed out|was not resolved"
"""A part of the reason if nobody answered, whatever its case: a pattern for Python and PostgreSQL."""

# The first that matches counts: of several hosts, the message has the failures of all.
_KNOWN: tuple[tuple[str, VisitEnding, bool], ...] = (
    (
        (
            r"authentication failed|no password supplied|pg_hba\.conf|not permitted to log in|role \".*\" does not exist"
            r"|requires? a password|password is (?:empty|expired)|SASL|SCRAM"
        ),
        VisitEnding.REFUSED,
        False,
    ),
    (
        r"too many (?:clients|connections)|remaining connection slots|no more connections allowed|max_client_conn",
        VisitEnding.REFUSED,
        True,
    ),
    (r"SSL connection has been closed|SSL SYSCALL", VisitEnding.UNREACHABLE, True),
    (
        r"certificate|\bSSL\b|\bTLS\b|tlsv\d|GSSAPI|definition of service|service file|invalid (?:connection|port|sslmode)",
        VisitEnding.REFUSED,
        False,
    ),
    (
        (
            r"database \".*\" does not exist|permission denied for database|not currently accepting connections"
            r"|no such database"
        ),
        VisitEnding.REFUSED,
        False,
    ),
    (
        (
            r"starting up|shutting down|in recovery mode|not yet accepting connections|terminating connection"
            r"|not accepting connections|try again later|conflict with recovery"
        ),
        VisitEnding.UNREACHABLE,
        True,
    ),
    (
        (
            r"timeout expired|timed out|refused|reset by peer|closed the connection|No route to host|is unreachable"
            r"|could not translate host|failed to resolve|was not resolved|No such file or directory|EOF detected"
            r"|connection was lost|could not receive|could not send|Broken pipe"
        ),
        VisitEnding.UNREACHABLE,
        True,
    ),
)
# Classes and codes of the server's errors that pass by themselves.
_PASSING = ("08", "53", "57P", "25006")
_LETS_NOBODY_IN = ("57P", "08")


def of(error: Error, target: str) -> Failure:
    """Return what an error means that the connection to a target raised."""
    for pattern, ending, is_temporary in _KNOWN:
        if re.search(pattern, error.message, re.IGNORECASE):
            told = _refused_password(error)
            return Failure(ending, error.message, error.hint, is_temporary, told)
    if isinstance(error, ConnectError) and not error.has_sent_password:
        return _asked_again(error, target)
    is_temporary = isinstance(error, CollectError) and "pooler" not in error.hint
    told = True if isinstance(error, ConnectError) else None
    return Failure(VisitEnding.REFUSED, error.message, error.hint, is_temporary, told)


# What a server says once it has accepted a password.
_LET_IN = r"database \".*\"|permission denied for database|not permitted to log in|too many connections for"
_REFUSED_WORDS = r"authentication failed|password is (?:empty|expired)|SASL|SCRAM"


def _refused_password(error: Error) -> bool | None:
    if not isinstance(error, ConnectError) or not error.has_sent_password:
        return None
    if re.search(_REFUSED_WORDS, error.message, re.IGNORECASE):
        return True
    return False if re.search(_LET_IN, error.message, re.IGNORECASE) else None


def is_of_password(reason: str) -> bool:
    """Tell whether a visit ended with this reason because a password was refused."""
    return re.search(_REFUSED_WORDS, reason, re.IGNORECASE) is not None


def passes(message: str) -> bool:
    """Tell whether what a server or libpq said may pass by itself, as far as its words are known."""
    for pattern, _, is_temporary in _KNOWN:
        if re.search(pattern, message, re.IGNORECASE):
            return is_temporary
    return False


def _asked_again(error: Error, target: str) -> Failure:
    try:
        told = refusal.why_refused(target, _ASKED_S)
    except (OSError, ValueError) as failed:
        return Failure(VisitEnding.UNREACHABLE, error.message, said(failed), is_temporary=True)
    return _made(error, told)


def _made(error: Error, told: Refusal) -> Failure:
    code = told.sqlstate
    if told.stage is Stage.TALKED and code:
        passes = code.startswith(_PASSING)
        ending = (
            VisitEnding.UNREACHABLE if code.startswith(_LETS_NOBODY_IN) else VisitEnding.REFUSED
        )
        return Failure(ending, error.message, error.hint, passes)
    if told.stage is Stage.TLS:
        return Failure(VisitEnding.REFUSED, error.message, error.hint)
    return Failure(VisitEnding.UNREACHABLE, error.message, error.hint, is_temporary=True)


def of_usage(error: UsageError) -> Failure:
    """Return what an invalid target means: another attempt would be the same."""
    return Failure(VisitEnding.REFUSED, error.message, error.hint)


def not_tried(user: str, source: str) -> Failure:
    """Return why a member is not asked whose password others have refused."""
    return Failure(
        VisitEnding.REFUSED,
        f"not tried: other servers refused the same password of {user}, and none accepted it; further attempts could lock the account",
        f"correct the password in {source}, and run again",
        was_tried=False,
    )


def unexpected(error: BaseException) -> Failure:
    """Return what a fault of ours means; it costs this cluster only."""
    name = type(error).__name__
    reason = f"the visit failed with an unexpected {name}: {said(error)}"
    return Failure(VisitEnding.REFUSED, reason, "please report this")
