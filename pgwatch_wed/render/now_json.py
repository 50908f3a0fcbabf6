"""The moment of `db-analyze now` as JSON, ``schema_version`` 1; the keys are described in docs/now.md."""

import json
from dataclasses import asdict
from typing import Any

from pgwatch_wed import __version__
from pgwatch_wed.findings import Finding, Remedy
from pgwatch_wed.render.characters import in_json
from pgwatch_wed.render.now_view import NowStep, NowView

SCHEMA_VERSION = 1


def document(view: NowView, label: str, *, indent: int | None = 2) -> str:
    """Return the moment as JSON text; without ``indent`` on one line."""
    return in_json(json.dumps(_plain(view, label), ensure_ascii=False, indent=indent)) + "\n"


def _plain(view: NowView, label: str) -> dict[str, Any]:
    used = view.connections
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "pgwatch_wed", "version": __version__},
        "taken_at": view.taken_at.isoformat(),
        "target": {
            "label": label,
            "version": view.version,
            "is_in_recovery": view.is_standby,
            "role": view.role,
        },
        "locks": {
            "waiting_sessions": view.waiting_sessions,
            "roots": [asdict(root) for root in view.roots],
            "in_circles": list(view.in_circles),
        },
        "to_do": [_step(step) for step in view.steps],
        "also_seen": [_finding(finding) for finding in view.noted],
        "connections": {
            "used": used.used,
            "available": used.available,
            "reserved": used.reserved,
            "by_state": dict(used.by_state),
            "by_application": dict(used.by_application),
        },
        "running": {
            "statements": view.running_count,
            "longest": [asdict(each) for each in view.running],
        },
        "waits": dict(view.waits),
        "horizon": [asdict(holder) for holder in view.holders],
        "freezing": {
            "autovacuum_freeze_max_age": view.freeze_max_age,
            "databases": [asdict(age) for age in view.freezing],
        },
        "slots": [asdict(slot) for slot in view.slots],
        "wal_directory": asdict(view.wal) if view.wal is not None else None,
        "not_visible": [{"reason": reason, "mend": mend} for reason, mend in view.lacking],
        "queries": view.queries,
    }


def _step(step: NowStep) -> dict[str, Any]:
    return {
        "rule": step.rule,
        "severity": step.severity.value,
        "title": step.title,
        "detail": step.detail,
        "frees": step.frees,
        "remedies": [_remedy(remedy) for remedy in step.remedies],
        "caveats": list(step.caveats),
    }


def _remedy(remedy: Remedy) -> dict[str, str]:
    return {
        "sql": remedy.sql,
        "effect": remedy.lock,
        "undo": remedy.undo,
        "needs": remedy.needs,
        "run_as": remedy.run_as,
    }


def _finding(finding: Finding) -> dict[str, str]:
    return {
        "rule": finding.rule,
        "severity": finding.severity.value,
        "title": finding.title,
        "detail": finding.detail,
    }
