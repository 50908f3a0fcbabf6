"""The moment of `db-analyze now` as JSON, ``schema_version`` 1; the keys are described in docs/now.md."""

import json
from dataclasses import asdict
from typing import Any

from pgwatch_wed import __version__
from pgwatch_wed.findings import Finding, Remedy
from pgwatch_wed.render.characters import in_json
from pgwatch_wed.render.now_view import HORIZON_FACTS, NowStep, NowView

SCHEMA_VERSION = 1


def document(view: NowView, label: str, *, indent: int | None = 2) -> str:
    """Return the moment as JSON text; without ``indent`` on one line."""
    return in_json(json.dumps(_plain(view, label), ensure_ascii=False, indent=indent)) + "\n"


def _plain(view: NowView, label: str) -> dict[str, Any]:
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
        "locks": _locks(view),
        "to_do": [_step(step) for step in view.steps] if view.steps or not view.unjudged else None,
        "not_evaluated": [{"rule": rule, "reason": reason} for rule, reason in view.unjudged],
        "also_seen": [_finding(finding) for finding in view.noted],
        **_sessions(view),
        "horizon": [asdict(holder) for holder in view.holders]
        if view.holders or not view.why_unread(*HORIZON_FACTS)
        else None,
        "freezing": {
            "autovacuum_freeze_max_age": view.freeze_max_age,
            "databases": None
            if view.why_unread("databases")
            else [asdict(age) for age in view.freezing],
        },
        "slots": None if view.why_unread("slots") else [asdict(slot) for slot in view.slots],
        "wal_directory": asdict(view.wal) if view.wal is not None else None,
        "not_visible": [{"reason": reason, "mend": mend} for reason, mend in view.lacking],
        "queries": view.queries,
    }


def _locks(view: NowView) -> dict[str, Any]:
    """Return who waits; what was not read is null, and not as if nobody waited."""
    if view.why_unread("lock_waits"):
        unknown = ("waiting_sessions", "longest_wait_seconds", "roots", "in_circles")
        return dict.fromkeys(unknown)
    return {
        "waiting_sessions": view.waiting_sessions,
        "longest_wait_seconds": view.longest_wait_seconds,
        "roots": [asdict(root) for root in view.roots],
        "in_circles": list(view.in_circles),
    }


def _sessions(view: NowView) -> dict[str, Any]:
    if view.why_unread("sessions"):
        return dict.fromkeys(("connections", "running", "waits"))
    used = view.connections
    return {
        "connections": {
            "used": used.used,
            "available": used.available,
            "reserved": used.reserved,
            "by_state": dict(used.by_state),
            "by_application": dict(used.by_application),
        },
        "running": {
            "statements": view.running_count,
            "hidden_sessions": view.hidden_sessions,
            "longest": [asdict(each) for each in view.running],
        },
        "waits": dict(view.waits),
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
