"""How a message leaves: HTTP or SMTP, each with one deadline over everything."""

import http.client
import json
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any
from urllib.parse import urlsplit

from pgwatch_wed.serve.notify.notify_settings import Mailbox, WebTarget
from pgwatch_wed.serve.notify.secrets import Credential


class UndeliveredError(Exception):
    """The receiver did not take it. ``is_final``: trying again soon is useless; ``pause_s``: how long it asks to wait."""

    def __init__(self, message: str, *, is_final: bool = False, pause_s: float = 0.0) -> None:
        super().__init__(message)
        self.is_final = is_final
        self.pause_s = pause_s


@dataclass(frozen=True, slots=True)
class Letter:
    """A message by mail. ``thread`` is the same for all of a group, ``key`` for each attempt at one message."""

    subject: str
    text: str
    key: str
    thread: str
    at: float


_AGAIN_LATER = {408, 425, 429}
_LONGEST_PAUSE_S = 3600.0


def post(where: WebTarget, document: Any, deadline_s: float, path: str = "", key: str = "") -> None:
    """Post JSON; UndeliveredError unless the answer is 2xx. A redirection is not followed."""
    headers = {"Content-Type": "application/json", "User-Agent": "pgwatch_wed"}
    if where.bearer is not None:
        headers["Authorization"] = f"Bearer {_read(where.bearer)}"
    if key:
        headers["Idempotency-Key"] = key
    content = json.dumps(document, allow_nan=False).encode("utf-8", "replace")
    url = _read(where.url) if isinstance(where.url, Credential) else where.url
    status, asked_pause_s = _request(
        url.rstrip("/") + path if path else url, content, headers, deadline_s
    )
    if 200 <= status < 300:
        return
    is_final = 300 <= status < 500 and status not in _AGAIN_LATER
    raise UndeliveredError(f"HTTP status {status}", is_final=is_final, pause_s=asked_pause_s)


def send_mail(where: Mailbox, letter: Letter, deadline_s: float) -> None:
    """Send a letter; UndeliveredError if the server does not take it for everybody."""
    message = _composed(where, letter)
    with _smtp(where, deadline_s) as server:
        refused = server.send_message(message)
    if refused:
        raise UndeliveredError(
            f"{len(refused)} of {len(where.to)} recipients were refused", is_final=True
        )


def _read(secret: Credential) -> str:
    try:
        value = secret.read()
    except (OSError, LookupError, UnicodeDecodeError):
        raise UndeliveredError("the secret could not be read") from None
    if not value.isprintable():
        raise UndeliveredError("the secret is not one line of printable characters")
    return value


def _request(
    url: str, content: bytes, headers: Mapping[str, str], deadline_s: float
) -> tuple[int, float]:
    parts = urlsplit(url)
    host, is_tls = parts.hostname or "", parts.scheme == "https"
    connection = http.client.HTTPConnection(host, parts.port, timeout=deadline_s)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    with _within(deadline_s) as limit:
        wire = limit.connect(host, parts.port or (443 if is_tls else 80))
        if is_tls:
            wire = ssl.create_default_context().wrap_socket(wire, server_hostname=host)
        connection.sock = wire
        try:
            connection.request("POST", target, content, dict(headers))
            answer = connection.getresponse()
            if limit.is_over:  # cut off, headers look complete
                raise TimeoutError
            return answer.status, _asked_pause(answer.getheader("Retry-After", ""))
        finally:
            connection.close()


def _asked_pause(text: str) -> float:
    return min(float(text), _LONGEST_PAUSE_S) if text.isascii() and text.isdigit() else 0.0


class _Limit:
    """Cuts a connection off when the deadline is over: a timeout of a library is for each read."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._handle: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self.is_over = False

    def connect(self, host: str, port: int) -> socket.socket:
        wire = socket.create_connection((host, port), timeout=self._seconds)
        self._handle = wire.dup()  # TLS takes over the first one
        if self.is_over:
            wire.close()
            raise TimeoutError
        return wire

    def start(self) -> None:
        self._timer.start()

    def end(self) -> None:
        self._timer.cancel()
        if self._handle is not None:
            self._handle.close()

    def _cut(self) -> None:
        self.is_over = True
        if self._handle is not None:
            with suppress(OSError):
                self._handle.shutdown(socket.SHUT_RDWR)


@contextmanager
def _within(seconds: float) -> Iterator[_Limit]:
    limit = _Limit(seconds)
    limit.start()
    try:
        yield limit
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _refusal(error, is_over=limit.is_over) from None
    finally:
        limit.end()


@contextmanager
def _smtp(where: Mailbox, deadline_s: float) -> Iterator[smtplib.SMTP]:
    with _within(deadline_s) as limit, limit.connect(where.host, where.port) as wire:
        context = ssl.create_default_context(cafile=where.ca_file or None)
        if where.tls == "tls":
            wire = context.wrap_socket(wire, server_hostname=where.host)
        with closing(_Connected(wire, where.host)) as server:
            if where.tls == "starttls":
                server.starttls(context=context)
            if where.user and where.password is not None:
                server.sign_in(where.user, _read(where.password))
            yield server
            with suppress(OSError, smtplib.SMTPException):
                server.quit()


class _Connected(smtplib.SMTP):
    """smtplib on a connection that is open already, so that it can be cut off at any moment."""

    def __init__(self, wire: socket.socket, host: str) -> None:
        self._wire = wire
        super().__init__(host)

    def sign_in(self, user: str, password: str) -> None:
        # login() tries one mechanism after the other, and a wrong password takes seconds each time.
        self.ehlo_or_helo_if_needed()
        offered = self.esmtp_features.get("auth", "").upper().split()
        self.user, self.password = user, password
        if "PLAIN" in offered or "LOGIN" not in offered:
            self.auth("PLAIN", self.auth_plain)
        else:
            self.auth("LOGIN", self.auth_login)

    def _get_socket(self, *_where: object) -> socket.socket:  # smtplib calls it
        return self._wire


def _composed(where: Mailbox, letter: Letter) -> EmailMessage:
    message = EmailMessage()
    domain = where.sender.partition("@")[2]
    message["Subject"] = letter.subject
    message["From"] = where.sender
    message["To"] = ", ".join(where.to)
    message["Date"] = formatdate(letter.at)
    message["Message-ID"] = f"<{letter.key}@{domain}>"
    message["References"] = f"<{letter.thread}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    return message


def _refusal(error: BaseException, *, is_over: bool) -> UndeliveredError:
    if is_over:
        return UndeliveredError("no answer in time")
    if isinstance(error, smtplib.SMTPResponseException):
        return UndeliveredError(f"SMTP status {error.smtp_code}", is_final=error.smtp_code >= 500)
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return UndeliveredError("no recipient was accepted", is_final=True)
    return UndeliveredError(_why(error))


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLError):
        return "TLS failed"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return type(error).__name__
