"""The application's own metrics: read where it exposes them, for the rules and objectives evaluated here.

The tables ``[app.NAME]``::

    [app.web]
    url = "http://127.0.0.1:8000/metrics"
    token_env = "WEB_TOKEN"      # or token_file: sent as a bearer token

They are not exposed again: a Prometheus that scrapes both would count every request twice. Each series gets the
label ``application``. What could not be read for three intervals is not there any more.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import httpx
from prometheus_client.parser import text_string_to_metric_families

from pgwatch_wed.errors import UsageError
from pgwatch_wed.serve.live import of_metric
from pgwatch_wed.serve.settings import read_secret
from pgwatch_wed.serve.state import (
    STALE_INTERVALS,
    Board,
    Family,
    Health,
    ProbeResult,
    Reason,
    Sample,
    ServiceState,
)
from pgwatch_wed.suggestions import unknown_key

INTERVAL_S = 15.0
DEADLINE_S = 5.0
MOST_SERIES = 5000
_MOST_BYTES = 8 << 20
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_KEYS = ("url", "token_env", "token_file", "essential")
_OWN_LABEL = "application"


@dataclass(frozen=True, slots=True)
class ScrapedApplication:
    """Where an application exposes its metrics."""

    name: str
    url: str
    token: str = ""
    is_essential: bool = False

    @property
    def component(self) -> str:
        """How its health is called."""
        return f"app-{self.name}"


class ScrapeError(Exception):
    """An application's metrics cannot be read."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def parse_applications(
    tables: Mapping[str, Any], source: str, environ: Mapping[str, str]
) -> tuple[ScrapedApplication, ...]:
    """Read the tables; an error names the file and the key."""
    return tuple(_application(n, t, f"{source}: app.{n}", environ) for n, t in tables.items())


def _application(
    name: str, table: Any, where: str, environ: Mapping[str, str]
) -> ScrapedApplication:
    if not _NAME.fullmatch(name) or not isinstance(table, Mapping):
        raise UsageError(f"{where} must be a table such as [app.web]")
    for key in table:
        if key not in _KEYS:
            raise unknown_key(where, key, _KEYS)
    is_essential = table.get("essential", False)
    if not isinstance(is_essential, bool):
        raise UsageError(f"{where}.essential must be true or false")
    url = _url(table.get("url"), f"{where}.url")
    return ScrapedApplication(name, url, _token(table, where, environ), is_essential)


def _url(value: Any, where: str) -> str:
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
        is_fine = (
            parts is not None
            and parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
        )
    except ValueError:  # a port that is none
        is_fine = False
    if not is_fine or parts is None:
        raise UsageError(f"{where} must be a URL such as 'http://127.0.0.1:8000/metrics'")
    if parts.username or parts.password:
        raise UsageError(f"{where} holds a password", "use token_env or token_file")
    return str(value)


def _token(table: Mapping[str, Any], where: str, environ: Mapping[str, str]) -> str:
    if "token_file" in table:
        return read_secret(table["token_file"], f"{where}.token_file")
    variable = table.get("token_env")
    if variable is None:
        return ""
    if not isinstance(variable, str) or not environ.get(variable):
        raise UsageError(f"{where}.token_env: the environment variable is not set")
    return environ[variable].strip()


class Scraper:
    """Reads the applications, each in a thread: one that hangs delays no other."""

    def __init__(
        self,
        applications: Sequence[ScrapedApplication],
        board: Board,
        *,
        now: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._applications, self._board = applications, board
        self._now, self._monotonic = now, monotonic
        self._read: dict[str, tuple[float, tuple[Family, ...]]] = {}
        self._stopping = threading.Event()
        at = now()
        for application in applications:
            self._tell(application, Health.UNKNOWN, at, detail="not read yet")

    def start(self) -> None:
        """Read from now on."""
        for application in self._applications:
            name = f"scrape {application.name}"
            thread = threading.Thread(target=self._run, args=(application,), name=name, daemon=True)
            thread.start()

    def stop(self) -> None:
        """End; what is under way is left to itself."""
        self._stopping.set()

    def families(self) -> Iterator[Family]:
        """Yield what was read and is not too old."""
        oldest = self._monotonic() - STALE_INTERVALS * INTERVAL_S
        for at, families in tuple(self._read.values()):
            if at >= oldest:
                yield from families

    def run_once(self, application: ScrapedApplication) -> None:
        """Read one application, and tell how it went."""
        begun = self._monotonic()
        try:
            families = tuple(_labeled(scraped(application), application.name))
        except ScrapeError as error:
            self._failed(application, error.reason, str(error))
            return
        except Exception as error:  # noqa: BLE001 - told as a failure; the next reading may succeed
            kind = type(error).__name__
            self._failed(application, Reason.PROTOCOL, f"it cannot be read: unexpected {kind}")
            return
        self._read[application.name] = (self._monotonic(), families)
        took = self._monotonic() - begun
        self._tell(application, Health.PASS, self._now(), latency_s=took)

    def _failed(self, application: ScrapedApplication, reason: Reason, detail: str) -> None:
        self._read.pop(application.name, None)
        self._tell(application, Health.FAIL, self._now(), reason=reason, detail=detail)

    def _run(self, application: ScrapedApplication) -> None:
        while not self._stopping.is_set():
            self.run_once(application)
            self._stopping.wait(INTERVAL_S)

    def _tell(
        self, application: ScrapedApplication, status: Health, at: float, **given: Any
    ) -> None:
        name = application.component

        def change(state: ServiceState) -> ServiceState:
            before = state.probes.get(name)
            since = before.since if before is not None and before.status is status else at
            result = ProbeResult(
                name,
                "application",
                status,
                at,
                since,
                INTERVAL_S,
                is_essential=application.is_essential,
                target=application.name,
                **given,
            )
            return replace(state, probes={**state.probes, name: result})

        self._board.change(change)


def scraped(application: ScrapedApplication) -> list[Family]:
    """Return what an application exposes; raise :class:`ScrapeError` if it cannot be read."""
    text = _text(application)
    try:
        found = [f for m in text_string_to_metric_families(text) if (f := of_metric(m)) is not None]
    except (ValueError, KeyError, IndexError):
        raise ScrapeError(Reason.PROTOCOL, "this is not Prometheus' text format") from None
    if sum(len(f.samples) for f in found) > MOST_SERIES:
        raise ScrapeError(Reason.LIMIT, f"it exposes more than {MOST_SERIES} series")
    return found


def _text(application: ScrapedApplication) -> str:
    headers = {"accept": "text/plain;version=0.0.4"}
    if application.token:
        headers["authorization"] = f"Bearer {application.token}"
    deadline, parts, size = time.monotonic() + DEADLINE_S, list[bytes](), 0
    try:
        with httpx.stream(
            "GET", application.url, headers=headers, timeout=DEADLINE_S, trust_env=False
        ) as answer:
            if answer.status_code != httpx.codes.OK:
                raise _refused(answer.status_code)
            for part in answer.iter_bytes():
                parts.append(part)
                size += len(part)
                if size > _MOST_BYTES:
                    raise ScrapeError(Reason.LIMIT, "it exposes too much")
                if time.monotonic() > deadline:
                    raise ScrapeError(Reason.TIMEOUT, "no answer within the deadline")
        return b"".join(parts).decode()
    except httpx.TimeoutException:
        raise ScrapeError(Reason.TIMEOUT, "no answer within the deadline") from None
    except httpx.ConnectError:
        raise ScrapeError(Reason.REFUSED, "it cannot be connected to") from None
    except (httpx.HTTPError, UnicodeDecodeError):
        raise ScrapeError(Reason.PROTOCOL, "its answer cannot be read") from None


def _refused(status: int) -> ScrapeError:
    reason = Reason.AUTH if status in (401, 403) else Reason.PROTOCOL
    return ScrapeError(reason, f"it answers with status {status}")


def _labeled(families: Sequence[Family], name: str) -> Iterator[Family]:
    for family in families:
        samples = tuple(_with_label(sample, name) for sample in family.samples)
        yield replace(family, samples=samples, source=_OWN_LABEL)


def _with_label(sample: Sample, name: str) -> Sample:
    kept = [(f"exported_{k}" if k == _OWN_LABEL else k, v) for k, v in sample.labels]
    return replace(sample, labels=tuple(sorted((*kept, (_OWN_LABEL, name)))))
