"""What one attempt of a probe has seen, and how errors become one of the fixed reasons."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from pgwatch_wed.serve.state import Family, Health, Reason

# What the reasons mean where a probe has nothing better to say. No text of a peer or a library is passed on:
# it may contain addresses, names and secrets.
MEANINGS: Mapping[Reason, str] = {
    Reason.TIMEOUT: "no answer within the deadline",
    Reason.REFUSED: "the connection was refused",
    Reason.DNS: "the host name cannot be resolved",
    Reason.TLS: "no encrypted connection is possible",
    Reason.AUTH: "the peer answers, and refuses our credentials",
    Reason.PROTOCOL: "the peer answered something unexpected",
    Reason.CONDITION: "a condition is not met",
    Reason.LIMIT: "the peer answers, and has no room for another client",
}
_CERTIFICATE = {
    10: "the certificate has expired",
    9: "the certificate is not valid yet",
    18: "the certificate is self-signed",
    19: "the certificate's authority is not trusted",
    20: "the certificate's authority is not trusted",
    21: "the certificate's authority is not trusted",
    62: "the certificate is for another host",
    64: "the certificate is for another host",
}


@dataclass(frozen=True, slots=True)
class Observation:
    """The result of an attempt. ``families`` are metrics that have labels of their own."""

    status: Health = Health.PASS
    reason: Reason | None = None
    detail: str = ""
    readings: Mapping[str, float] = field(default_factory=dict)
    families: tuple[Family, ...] = ()

    def warned(self, detail: str) -> "Observation":
        """Return it with a warning that a condition is not met; a worse one stays."""
        return self if self.reason else self._judged(Health.WARN, detail)

    def failed(self, detail: str) -> "Observation":
        """Return it as a failure of a condition."""
        return self if self.status is Health.FAIL else self._judged(Health.FAIL, detail)

    def _judged(self, status: Health, detail: str) -> "Observation":
        return replace(self, status=status, reason=Reason.CONDITION, detail=detail)


class ProbeFailure(Exception):  # noqa: N818 - not an error of the program
    """An attempt failed, for one of the reasons."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(detail or MEANINGS[reason])
        self.reason = reason
        self.detail = detail or MEANINGS[reason]


@dataclass(frozen=True, slots=True)
class Limit:
    """The time that is left for an attempt. Libraries get what is left; the runner enforces it."""

    until: float
    monotonic: Callable[[], float] = time.monotonic

    def left(self, least: float = 0.05) -> float:
        """Return the seconds that are left, as a timeout; raise ProbeFailure if there are none."""
        left = self.until - self.monotonic()
        if left <= 0:
            raise ProbeFailure(Reason.TIMEOUT)
        return max(left, least)


@contextmanager
def network() -> Iterator[None]:
    """Turn errors of sockets, name resolution and TLS into reasons."""
    try:
        yield
    except ProbeFailure:
        raise
    except Exception as error:
        if (failure := of_network(error)) is None:
            raise
        raise failure from None


def of_network(error: BaseException) -> ProbeFailure | None:
    """Return the failure behind an error, or behind what caused it; None for an error of another kind."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__  # httpcore suppresses it: "from None"
    # the innermost cause is the most exact one: a library's own error says less
    for each in reversed(chain):
        if (failure := _of_one(each)) is not None:
            return failure
    # Libraries derive their own errors from OSError, and an error that is raised anew has those behind it:
    # what says only that something failed comes last.
    if any(isinstance(each, OSError) for each in chain):
        return ProbeFailure(Reason.REFUSED, "the peer cannot be reached")
    return None


def _of_one(error: BaseException) -> ProbeFailure | None:
    match error:
        case ssl.SSLCertVerificationError():
            return ProbeFailure(
                Reason.TLS, _CERTIFICATE.get(error.verify_code, "the certificate is not valid")
            )
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
            return ProbeFailure(Reason.TLS, "the peer ended the encrypted connection")
        case ssl.SSLError():
            return ProbeFailure(Reason.TLS)
        case socket.gaierror() | UnicodeError():
            return ProbeFailure(Reason.DNS)
        case TimeoutError():
            return ProbeFailure(Reason.TIMEOUT)
        case ConnectionRefusedError() | FileNotFoundError():
            return ProbeFailure(Reason.REFUSED)
        case ConnectionError():
            return ProbeFailure(Reason.PROTOCOL, "the connection was lost")
    return None
