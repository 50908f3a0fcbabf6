"""The difference of two runs as JSON, ``schema_version`` 1."""

import json
from typing import Any

from pgwatch_wed.findings import Standing
from pgwatch_wed.history.change import Change
from pgwatch_wed.history.run_difference import (
    SCHEMA,
    SETTINGS,
    SIZES,
    DatabaseDifference,
    RunDifference,
    RunSide,
)
from pgwatch_wed.history.workloads import LoadWindow, StatementSide
from pgwatch_wed.render.characters import in_json
from pgwatch_wed.render.json_v1 import placed, plain

_VERSION = 1


def render(found: RunDifference) -> str:
    """Return the document."""
    compared = found.report.compared
    changed = [
        placed(found.report, f)
        for f in found.report.findings
        if found.report.standing(f) is not Standing.KNOWN
    ]
    document = {
        "schema_version": _VERSION,
        "first": _side(found.first),
        "second": _side(found.second),
        "compared_by_name": found.by_name,
        "only_in_one": list(found.only),
        "findings": {
            "summary": {s.value: compared.count(s) for s in Standing} if compared else {},
            "changed": changed,
            "resolved": [_gone(g) for g in compared.resolved] if compared else [],
            "not_evaluated": [_gone(g) for g in compared.not_evaluated] if compared else [],
        },
        "databases": [_database(d) for d in found.databases],
    }
    text = json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False)
    return in_json(text) + "\n"


def _side(side: RunSide) -> dict[str, Any]:
    return {
        "label": side.label,
        "taken_at": side.taken_at.isoformat(),
        "server": side.server,
        "server_version": side.version,
        "findings": side.findings,
    }


def _gone(gone: Any) -> dict[str, Any]:
    return {
        "id": gone.id,
        "rule": gone.rule,
        "severity": gone.severity.value,
        "object": gone.label,
        "title": gone.title,
        "reason": gone.reason,
    }


def _database(d: DatabaseDifference) -> dict[str, Any]:
    w = d.workloads
    return {
        "database": d.database,
        "bytes": {"before": d.bytes_before, "after": d.bytes_after},
        "not_compared": list(d.found.not_compared),
        "settings": [_change(c) for c in d.of(*SETTINGS)],
        "schema": [_change(c) for c in d.of(*SCHEMA)],
        "sizes": [_change(c) for c in d.of(*SIZES)],
        "workload": {
            "missing": w.missing,
            "before": _window(w.before),
            "after": _window(w.after),
            "left_out": w.left_out,
            "statements": [
                {"text": p.text, "before": _statement(p.before), "after": _statement(p.after)}
                for p in w.pairs
            ],
        },
    }


def _change(c: Change) -> dict[str, Any]:
    return {
        "kind": c.kind.value,
        "what": c.what.value,
        "object": c.object.label,
        "table": c.object.table,
        "aspect": c.aspect,
        "before": c.before,
        "after": c.after,
        "at": c.at.isoformat() if c.at else None,
    }


def _window(window: LoadWindow) -> dict[str, Any]:
    return {
        "begins": window.begins.isoformat() if window.begins else None,
        "ends": window.ends.isoformat(),
        "total_exec_ms": plain(window.total_ms),
        "calls": window.calls,
    }


def _statement(side: StatementSide | None) -> dict[str, Any] | None:
    if side is None:
        return None
    return {
        "calls": side.calls,
        "mean_exec_ms": plain(side.mean_ms),
        "share_of_load": plain(side.share),
        "blocks_per_call": plain(side.blocks_per_call),
    }
