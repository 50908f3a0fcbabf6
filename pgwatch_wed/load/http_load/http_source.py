"""URL, OpenAPI document or locustfile → a locustfile that Locust can run, and the service that it asks."""

import importlib
import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pgwatch_wed.errors import UsageError
from pgwatch_wed.load.http_load.http_outcome import HttpOrder, HttpPlan
from pgwatch_wed.load.http_load.openapi_tasks import OpenApiTask, base_of, tasks_of

PORTS = {"http": 80, "https": 443}
_MOST_BYTES = 20_000_000
_QUERY = re.compile(r"[?#][^\s'\"<>)]+")
_GENERATED = '''"""Generated: GET requests only; redirects are not followed, since they may lead to another service."""

import json
import random

from locust import FastHttpUser, constant, task

TASKS = json.loads({tasks!r})
HEADERS = json.loads({headers!r})
DICE = random.Random({seed})


class Reader(FastHttpUser):
    wait_time = constant(1)
    network_timeout = connection_timeout = {timeout}
    max_redirects = 0

    @task
    def ask(self):
        name, path = DICE.choice(TASKS)
        with self.client.get(path, name=name, headers=HEADERS, allow_redirects=False, catch_response=True) as answer:
            if 300 <= answer.status_code < 400:
                answer.success()
'''


def plan_of(order: HttpOrder, folder: Path) -> HttpPlan:
    """Find or write the locustfile; raise :class:`UsageError` if the source is none that can be used."""
    source = order.source
    if source.endswith(".py"):
        return HttpPlan(locustfile=_existing(source), host=_base(order.host))
    if "://" in source and not _is_document(source):
        place = urlsplit(_checked(source))
        path = place.path or "/"
        asked = path + (f"?{place.query}" if place.query else "")
        return _written(
            order, folder, f"{place.scheme}://{place.netloc}", (OpenApiTask(path, asked),), ()
        )
    document = _parsed(source, _text(source))
    host = _base(base_of(document, order.host or _origin(source)))
    tasks, left = tasks_of(document)
    if not tasks:
        raise UsageError(
            f"{_shown(source)} has no GET operation that can be asked for"
            + (f" ({left[0]})" if left else ""),
            "add examples of its parameters, or write a locustfile",
        )
    return _written(order, folder, host, tasks, left)


def without_query(text: str) -> str:
    """Return a text without the query strings of its URLs, which may contain secrets."""
    return _QUERY.sub("", text)


def _shown(source: str) -> str:
    return without_query(source) if "://" in source else source


def authority(host: str) -> str:
    """Return HOST:PORT of a URL, which its owner has to spell."""
    place = urlsplit(host)
    port = place.port or PORTS[place.scheme]
    name = f"[{place.hostname}]" if ":" in (place.hostname or "") else place.hostname
    return f"{name}:{port}"


def _checked(host: str | None) -> str:
    try:
        place = urlsplit(host or "")
        usable = place.scheme in ("http", "https") and bool(place.hostname) and place.port != 0
    except ValueError:
        usable = False
    if host is None or not usable:
        raise UsageError(
            "the URL of the service is missing"
            if host is None
            else "the service is no http or https URL",
            "give it as http://HOST:PORT",
        )
    if "@" in place.netloc:
        raise UsageError(
            "the URL contains a user name or password, which process lists would show",
            "write a locustfile that reads them from the environment",
        )
    return host


def _base(host: str | None) -> str:
    found = _checked(host)
    if "?" in found or "#" in found:
        raise UsageError(
            "the URL of the service has a query string, which requests would not have",
            "give it as http://HOST:PORT, and parameters in the document or the locustfile",
        )
    return found


def _is_document(url: str) -> bool:
    return urlsplit(url).path.endswith((".json", ".yaml", ".yml"))


def _origin(source: str) -> str | None:
    if "://" not in source:
        return None
    place = urlsplit(source)
    return f"{place.scheme}://{place.netloc}"


def _existing(source: str) -> Path:
    path = Path(source)
    if not path.is_file():
        raise UsageError(f"there is no locustfile {source}")
    return path.resolve()


def _text(source: str) -> str:
    try:
        if "://" in source:
            with urllib.request.urlopen(_checked(source), timeout=10) as answer:  # noqa: S310 - http or https
                return str(answer.read(_MOST_BYTES).decode("utf-8"))
        return Path(source).read_text(encoding="utf-8")
    except (OSError, ValueError, urllib.error.URLError) as error:
        raise UsageError(f"{_shown(source)} cannot be read: {_shown(str(error))}") from None


def _parsed(source: str, text: str) -> Mapping[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        document = _yaml(source, text)
    if not isinstance(document, dict) or not ({"openapi", "swagger"} & document.keys()):
        raise UsageError(
            f"{_shown(source)} is no OpenAPI document",
            "give a .py locustfile, an OpenAPI document or a URL",
        )
    return document


def _yaml(source: str, text: str) -> Any:
    try:
        yaml = importlib.import_module("yaml")
    except ImportError:
        raise UsageError(
            f"{_shown(source)} is no JSON, and PyYAML is not installed", "pip install PyYAML"
        ) from None
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"{_shown(source)} is neither JSON nor YAML: {error}") from None


def _written(
    order: HttpOrder, folder: Path, host: str, tasks: tuple[OpenApiTask, ...], left: tuple[str, ...]
) -> HttpPlan:
    path = folder / "generated_locustfile.py"
    text = _GENERATED.format(
        tasks=json.dumps(
            [[each.name, urlsplit(host).path.rstrip("/") + each.path] for each in tasks]
        ),
        headers=json.dumps(dict(order.headers)),
        seed=order.seed,
        timeout=order.timeout_s,
    )
    path.write_text(text, encoding="utf-8")
    return HttpPlan(
        locustfile=path, host=host, asked=tuple(each.name for each in tasks), left_out=left
    )
