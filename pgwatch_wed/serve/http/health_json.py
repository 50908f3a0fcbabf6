"""``application/health+json`` (draft-inadarei-api-health-check): its names, and a few of our own beside them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pgwatch_wed import __version__
from pgwatch_wed.serve.http.components import Component, overall, worst
from pgwatch_wed.serve.state import Health

MEDIA_TYPE = "application/health+json"
# What the guide asks for by name, configured or not, and the kind whose probes answer where none has the name.
PROMISED = {"database": "postgres", "storage": "storage", "stripe": "stripe", "email": "smtp"}


def http_status(health: Health) -> int:
    """Return the status of the answer: what is not known to work is not said to."""
    return 200 if health in (Health.PASS, Health.WARN) else 503


def moment(seconds: float) -> str:
    """Print Unix seconds as the standards want them: ``2026-11-25T14:02:11Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def whole(components: Sequence[Component], now: float) -> tuple[Health, dict[str, Any]]:
    """Return the health of everything."""
    status = overall(components)
    document = _head(status, now)
    document["output"] = _sentence(components)
    document["checks"] = {_key(c): [check(c, now)] for c in components}
    return status, document


def part(name: str, components: Sequence[Component], now: float) -> tuple[Health, dict[str, Any]]:
    """Return the health of what one name stands for: a component, or all of a kind."""
    status = worst(c.status for c in components)
    document = _head(status, now)
    document["description"] = name
    document["output"] = _sentence(components)
    document["checks"] = {_key(c): [check(c, now)] for c in components}
    return status, document


def missing(name: str, now: float) -> dict[str, Any]:
    """Return the answer for what is not configured."""
    document = _head(Health.UNKNOWN, now)
    what = f"[probes.{name}]" if name in PROMISED else "a table [probes.NAME]"
    document["output"] = f"not configured: {what} in the configuration adds a probe"
    return document


def broken(now: float) -> dict[str, Any]:
    """Return the answer while the service cannot tell."""
    return _head(Health.UNKNOWN, now) | {"output": "the service could not put its answers together"}


def check(component: Component, now: float) -> dict[str, Any]:
    """Return what is known of a component."""
    found: dict[str, Any] = {
        "componentId": component.name,
        "componentType": component.type,
        "kind": component.kind,
        "status": component.status.value,
        "essential": component.is_essential,
        "since": moment(component.since),
    }
    if component.target:
        found["target"] = component.target
    if component.latency_s is not None:
        found |= {"observedValue": round(component.latency_s * 1000, 3), "observedUnit": "ms"}
    if component.at is not None:
        found |= {
            "time": moment(component.at),
            "age_seconds": round(max(0.0, now - component.at), 1),
        }
    if component.reason is not None:
        found["reason"] = component.reason.value
    if component.detail:
        found["output"] = component.detail
    if component.breaker:
        found["breaker"] = component.breaker
    if component.readings:
        found["readings"] = dict(component.readings)
    return found | {"causes": list(component.causes), "affects": list(component.affects)}


def _head(status: Health, now: float) -> dict[str, Any]:
    return {
        "status": status.value,
        "version": "1",
        "releaseId": __version__,
        "serviceId": "pgwatch-wed",
        "time": moment(now),
    }


def _key(component: Component) -> str:
    measured = "responseTime" if component.latency_s is not None else "state"
    return f"{component.name}:{measured}"


def _sentence(components: Sequence[Component]) -> str:
    """Say what is wrong, roots before what follows from them."""
    if not components:
        return "nothing is probed: a table [probes.NAME] in the configuration adds a probe"
    wrong = [c for c in components if c.status is not Health.PASS]
    wrong.sort(key=lambda c: bool(c.causes))
    return "; ".join(f"{c.name}: {c.status}{_why(c)}" for c in wrong)


def _why(component: Component) -> str:
    said = component.detail or (component.reason or "")
    because = f" because of {', '.join(component.causes)}" if component.causes else ""
    return f"{because} ({said})" if said else because
