"""JSON, ``schema_version`` 1: written field by field, so that refactoring breaks no parser."""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import (
    Action,
    ActionGain,
    AdviceLine,
    Compared,
    Finding,
    ForecastLine,
    Gone,
    MeasuredTime,
    Object,
    Remedy,
    Report,
    RuleVerdict,
    Severity,
    Standing,
)
from pgwatch_wed.render.characters import in_json

SCHEMA_VERSION = 1


def render(report: Report, snapshots: Sequence[Snapshot] = ()) -> str:  # noqa: ARG001 - one form for all
    """Return the report as JSON text; findings one by one, since there may be a great many."""
    whole = _dumps(_document(report, []))
    if not report.findings:
        return whole + "\n"
    before, after = whole.split('"findings": []', 1)
    parts = (_dumps(placed(report, f)).replace("\n", "\n    ") for f in report.findings)
    findings = ",\n    ".join(parts)
    return f'{before}"findings": [\n    {findings}\n  ]{after}\n'


def _dumps(value: Any) -> str:
    return in_json(json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False))


def as_json(report: Report) -> dict[str, Any]:
    """Return the report as plain JSON values."""
    return _document(report, [placed(report, f) for f in report.findings])


def _document(report: Report, findings: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "pgwatch_wed", "version": report.tool_version},
        "generated_at": report.generated_at.isoformat(),
        "target": _target(report),
        "window": {
            "begins": _when(report.window_begins),
            "ends": _when(report.window_ends),
            "days": _days(report),
            "reason": report.window_reason,
        },
        "coverage": {
            "explained_share": report.coverage.explained_share,
            "visible_share": report.coverage.visible_share,
            "hidden_statements": report.coverage.hidden_statements,
            "evictions_per_hour": report.coverage.evictions_per_hour,
            "left_out": list(report.coverage.left_out),
            "skipped": [{"database": d, "schema": s} for d, s in report.coverage.skipped],
        },
        "summary": {s.value: report.count(s) for s in Severity}
        | {"unknown": len(report.unknowns), "ignored": len(report.ignored)},
        "verdicts": [_verdict(v) for v in report.verdicts],
        "findings": findings,
        "plan": [_action(a) for a in report.plan.actions],
        "not_planned": [{"id": n.id, "reason": n.reason} for n in report.plan.not_planned],
        "plan_gain": _gain(report.plan.gain) | {"cost_share": plain(report.plan.cost_share)},
        "ignored": [
            {"id": i.id, "rule": i.rule, "object": i.label, "reason": i.reason}
            for i in report.ignored
        ],
        "unused_ignores": [
            {
                "rule": u.rule,
                "object": u.object,
                "finding": u.finding,
                "reason": u.reason,
                "state": "expired" if u.expired_on else "unmatched",
                "expired_on": u.expired_on.isoformat() if u.expired_on else None,
            }
            for u in report.unused_ignores
        ],
        "hidden": {
            "below": report.hidden_below.value if report.hidden_below else None,
            "count": report.hidden_count,
            "findings": [{"id": f.id, "severity": f.severity.value} for f in report.hidden],
        },
        "self_cost": _self_cost(report),
        **({"baseline": _baseline(report.compared)} if report.compared else {}),
        "advice": [_advice(a) for a in report.advice],
        "forecasts": [_forecast(f) for f in report.forecasts],
    }


def _baseline(compared: Compared) -> dict[str, Any]:
    """Return the comparison; each finding says itself where it stands."""
    return {
        "label": compared.label,
        "taken_at": compared.taken_at.isoformat(),
        "note": compared.note,
        "summary": {s.value: compared.count(s) for s in Standing}
        | {"resolved": len(compared.resolved), "not_evaluated": len(compared.not_evaluated)},
        "resolved": [_gone(g) for g in compared.resolved],
        "not_evaluated": [_gone(g) for g in compared.not_evaluated],
    }


def _gone(gone: Gone) -> dict[str, Any]:
    return {
        "id": gone.id,
        "rule": gone.rule,
        "severity": gone.severity.value,
        "object": gone.label,
        "title": gone.title,
        "reason": gone.reason,
    }


def placed(report: Report, found: Finding) -> dict[str, Any]:
    """Return one finding, with where it stands if there is a baseline."""
    whole = finding(found)
    stands = report.standing(found)
    if stands is not None and report.compared is not None:
        whole["baseline"] = {
            "standing": stands.value,
            "was": report.compared.was.get(found.id, ""),
        }
    return whole


def finding(found: Finding) -> dict[str, Any]:
    """Return one finding."""
    return {
        "id": found.id,
        "rule": found.rule,
        "area": found.area,
        "severity": found.severity.value,
        "grade": found.grade.value,
        "object": object_document(found.object),
        "related": [object_document(o) for o in found.related],
        "title": found.title,
        "detail": found.detail,
        "evidence": plain(found.evidence),
        "impact": {
            "ms_per_day": plain(found.impact.ms_per_day),
            "bytes": found.impact.bytes,
            "risk": found.impact.risk,
            "gain": _time(found.impact.gain),
            "cost": _time(found.impact.cost),
        },
        "remedy": [remedy_document(r) for r in found.remedy],
        "caveats": list(found.caveats),
        "docs": found.docs,
    }


def _action(action: Action) -> dict[str, Any]:
    return {
        "action": action.title,
        "stage": action.stage.value,
        "object": object_document(action.object),
        "database": action.database,
        "closes": list(action.closes),
        "statements": [remedy_document(r) for r in action.statements],
        "undo": list(action.undo),
        "gain": _gain(action.gain),
        "risk": action.risk,
        "needs_restart": action.needs_restart,
        "by_hand": action.by_hand,
        "reads_bytes": action.reads_bytes,
    }


def _gain(gain: ActionGain) -> dict[str, Any]:
    return {
        "ms_per_day": plain(gain.ms_per_day),
        "share_of_load": plain(gain.share_of_load),
        "bytes": gain.bytes,
    }


def plain(value: Any) -> Any:
    """Return a JSON value: dates as ISO 8601, no NaN, tuples as lists."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)


def _target(report: Report) -> dict[str, Any]:
    t = report.target
    return {
        "label": t.label,
        "database": t.database,
        "databases": list(t.databases),
        "server_version": t.version,
        "server_version_num": t.version_num,
        "role": t.role,
        "is_in_recovery": t.is_in_recovery,
        "system_identifier": t.system_identifier,
    }


def _verdict(verdict: RuleVerdict) -> dict[str, Any]:
    return {
        "rule": verdict.rule,
        "area": verdict.area,
        "verdict": verdict.verdict.value,
        "reason": verdict.reason,
        "mend": verdict.mend,
        "unjudged": list(verdict.unjudged),
        "partial": list(verdict.partial),
    }


def object_document(found: Object) -> dict[str, Any]:
    """Return an object as plain JSON values."""
    return {
        "kind": found.kind,
        "database": found.database,
        "schema": found.schema,
        "table": found.table,
        "name": found.name,
    }


def _time(time: MeasuredTime | None) -> dict[str, Any] | None:
    if time is None:
        return None
    return {
        "ms": plain(time.ms),
        "ms_per_day": plain(time.per_day),
        "share_of_load": plain(time.share),
        "window_seconds": plain(time.window_seconds),
    }


def remedy_document(remedy: Remedy) -> dict[str, Any]:
    """Return a remedy as plain JSON values."""
    return {
        "sql": remedy.sql,
        "lock": remedy.lock,
        "in_transaction": remedy.in_transaction,
        "undo": remedy.undo,
        "needs": remedy.needs,
        "run_as": remedy.run_as,
    }


def _forecast(line: ForecastLine) -> dict[str, Any]:
    return {
        "kind": line.kind,
        "object": line.label,
        "unit": line.unit,
        "value": line.value,
        "limit": line.limit,
        "per_day": _interval(line.pace) if line.pace is not None else None,
        "reached": _interval(tuple(map(_when, line.reached))),
        "is_growing": line.is_growing,
        "daily_values": line.daily_values,
        "since": _when(line.since),
        "note": line.note,
        "unknown": line.reason or None,
        "told_at": _when(line.told_at),
    }


def _interval(three: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(("low", "middle", "high"), three, strict=True))


def _advice(line: AdviceLine) -> dict[str, Any]:
    return {
        "rule": line.rule,
        "grade": line.grade,
        "object": line.label,
        "state": line.state,
        "outcome": line.outcome,
        "text": line.told,
        "advised_at": _when(line.advised_at),
        "applied_at": _when(line.applied_at),
        "ready_at": _when(line.ready_at),
        "predicted_ms_per_day": plain(line.predicted_ms_per_day),
        "saved_ms_per_day": plain(line.saved_ms_per_day),
        "lost_ms_per_day": plain(line.lost_ms_per_day),
        "blocks_ratio": plain(line.blocks_ratio),
        "time_ratio": plain(line.time_ratio),
    }


def _self_cost(report: Report) -> dict[str, Any] | None:
    cost = report.self_cost
    if cost is None:
        return None
    slowest = [{"query": name, "seconds": seconds} for name, seconds in cost.slowest]
    return {"seconds": cost.seconds, "queries": cost.queries, "slowest": slowest}


def _when(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _days(report: Report) -> float | None:
    if report.window_begins is None:
        return None
    return round((report.window_ends - report.window_begins).total_seconds() / 86_400, 3)
