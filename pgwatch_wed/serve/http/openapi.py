"""The description of the interface, which tests compare with its routes."""

import json
from typing import Any

from pgwatch_wed import __version__
from pgwatch_wed.serve.http.health_json import MEDIA_TYPE

_JSON = "application/json"
_PROBLEM = "application/problem+json"
_TEXT = "text/plain"


def _answer(what: str, media_type: str, schema: str) -> dict[str, Any]:
    reference = {"type": "string"} if schema == "" else {"$ref": f"#/components/schemas/{schema}"}
    return {"description": what, "content": {media_type: {"schema": reference}}}


def _get(
    summary: str,
    answers: dict[str, Any],
    *,
    name: str = "",
    pattern: str = "^[a-z0-9][a-z0-9_-]*$",
    is_open: bool = False,
) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": summary, "responses": {**answers, **_REFUSALS}}
    if is_open:
        operation |= {"security": [], "responses": answers}
    if name:
        known = {
            "type": "string",
            "minLength": 1,
            "maxLength": 80,
            "pattern": pattern,
        }
        operation["parameters"] = [{"name": name, "in": "path", "required": True, "schema": known}]
    return {"get": operation}


_REFUSALS = {
    "401": _answer("a token or a password is required", _PROBLEM, "Problem"),
    "421": _answer("the Host header is no name of this service", _PROBLEM, "Problem"),
    "429": _answer("too many requests", _PROBLEM, "Problem"),
}
_ABSENT = {"404": _answer("there is none", _PROBLEM, "Problem")}
_HEALTHY = {
    "200": _answer("pass or warn", MEDIA_TYPE, "Health"),
    "503": _answer("fail or unknown", MEDIA_TYPE, "Health"),
}
_UNCONFIGURED = {
    "404": {
        "description": "not configured",
        "content": {
            MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Health"}},
            _PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}},
        },
    }
}
_UNKNOWN = {"503": _answer("nothing is known at the moment", _JSON, "Failure")}

_STATUS = {"type": "string", "enum": ["pass", "warn", "fail", "unknown"]}
_MOMENT = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}
_NAMES = {"type": "array", "items": {"type": "string"}}
_CHECK = {
    "type": "object",
    "required": ["componentId", "status", "since", "causes", "affects"],
    "properties": {
        "componentId": {"type": "string"},
        "componentType": {"type": "string"},
        "kind": {"type": "string"},
        "status": _STATUS,
        "essential": {"type": "boolean", "description": "whether its failure is that of the whole"},
        "since": {**_MOMENT, "description": "when this status began"},
        "target": {"type": "string"},
        "observedValue": {"type": "number", "minimum": 0, "description": "latency"},
        "observedUnit": {"const": "ms"},
        "time": {**_MOMENT, "description": "of the newest result"},
        "age_seconds": {"type": "number", "minimum": 0},
        "reason": {
            "type": "string",
            "enum": ["timeout", "refused", "dns", "tls", "auth", "protocol", "condition", "limit"],
        },
        "output": {"type": "string"},
        "breaker": {"enum": ["closed", "open", "half_open"], "description": "around its probe"},
        "readings": {"type": "object", "additionalProperties": {"type": ["number", "null"]}},
        "causes": {**_NAMES, "description": "components that explain this one's status"},
        "affects": {
            **_NAMES,
            "description": "components whose status it explains",
        },
    },
}
_HEALTH = {
    "type": "object",
    "required": ["status", "version", "serviceId", "time"],
    "properties": {
        "status": _STATUS,
        "version": {"const": "1"},
        "releaseId": {"type": "string"},
        "serviceId": {"type": "string"},
        "description": {"type": "string"},
        "time": _MOMENT,
        "output": {"type": "string", "description": "what is wrong, roots first"},
        "checks": {
            "type": "object",
            "additionalProperties": {
                "type": "array",
                "items": {"$ref": "#/components/schemas/Check"},
            },
        },
    },
}
_ALERT = {
    "type": "object",
    "required": ["id", "labels", "annotations", "state", "value", "activeAt", "causes"],
    "properties": {
        "id": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
        "state": {"enum": ["pending", "firing", "resolved"]},
        "value": {"type": "string"},
        "activeAt": _MOMENT,
        "firedAt": _MOMENT,
        "resolvedAt": _MOMENT,
        "inhibitedBy": {"type": "string"},
        "causes": {"type": "array", "items": {}},
    },
}


def _listed(name: str, items: dict[str, Any]) -> dict[str, Any]:
    data = {
        "type": "object",
        "required": [name],
        "properties": {name: {"type": "array", "items": items}},
    }
    return {
        "type": "object",
        "required": ["status", "data"],
        "properties": {"status": {"const": "success"}, "data": data},
    }


_SCHEMAS = {
    "Health": _HEALTH,
    "Check": _CHECK,
    "Alert": _ALERT,
    "Alerts": _listed("alerts", {"$ref": "#/components/schemas/Alert"}),
    "Slos": _listed("slos", {"type": "object"}),
    "Failure": {
        "type": "object",
        "required": ["status", "error"],
        "properties": {"status": {"const": "error"}, "error": {"type": "string"}},
    },
    "Problem": {
        "type": "object",
        "required": ["title", "status"],
        "properties": {"title": {"type": "string"}, "status": {"type": "integer"}},
    },
}

DESCRIPTION: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {
        "title": "pgwatch_wed",
        "version": __version__,
        "description": "Health, alerts and objectives of PostgreSQL servers and what stands around them.",
    },
    "security": [{"token": []}, {"password": []}],
    "paths": {
        "/": _get("The page for people", {"200": _answer("HTML", "text/html", "")}),
        "/api/stream": _get(
            "What changes on the page, as it changes: sections of HTML; without end",
            {
                "200": _answer("server-sent events", "text/event-stream", ""),
                "503": _answer("too many streams", _PROBLEM, "Problem"),
            },
        ),
        "/livez": _get(
            "Whether the process answers", {"200": _answer("it does", _TEXT, "")}, is_open=True
        ),
        "/readyz": _get(
            "Whether the service itself works",
            {"200": _answer("it does", _TEXT, ""), "503": _answer("it starts or stops", _TEXT, "")},
        ),
        "/api/health": _get("Health of everything", _HEALTHY),
        "/api/health/{name}": _get(
            "Health of a component, or of all of a kind", {**_HEALTHY, **_UNCONFIGURED}, name="name"
        ),
        "/api/alerts": _get(
            "Alerts that are pending, fire, or ended lately",
            {"200": _answer("all of them", _JSON, "Alerts"), **_UNKNOWN},
        ),
        "/api/alerts/{id}": _get(
            "One alert", {"200": _answer("the alert", _JSON, "Alert"), **_ABSENT}, name="id"
        ),
        "/api/slo": _get(
            "Service level objectives: budget left, burn, how much is unknown",
            {"200": _answer("all of them", _JSON, "Slos"), **_UNKNOWN},
        ),
        "/runbooks/{name}": _get(
            "What to do about an alert: Markdown",
            {"200": _answer("the runbook", _TEXT, ""), **_ABSENT},
            name="name",
            pattern="^[A-Za-z0-9]+$",
        ),
        "/api/openapi.json": _get(
            "This description",
            {"200": {"description": "it", "content": {_JSON: {"schema": {"type": "object"}}}}},
        ),
        "/metrics": _get(
            "Series in Prometheus' text format", {"200": _answer("all of them", _TEXT, "")}
        ),
        "/metrics/postgres_exporter": _get(
            "The same under the names of postgres_exporter, where that is wanted",
            {"200": _answer("all of them", _TEXT, ""), **_ABSENT},
        ),
    },
    "components": {
        "schemas": _SCHEMAS,
        "securitySchemes": {
            "token": {"type": "http", "scheme": "bearer"},
            "password": {"type": "http", "scheme": "basic"},
        },
    },
}
BODY = json.dumps(DESCRIPTION, separators=(",", ":")).encode()
