"""The review of a fleet as JSON, ``schema_version`` 1: written field by field, so that refactoring breaks no parser."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pgwatch_wed.findings import ForecastLine, Severity, Standing
from pgwatch_wed.fleet.review import review_words as words
from pgwatch_wed.fleet.review.reviews import (
    SILENCE,
    ClusterFinding,
    Drift,
    FleetIssue,
    Review,
    ReviewedCluster,
)
from pgwatch_wed.fleet.visits import FleetRun, VisitEnding
from pgwatch_wed.render.characters import in_json
from pgwatch_wed.render.json_v1 import object_document, plain

SCHEMA_VERSION = 1


def render(review: Review, experiments: Mapping[str, Any] | None = None) -> str:
    """Return the review as JSON text; ``experiments`` are JSON values."""
    document = as_json(review) | {"experiments": plain(experiments or {})}
    parts = (f"  {_dumps(name)}: {_listed(value)}" for name, value in document.items())
    return in_json("{\n" + ",\n".join(parts) + "\n}\n")


def _listed(value: Any) -> str:
    """Write each item of a list on a line of its own: indenting everything takes ten times as long."""
    if not isinstance(value, list) or not value:
        return _dumps(value)
    return "[\n" + ",\n".join(f"    {_dumps(each)}" for each in value) + "\n  ]"


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def as_json(review: Review) -> dict[str, Any]:
    """Return the review as plain JSON values."""
    endings = [c.ending for c in review.clusters]
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "pgwatch_wed", "version": review.run.tool_version},
        "generated_at": review.now.isoformat(),
        "fleet_run": _run(review.run),
        "before": _run(review.before) if review.before else None,
        "verdict": words.verdict(review),
        "summary": {
            "clusters": len(review.clusters),
            "read": len(review.read),
            "waiting": endings.count(None),
            "endings": {e.value: endings.count(e) for e in VisitEnding},
            "findings": {s.value: review.count(s) for s in Severity},
            "new": review.standing(Standing.NEW),
            "worse": review.standing(Standing.WORSE),
            "gone": len(review.gone),
        },
        "clusters": [_cluster(c) for c in review.clusters],
        "issues": [_issue(i, review) for i in review.issues],
        "changes": [
            {
                "what": c.what,
                "rule": c.rule,
                "severity": c.severity.value,
                "title": c.title,
                "was": c.was,
                "clusters": list(c.members),
            }
            for c in words.changes(review)
        ],
        "first_read": list(words.first_visits(review)),
        "left": list(review.left),
        "limits": [{"cluster": n.member, **_line(n.line)} for n in review.limits],
        "no_forecast_yet": list(review.untold),
        "versions": [
            {
                "version": v.version,
                "newest_minor_in_fleet": v.newest,
                "is_behind": v.is_behind,
                "clusters": list(v.members),
            }
            for v in review.versions
        ],
        "drift": [_drift(d) for d in review.drifts],
        "not_evaluated": [
            {"rule": rule, "reason": reason, "clusters": list(members)}
            for rule, reason, members in words.unevaluated(review, most_reasons=None)
        ],
    }


def _run(run: FleetRun) -> dict[str, Any]:
    return {
        "id": run.id,
        "began_at": run.began_at.isoformat(),
        "ended_at": _when(run.ended_at),
        "members": run.members,
    }


def _cluster(own: ReviewedCluster) -> dict[str, Any]:
    still = [f for f in own.findings if f.rule != SILENCE]
    return {
        "name": own.member,
        "group": own.group,
        "tags": dict(own.tags),
        "label": own.label,
        "also_known_as": list(own.also),
        "ending": own.ending.value if own.ending else None,
        "reason": own.reason,
        "mend": own.mend,
        "lacking": dict(own.lacking),
        "attempts": own.attempts,
        "was_read": own.is_current,
        "seen_at": _when(own.seen_at),
        "compared_at": _when(own.compared_at),
        "run": own.run_id,
        "cluster_id": own.cluster_id,
        "version": own.version,
        "is_in_recovery": own.is_in_recovery,
        "findings": {s.value: sum(f.severity is s for f in still) for s in Severity},
        "by_chance": [_finding(f) for f in own.by_chance],
        "not_evaluated": len(own.unknown),
    }


def _issue(issue: FleetIssue, review: Review) -> dict[str, Any]:
    example = issue.example
    return {
        "rule": issue.rule,
        "severity": issue.severity.value,
        "grades": issue.grades,
        "title": words.title(issue),
        "score": plain(issue.score),
        "clusters": len(issue.members),
        "of": len(review.clusters),
        "evaluated": issue.evaluated,
        "ms_per_day": plain(issue.ms_per_day),
        "bytes": issue.bytes,
        "causes": [
            {"object": c.label or None, "findings": [_finding(f) for f in c.findings]}
            for c in issue.causes
        ],
        "example": None
        if example is None
        else {
            "cluster": example.member,
            "title": example.title,
            "sql": list(example.sql),
            "lock": example.lock,
            "undo": list(example.undo),
        },
    }


def _finding(f: ClusterFinding) -> dict[str, Any]:
    return {
        "cluster": f.member,
        "id": f.id,
        "severity": f.severity.value,
        "grade": f.grade or None,
        "object": object_document(f.object),
        "title": f.title,
        "ms_per_day": plain(f.ms_per_day),
        "bytes": f.bytes,
        "first_seen": f.first_seen.isoformat(),
        "last_seen": f.last_seen.isoformat(),
        "is_current": f.is_current,
        "standing": f.standing.value if f.standing else None,
        "was": f.was,
        "own_grade": f.own_grade or None,
        "record": f.record or None,
    }


def _line(line: ForecastLine) -> dict[str, Any]:
    return {
        "kind": line.kind,
        "object": line.label,
        "unit": line.unit,
        "value": plain(line.value),
        "limit": plain(line.limit),
        "per_day": _three(line.pace) if line.pace else None,
        "reached": _three(tuple(map(_when, line.reached))),
    }


def _three(values: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(("low", "middle", "high"), map(plain, values), strict=True))


def _drift(own: Drift) -> dict[str, Any]:
    return {
        "kind": own.kind,
        "group": own.group,
        "name": own.name,
        "usual": own.usual or None,
        "having": own.having,
        "of": own.of,
        "others": [{"value": v or None, "clusters": list(members)} for v, members in own.others],
        "text": words.drift(own),
    }


def _when(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
