"""Every document as bytes: made when the state changes, handed out as often as asked for."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pgwatch_wed.serve.http import alerts_json, health_json
from pgwatch_wed.serve.http.components import Component, components
from pgwatch_wed.serve.state import Health, ServiceState

# A name that may stand in a path; anything else is not looked for.
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}")


@dataclass(frozen=True, slots=True)
class Document:
    """An answer."""

    status: int
    body: bytes
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Answers:
    """All answers of a moment."""

    health: Document
    parts: Mapping[str, Document] = field(default_factory=dict)
    alerts: Document = Document(200, b"")
    single_alerts: Mapping[str, Document] = field(default_factory=dict)
    slo: Document = Document(200, b"")

    def part(self, name: str) -> Document | None:
        """Return the health of a component or a kind."""
        return self.parts.get(name) if NAME.fullmatch(name) else None


def answers(state: ServiceState, now: float) -> Answers:
    """Make all of them."""
    found = components(state, now)
    return Answers(
        health=_health(*health_json.whole(found, now)),
        parts=_parts(found, now),
        alerts=_json(200, alerts_json.alerts(state)),
        single_alerts={key: _json(200, one) for key, one in alerts_json.by_id(state).items()},
        slo=_json(200, alerts_json.slos(state)),
    )


def broken(now: float) -> Answers:
    """Return the answers while none can be made: nothing is known, and nothing old is said."""
    document = health_json.broken(now)
    failure = {"status": "error", "error": document["output"]}
    return Answers(
        _health(Health.UNKNOWN, document), {}, _json(503, failure), {}, _json(503, failure)
    )


def _parts(found: tuple[Component, ...], now: float) -> dict[str, Document]:
    named: dict[str, list[Component]] = {}
    for component in found:
        named.setdefault(component.kind, []).append(component)
    # a component's own name is stronger than the kind of others
    named |= {c.name: [c] for c in found}
    parts = {name: _health(*health_json.part(name, group, now)) for name, group in named.items()}
    for name, kind in health_json.PROMISED.items():
        group = named.get(name) or named.get(kind)
        parts.setdefault(
            name, _health(*health_json.part(name, group, now)) if group else unconfigured(name, now)
        )
    return parts


def unconfigured(name: str, now: float) -> Document:
    """Return the answer for a component that nobody configured."""
    return Document(404, _bytes(health_json.missing(name, now)), health_json.MEDIA_TYPE)


def _health(status: Health, document: Mapping[str, Any]) -> Document:
    return Document(health_json.http_status(status), _bytes(document), health_json.MEDIA_TYPE)


def _json(status: int, document: Any) -> Document:
    return Document(status, _bytes(document))


def _bytes(document: Any) -> bytes:
    return json.dumps(
        alerts_json.plain(document), ensure_ascii=False, allow_nan=False, separators=(",", ":")
    ).encode()
