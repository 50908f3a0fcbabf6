"""SARIF 2.1.0, as accepted by GitHub code scanning."""

import json
from collections.abc import Sequence
from typing import Any

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Compared, Finding, Report, Severity, Standing
from pgwatch_wed.origin import HOME
from pgwatch_wed.render.characters import in_json
from pgwatch_wed.render.json_v1 import plain
from pgwatch_wed.render.steps import script
from pgwatch_wed.rules import Rule, all_rules

_LEVELS = {Severity.CRITICAL: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_MAX_RESULTS = 5000  # GitHub accepts no more per run


def render(report: Report, snapshots: Sequence[Snapshot] = ()) -> str:  # noqa: ARG001 - one form for all
    """Return the SARIF log."""
    rules = [r for r in all_rules() if any(f.rule == r.id for f in report.findings)]
    places = {r.id: i for i, r in enumerate(rules)}
    findings = _newest_first(report)[:_MAX_RESULTS]
    run = {
        "tool": {
            "driver": {
                "name": "db-analyze",
                "semanticVersion": report.tool_version,
                "informationUri": HOME,
                "rules": [_rule(r) for r in rules],
            }
        },
        "invocations": [
            {
                "executionSuccessful": True,
                "endTimeUtc": report.generated_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "toolExecutionNotifications": [
                    {"level": "note", "message": {"text": f"{v.rule}: {v.reason}"}}
                    for v in report.unknowns
                ],
            }
        ],
        "results": [_result(report, f, places) for f in findings],
        "columnKind": "unicodeCodePoints",
        **({"properties": {"baseline": _baseline(report.compared)}} if report.compared else {}),
    }
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return in_json(json.dumps(log, ensure_ascii=False, indent=2)) + "\n"


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": "".join(part.capitalize() for part in rule.id.split("-")),
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.summary},
        "help": {"text": rule.doc.strip(), "markdown": rule.doc.strip()},
        "properties": {"tags": [rule.area, "postgresql"]},
    }


_STATES = {Standing.NEW: "new", Standing.WORSE: "updated", Standing.KNOWN: "unchanged"}


def _newest_first(report: Report) -> Sequence[Finding]:
    """Put what the baseline does not have first: if there is too much, the rest is cut off."""
    return sorted(report.findings, key=lambda f: report.standing(f) is Standing.KNOWN)


def _baseline(compared: Compared) -> dict[str, Any]:
    """Return what is gone; as results that are absent, GitHub would take them for open alerts."""
    return {
        "label": compared.label,
        "takenAt": compared.taken_at.isoformat(),
        "resolved": [g.id for g in compared.resolved],
        "notEvaluated": [g.id for g in compared.not_evaluated],
    }


def _result(report: Report, finding: Finding, places: dict[str, int]) -> dict[str, Any]:
    remedy = "\n".join(map(script, finding.remedy))
    message = f"{finding.title}. {finding.detail}" + (f"\n\n{remedy}" if remedy else "")
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "level": _LEVELS[finding.severity],
        "message": {"text": message},
        "locations": [_location(finding)],
        "partialFingerprints": {"pgwatchWedFingerprint/v1": finding.id},
        "properties": {"grade": finding.grade.value, "evidence": plain(finding.evidence)},
    }
    if finding.rule in places:
        result["ruleIndex"] = places[finding.rule]
    if state := _STATES.get(report.standing(finding) or Standing.UNCLEAR):
        result["baselineState"] = state
    return result


def _location(finding: Finding) -> dict[str, Any]:
    """Point at a file, which GitHub requires; the object itself is the logical location."""
    o = finding.object
    path = ".".join(part for part in (o.database, o.schema, o.name) if part)
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": f"postgresql/{_uri(o.database or 'server')}"},
            "region": {"startLine": 1},
        },
        "logicalLocations": [{"name": o.name, "fullyQualifiedName": path, "kind": o.kind}],
    }


def _uri(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="", errors="replace")
