"""Any API over HTTP, and Stripe's: status, latency, a condition on its JSON, its certificate."""

import json
import operator
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from pgwatch_wed.errors import UsageError
from pgwatch_wed.serve.probes import certificates
from pgwatch_wed.serve.probes.extras import needed
from pgwatch_wed.serve.probes.observation import Limit, Observation, ProbeFailure, network
from pgwatch_wed.serve.probes.postgres import warned_of_expiry
from pgwatch_wed.serve.probes.probe_settings import Address, ProbeSettings, Secret, plain
from pgwatch_wed.serve.state import Reason

_MOST_BYTES = 1 << 20
_CONDITION = re.compile(r"\s*([\w$.-]+)\s*(==|!=|<=|>=|<|>)\s*(.+?)\s*\Z")
_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_STATUS = re.compile(r"[1-5](\d\d|xx)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings(ProbeSettings):
    """An address, and the answer that is expected. ``json``: conditions such as ``status == "ok"``."""

    url: Address
    token: Secret | None = None
    user: str = ""
    password: Secret | None = None
    method: str = "GET"
    status: tuple[str, ...] = ("2xx",)
    json: tuple[str, ...] = ()
    authority: str = ""  # a file of certificates to trust
    certificate_s: float = 14 * 86_400

    def check(self, where: str) -> None:
        """Raise UsageError for values that do not fit together."""
        ProbeSettings.check(self, where)
        if urlsplit(plain(self.url)).scheme not in ("http", "https"):
            raise UsageError(f"{where}.url must begin with http:// or https://")
        if self.method not in ("GET", "HEAD", "POST", "OPTIONS"):
            raise UsageError(f"{where}.method must be GET, HEAD, POST or OPTIONS")
        for text in self.status:
            if not _STATUS.match(text):
                raise UsageError(f"{where}.status must be such as '200' or '2xx', not {text!r}")
        for text in self.json:
            if _parsed(text) is None:
                raise UsageError(f"{where}.json must be such as 'status == \"ok\"', not {text!r}")
        try:
            trusting(self.authority)
        except (OSError, ssl.SSLError):
            raise UsageError(f"{where}.authority is no file of certificates") from None


_STRIPES_KEY = Secret(env="STRIPE_SECRET_KEY")


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeSettings(WebSettings):
    """Stripe: the balance can be read with the key of the application, a restricted one is enough."""

    url: Address = "https://api.stripe.com/v1/balance"
    token: Secret | None = _STRIPES_KEY
    interval_s: float = 30.0
    deadline_s: float = 10.0
    json: tuple[str, ...] = ('object == "balance"',)

    def check(self, where: str) -> None:
        """Raise UsageError for values that do not fit together."""
        WebSettings.check(self, where)
        if self.token is None or not self.token.value():
            raise UsageError(
                f"{where}: the key is missing", "set STRIPE_SECRET_KEY, or token_env or token_file"
            )


@dataclass(slots=True)
class WebProbe:
    """Asks over a new connection each time: name, connection and certificate are part of the question."""

    settings: WebSettings
    now: Callable[[], float]

    def __call__(self, limit: Limit) -> Observation:
        """Ask it."""
        httpx = needed("httpx", "serve")
        try:
            with network():
                return self._asked(httpx, limit)
        except httpx.HTTPError:
            raise ProbeFailure(Reason.PROTOCOL) from None

    def _asked(self, httpx: Any, limit: Limit) -> Observation:
        wanted = self.settings
        secure = urlsplit(plain(wanted.url)).scheme == "https"
        with (
            httpx.Client(
                verify=trusting(wanted.authority) if secure else False,
                timeout=limit.left(),
                headers=self._headers(),
                auth=(wanted.user, wanted.password.value()) if wanted.password else None,
                trust_env=False,
            ) as client,
            client.stream(wanted.method, plain(wanted.url)) as answer,
        ):
            seen = self._certified(answer)
            body = b""
            for part in answer.iter_bytes():
                body += part
                limit.left()
                if len(body) > _MOST_BYTES:
                    raise ProbeFailure(Reason.PROTOCOL, "the answer is larger than 1 MB")
            return self._judged(seen, answer.status_code, body)

    def _headers(self) -> dict[str, str]:
        token = (
            {"Authorization": f"Bearer {self.settings.token.value()}"}
            if self.settings.token
            else {}
        )
        return {"User-Agent": "pgwatch_wed", "Accept": "application/json, */*;q=0.5", **token}

    def _certified(self, answer: Any) -> Observation:
        stream = answer.extensions.get("network_stream")
        tls = stream.get_extra_info("ssl_object") if stream else None
        until = certificates.expires_at(tls.getpeercert(True) or b"") if tls else None
        if until is None:
            return Observation()
        seen = Observation(readings={"probe_certificate_expiry_timestamp_seconds": until})
        return warned_of_expiry(seen, until - self.now(), self.settings.certificate_s)

    def _judged(self, seen: Observation, status: int, body: bytes) -> Observation:
        if not any(_fits(status, text) for text in self.settings.status):
            raise _of_status(status)
        if not self.settings.json:
            return seen
        try:
            document = json.loads(body)
        except ValueError:
            raise ProbeFailure(Reason.PROTOCOL, "the answer is not JSON") from None
        for text in self.settings.json:
            if not holds(text, document):
                return seen.failed(
                    f"a condition on the answer is not met: {text.partition(' ')[0]}"
                )
        return seen


def _fits(status: int, text: str) -> bool:
    return text == str(status) or (text.endswith("xx") and text[0] == str(status)[0])


def _of_status(status: int) -> ProbeFailure:
    if status in (401, 403, 407):
        return ProbeFailure(Reason.AUTH, f"status {status}: our credentials are refused")
    if status == 429:
        return ProbeFailure(Reason.LIMIT, "status 429: too many requests")
    return ProbeFailure(Reason.CONDITION, f"status {status}")


def _parsed(text: str) -> tuple[str, Callable[[Any, Any], bool], Any] | None:
    if (match := _CONDITION.match(text)) is None:
        return None
    try:
        return match[1], _OPERATORS[match[2]], json.loads(match[3])
    except ValueError:
        return None


def holds(text: str, document: Any) -> bool:
    """Tell whether a condition holds; a path that leads nowhere or a comparison of two kinds does not."""
    parsed = _parsed(text)
    if parsed is None:
        return False
    path, compare, expected = parsed
    found = document
    for step in path.split("."):
        if isinstance(found, list) and step.isdigit() and int(step) < len(found):
            found = found[int(step)]
        elif isinstance(found, dict) and step in found:
            found = found[step]
        else:
            return False
    if isinstance(found, bool) is not isinstance(expected, bool):
        return False
    try:
        return bool(compare(found, expected))
    except TypeError:
        return False


@lru_cache(maxsize=32)
def trusting(authority: str) -> ssl.SSLContext:
    """Return a context that trusts the system's authorities, or those of a file; it is expensive to make."""
    return ssl.create_default_context(cafile=authority or None)
