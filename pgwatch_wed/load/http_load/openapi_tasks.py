"""An OpenAPI document → what to ask for: GET operations, whose parameters the document itself gives values for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urljoin

# GET should be safe; these names say that it is not.
_UNSAFE = frozenset(
    {
        "logout",
        "signout",
        "sign-out",
        "log-out",
        "delete",
        "remove",
        "reset",
        "unsubscribe",
        "shutdown",
    }
)


@dataclass(frozen=True, slots=True)
class OpenApiTask:
    """A request: ``name`` is its path in the document, under which its times are added up."""

    name: str
    path: str


def tasks_of(document: Mapping[str, Any]) -> tuple[tuple[OpenApiTask, ...], tuple[str, ...]]:
    """Return the requests, and what is left out and why. Broken parts of a document are left out, too."""
    tasks: list[OpenApiTask] = []
    left: list[str] = []
    paths = document.get("paths")
    for name, item in paths.items() if isinstance(paths, dict) else ():
        if not isinstance(item, dict):
            continue
        left += [
            f"{m.upper()} {name}: it may change data"
            for m in ("post", "put", "patch", "delete")
            if m in item
        ]
        if isinstance(operation := item.get("get"), dict):
            found = _task(document, str(name), item, operation)
            (tasks if isinstance(found, OpenApiTask) else left).append(found)  # type: ignore[arg-type]
    return tuple(tasks), tuple(left)


def base_of(document: Mapping[str, Any], host: str | None) -> str | None:
    """Return the base URL of a service; ``host`` goes before the document's own."""
    servers = document.get("servers")
    first = servers[0] if isinstance(servers, list) and servers else {}
    url = str(first.get("url", "")) if isinstance(first, dict) else ""
    if "basePath" in document:  # OpenAPI 2
        url = str(document["basePath"])
    if "{" in url:
        url = ""
    if host is None:
        return url.rstrip("/") if "://" in url else None
    path = url.partition("://")[2].partition("/")[2] if "://" in url else url
    return urljoin(host.rstrip("/") + "/", path.lstrip("/")).rstrip("/")


def _task(
    document: Mapping[str, Any], name: str, item: Mapping[str, Any], operation: Mapping[str, Any]
) -> OpenApiTask | str:
    words = {part.lower() for part in name.split("/")}
    if unsafe := sorted(words & _UNSAFE):
        return f"GET {name}: {unsafe[0]} may change data"
    if "requestBody" in operation:
        return f"GET {name}: it needs a body"
    path, query = name, {}
    for parameter in _parameters(document, item, operation):
        key, place = str(parameter.get("name")), parameter.get("in")
        value = _value(document, parameter)
        if place == "path" and value is not None:
            path = path.replace("{" + key + "}", quote(str(value), safe=""))
        elif place == "query" and value is not None and parameter.get("required"):
            query[key] = value
        elif parameter.get("required") and value is None:
            return f"GET {name}: the document has no example of {key}"
    if "{" in path:
        return f"GET {name}: the document has no example of its parameters"
    return OpenApiTask(name, path + ("?" + urlencode(query, doseq=True) if query else ""))


def _parameters(
    document: Mapping[str, Any], item: Mapping[str, Any], operation: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    given: dict[tuple[Any, Any], Mapping[str, Any]] = {}
    for each in (*_list(item.get("parameters")), *_list(operation.get("parameters"))):
        parameter = _resolved(document, each)
        given[parameter.get("name"), parameter.get("in")] = parameter
    yield from given.values()


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _resolved(document: Mapping[str, Any], part: Any) -> Mapping[str, Any]:
    """Follow references within the document, which may be circular."""
    for _ in range(8):
        if not isinstance(part, dict):
            return {}
        where = part.get("$ref")
        if not isinstance(where, str):
            return part
        part = document
        for step in where.removeprefix("#/").split("/"):
            key = step.replace("~1", "/").replace("~0", "~")
            part = part.get(key) if isinstance(part, dict) else None
    return {}


def _value(document: Mapping[str, Any], parameter: Mapping[str, Any]) -> Any:
    examples = parameter.get("examples")
    if isinstance(examples, dict):
        for each in examples.values():
            if (value := _resolved(document, each).get("value")) is not None:
                return value
    for place in (parameter, _resolved(document, parameter.get("schema"))):
        for key in ("example", "default"):
            if place.get(key) is not None:
                return place[key]
        for key in ("examples", "enum"):
            if _list(place.get(key)):
                return place[key][0]
    return None
