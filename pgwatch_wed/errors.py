"""The errors that a user may see: one line on what happened, one on what to do."""

import re

_MESSAGE_PRIMARY = ord("M")  # as in the protocol
_SECRET = re.compile(
    r"((?:passw(?:or)?d|\bpass|\bpwd|client_secret|scram_(?:client|server)_key)\s*=\s*)"
    r"('(?:[^'\\]|\\.)*'|(?:\\.|\S)+)",
    re.IGNORECASE,
)
# Up to the last @: a password may contain one that should have been escaped. A URI that was taken for a
# path has one slash.
_URI_SECRET = re.compile(r"(:/{1,2}[^:@/\s]*):[^\n]*@")


class Error(Exception):
    """A failure with a message and a hint; the CLI prints both and no traceback.

    ``exit_status`` follows the contract: 2 usage, 3 could not connect or read.
    """

    exit_status = 3

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = " ".join(message.split())
        self.hint = " ".join(hint.split())

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(Error):
    """The user's input is not valid: an option, a file, a configuration key."""

    exit_status = 2


class ConnectError(Error):
    """The target cannot be reached or refuses the connection.

    ``has_sent_password``: it was asked for a password and got one; whoever tries again may lock the account.
    """

    def __init__(self, message: str, hint: str = "", *, has_sent_password: bool = False) -> None:
        super().__init__(message, hint)
        self.has_sent_password = has_sent_password


class CollectError(Error):
    """Connected, but what is needed cannot be read."""


class SnapshotError(Error):
    """A snapshot file cannot be read: truncated, foreign, or from a newer version."""


class DeltaError(Error):
    """Two snapshots cannot be compared: of different servers or databases, or in the wrong order."""

    exit_status = 2


class HistoryError(Error):
    """The history of runs cannot be read or written."""


class HistoryPlaceError(HistoryError):
    """The file or server of the history does not do what it should, whatever the part that was asked for."""


class RuleError(Error):
    """A module in the rules' folder is not a valid rule."""


class InstallError(Error):
    """The monitoring objects cannot be installed or removed safely."""


class EmbeddedError(Error):
    """The embedded server cannot be started."""


def said(error: BaseException) -> str:
    """Return an error's message on one line, without secrets; for a server's error, the primary message."""
    result = getattr(error, "pgresult", None)
    # Not from ``diag``: sessions without conversion take what is not ASCII for damaged.
    raw = result.error_field(_MESSAGE_PRIMARY) if result else None
    return redact(" ".join((decoded(raw) if raw else str(error)).split()))


def decoded(raw: bytes) -> str:
    """Return a server's message; nearly all that are not UTF-8 are in a form of Latin 1."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def redact(text: str) -> str:
    """Remove passwords from a message or conninfo."""
    return _URI_SECRET.sub(r"\1:***@", _SECRET.sub(r"\1***", text))
