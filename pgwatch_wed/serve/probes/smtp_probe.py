"""Mail: EHLO, STARTTLS and login, as for a message, and no message."""

import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from pgwatch_wed.errors import UsageError
from pgwatch_wed.serve.probes import certificates
from pgwatch_wed.serve.probes.observation import (
    Limit,
    Observation,
    ProbeFailure,
    network,
    of_network,
)
from pgwatch_wed.serve.probes.postgres import warned_of_expiry
from pgwatch_wed.serve.probes.probe_settings import ProbeSettings, Secret
from pgwatch_wed.serve.probes.web import trusting
from pgwatch_wed.serve.state import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpSettings(ProbeSettings):
    """A server: ``smtp://host:587``, or ``smtps://host:465``. ``starttls``: required, offered or never."""

    url: str
    starttls: str = "required"
    user: str = ""
    password: Secret | None = None
    authority: str = ""
    interval_s: float = 60.0
    deadline_s: float = 15.0
    certificate_s: float = 14 * 86_400

    def check(self, where: str) -> None:
        """Raise UsageError for values that do not fit together."""
        ProbeSettings.check(self, where)
        if urlsplit(self.url).scheme not in ("smtp", "smtps") or not urlsplit(self.url).hostname:
            raise UsageError(f"{where}.url must be such as smtp://mail.example.com:587")
        try:
            _ = urlsplit(self.url).port
        except ValueError:
            raise UsageError(f"{where}.url has no valid port") from None
        if self.starttls not in ("required", "offered", "never"):
            raise UsageError(f"{where}.starttls must be required, offered or never")
        if bool(self.user) is not bool(self.password):
            raise UsageError(f"{where}: user and password_env or password_file belong together")
        try:
            trusting(self.authority)
        except (OSError, ssl.SSLError):
            raise UsageError(f"{where}.authority is no file of certificates") from None


@dataclass(slots=True)
class SmtpProbe:
    """Asks as a client that wants to send."""

    settings: SmtpSettings
    now: Callable[[], float]

    def __call__(self, limit: Limit) -> Observation:
        """Ask it."""
        with network(), _replies(), self._connected(limit) as server:
            self._in_time(server, limit)
            server.ehlo_or_helo_if_needed()
            self._encrypt(server, limit)
            seen = self._certified(server)
            self._login(server, limit)
            return seen

    @contextmanager
    def _connected(self, limit: Limit) -> Iterator[smtplib.SMTP]:
        where = urlsplit(self.settings.url)
        name = socket.gethostname()  # by default the library asks the name service for it
        host = where.hostname or ""
        server: smtplib.SMTP
        if where.scheme == "smtps":
            context = trusting(self.settings.authority)
            server = smtplib.SMTP_SSL(
                host, where.port or 465, name, timeout=limit.left(), context=context
            )
        else:
            server = smtplib.SMTP(host, where.port or 587, name, timeout=limit.left())
        try:
            yield server
        finally:
            with suppress(OSError, smtplib.SMTPException):
                server.putcmd("quit")  # politely, and without waiting for an answer
            server.close()

    @staticmethod
    def _in_time(server: smtplib.SMTP, limit: Limit) -> None:
        # the library's timeout is for each command, and starts again with it
        if server.sock is not None:
            server.sock.settimeout(limit.left())

    def _encrypt(self, server: smtplib.SMTP, limit: Limit) -> None:
        wanted = self.settings
        if isinstance(server.sock, ssl.SSLSocket) or wanted.starttls == "never":
            return
        if not server.has_extn("starttls"):
            if wanted.starttls == "required":
                raise ProbeFailure(Reason.TLS, "STARTTLS is not offered")
            return
        self._in_time(server, limit)
        code, _ = server.starttls(context=trusting(wanted.authority))
        if code != 220:
            raise ProbeFailure(Reason.TLS, "STARTTLS is refused")
        self._in_time(server, limit)
        server.ehlo()

    def _login(self, server: smtplib.SMTP, limit: Limit) -> None:
        wanted = self.settings
        if wanted.password is None:
            return
        if not isinstance(server.sock, ssl.SSLSocket) and wanted.starttls != "never":
            raise ProbeFailure(Reason.TLS, "no login without encryption")
        self._in_time(server, limit)
        server.user, server.password = wanted.user, wanted.password.value()
        # One attempt: the library's login would try a wrong password once for each mechanism.
        offered = server.esmtp_features.get("auth", "").upper().split()
        for name, respond in (
            ("PLAIN", server.auth_plain),
            ("LOGIN", server.auth_login),
            ("CRAM-MD5", server.auth_cram_md5),
        ):
            if name in offered:
                server.auth(name, respond)
                return
        raise ProbeFailure(Reason.PROTOCOL, "the server offers no login that we know")

    def _certified(self, server: smtplib.SMTP) -> Observation:
        if not isinstance(server.sock, ssl.SSLSocket):
            return Observation()
        until = certificates.expires_at(server.sock.getpeercert(binary_form=True) or b"")
        if until is None:
            return Observation()
        seen = Observation(readings={"probe_certificate_expiry_timestamp_seconds": until})
        return warned_of_expiry(seen, until - self.now(), self.settings.certificate_s)


@contextmanager
def _replies() -> Iterator[None]:
    """Turn replies of the server into reasons."""
    try:
        yield
    except smtplib.SMTPAuthenticationError as error:
        if 500 <= error.smtp_code < 600:
            raise ProbeFailure(Reason.AUTH) from None
        raise _of_code(error.smtp_code) from None
    except smtplib.SMTPResponseException as error:
        raise _of_code(error.smtp_code) from None
    except smtplib.SMTPServerDisconnected as error:
        if isinstance(error.__context__, OSError) and (known := of_network(error.__context__)):
            raise known from None
        raise ProbeFailure(Reason.PROTOCOL, "the server ended the connection") from None
    except smtplib.SMTPException:
        raise ProbeFailure(Reason.PROTOCOL) from None


def _of_code(code: int) -> ProbeFailure:
    if code in (421, 450, 451, 452):
        return ProbeFailure(Reason.LIMIT, f"the server answers {code}: not now")
    return ProbeFailure(Reason.PROTOCOL, f"the server answers {code}")
