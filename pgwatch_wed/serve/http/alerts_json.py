"""Alerts as in Prometheus' /api/v1/alerts, with what we know besides; and the SLOs."""

import math
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from enum import Enum
from typing import Any

from pgwatch_wed.serve.http.health_json import moment
from pgwatch_wed.serve.notify.fingerprints import identity
from pgwatch_wed.serve.state import Alert, ServiceState


def alerts(state: ServiceState) -> dict[str, Any]:
    """Return all that are pending, fire, or ended lately."""
    return {"status": "success", "data": {"alerts": [_alert(a) for a in state.alerts]}}


def by_id(state: ServiceState) -> dict[str, dict[str, Any]]:
    """Return each by its id."""
    return {alert_id(a): _alert(a) for a in state.alerts}


def slos(state: ServiceState) -> dict[str, Any]:
    """Return what is left of each budget."""
    return {"status": "success", "data": {"slos": [plain(s) for s in state.slos]}}


def alert_id(alert: Alert) -> str:
    """Return what stays the same while an alert lasts: the fingerprint that Alertmanager shows, too."""
    return identity(alert)


def _alert(alert: Alert) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": alert_id(alert),
        "labels": {"alertname": alert.name, **dict(alert.labels)},
        "annotations": dict(alert.annotations),
        "state": alert.state,
        "value": f"{alert.value:g}",
        "activeAt": moment(alert.active_at),
        "causes": [plain(c) for c in alert.causes],
    }
    if alert.fired_at is not None:
        found["firedAt"] = moment(alert.fired_at)
    if alert.resolved_at is not None:
        found["resolvedAt"] = moment(alert.resolved_at)
    if alert.inhibited_by:
        found["inhibitedBy"] = alert.inhibited_by
    return found


def plain(value: Any) -> Any:
    """Return what JSON can hold; a number that is none is null, as JSON has no word for it."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    return value if value is None or isinstance(value, str | int | bool) else str(value)
