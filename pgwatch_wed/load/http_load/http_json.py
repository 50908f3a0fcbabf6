"""A load on an HTTP service as JSON, ``schema_version`` 1; docs/http-stress.schema.json describes it."""

import json
from dataclasses import replace
from typing import Any

from pgwatch_wed.load.http_load.http_report import HttpReport
from pgwatch_wed.load.load_json import (
    block_json,
    figures_json,
    generator_json,
    objective_json,
    percentile_json,
    spoilt_json,
)
from pgwatch_wed.load.load_model import Answer
from pgwatch_wed.render.characters import in_json
from pgwatch_wed.render.json_v1 import plain

HTTP_SCHEMA_VERSION = 1


def render_http(report: HttpReport) -> str:
    """Return the document."""
    text = json.dumps(http_document(report), ensure_ascii=False, indent=2, allow_nan=False)
    return in_json(text) + "\n"


def http_document(report: HttpReport) -> dict[str, Any]:
    """Return the report as plain JSON values. Figures by name stand once, not in each block."""
    outcome = report.outcome
    order = outcome.order
    return {
        "schema_version": HTTP_SCHEMA_VERSION,
        "kind": "http-stress",
        "tool": {"name": "pgwatch_wed", "version": report.tool_version},
        "generated_at": report.generated_at.isoformat(),
        "profile": report.profile,
        "seed": order.seed,
        "believable": report.is_believable,
        "summary": {a.value: report.count(a) for a in Answer},
        "service": outcome.host,
        "users": order.users,
        "rate": plain(order.rate),
        "processes": order.processes,
        "generator": generator_json(report.generator),
        "spoilt": spoilt_json(report.spoilt),
        "objectives": [objective_json(o) for o in report.objectives],
        "figures": figures_json(report.figures) if report.figures else None,
        "names": [
            {
                "name": each.name,
                "requests": each.requests,
                "latency": [percentile_json(p) for p in each.latency],
            }
            for each in report.names
        ],
        "blocks": [block_json(replace(b, by_script={})) for b in outcome.blocks],
        "errors": list(outcome.errors),
        "left_out": list(outcome.left_out),
        "ended_early": outcome.ended_early,
    }
