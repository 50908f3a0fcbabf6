"""Advice as text, JSON or SQL."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from pgwatch_wed import units
from pgwatch_wed.remedies.script import comment
from pgwatch_wed.whatif.choose.advise import Advice, IndexAdvice
from pgwatch_wed.whatif.proof.truth import Verified
from pgwatch_wed.whatif.readable import as_text, few, script_of


def as_json(advice: Advice) -> str:
    """Return the advice in its documented form; every statement in ``indexes`` can be run as it is."""
    return json.dumps(as_dict(advice), indent=2, ensure_ascii=False)


def as_dict(advice: Advice) -> dict[str, Any]:
    """Return what :func:`as_json` writes."""
    return {
        "indexes": [i.ddl for i in advice.indexes],
        "cost_before": advice.cost_before,
        "cost_after": advice.cost_after,
        "bytes": advice.bytes,
        "whatif_calls": advice.whatif_calls,
        "seconds": round(advice.seconds, 3),
        "per_query": {
            g.name: {
                "cost_before": g.cost_before,
                "cost_after": g.cost_after,
                "weight": g.weight,
                "indexes": list(g.indexes),
                "query_id": g.query_id,
                "calls": g.calls,
                "call_ms": g.call_ms,
                "call_ms_after": g.call_ms_after,
                "call_blocks": g.call_blocks,
                "blocks_before": g.blocks_before,
                "blocks_after": g.blocks_after,
            }
            for g in advice.per_query
        },
        "rejected": [
            {
                "query": r.query,
                "reason": r.reason,
                "has_plan": r.has_plan,
                "total_ms": r.total_ms,
            }
            for r in advice.rejected
        ],
        "unplanned_ms": advice.unplanned_ms if advice.unit == "ms" else None,
        "utility_commands": sum(r.is_utility for r in advice.rejected),
        "engine": advice.engine,
        "unit": advice.unit,
        "budget_bytes": advice.budget_bytes,
        "is_default_budget": advice.is_default_budget,
        "beyond_budget": advice.beyond and asdict(advice.beyond),
        "details": [_detail(i) for i in advice.indexes],
        "notes": list(advice.notes),
        "hidden_statements": advice.hidden_statements,
        **({"verified": _truth(advice.verified)} if advice.verified else {}),
    }


def _truth(found: Verified) -> dict[str, Any]:
    return {
        "copy": found.copy,
        "clock": found.clock,
        "repetitions": found.repetitions,
        "before_ms": found.before_ms,
        "after_ms": found.after_ms,
        "queries": {
            q.name: {
                "before_ms": q.before_ms,
                "after_ms": q.after_ms,
                "before_buffers": q.before_buffers,
                "after_buffers": q.after_buffers,
                "weight": q.weight,
                "indexes": list(q.indexes),
                "value_sets": q.sets,
                "worst_ratio": q.worst,
                "production_buffers": q.there_buffers,
            }
            for q in found.queries
        },
        "indexes": [
            {
                "ddl": i.ddl,
                "bytes": i.size_bytes,
                "build_seconds": i.build_seconds,
                "bought_ms": i.bought_ms,
            }
            for i in found.indexes
        ],
        "losers": [{"ddl": each.ddl, "reason": each.reason} for each in found.losers],
        "not_run": [{"query": r.query, "reason": r.reason} for r in found.not_run],
        "unchanged_queries": found.unchanged,
        "notes": list(found.notes),
    }


def _detail(advice: IndexAdvice) -> dict[str, Any]:
    index = advice.index
    return {
        "name": advice.name,
        "ddl": advice.ddl,
        "schema": index.schema,
        "table": index.table,
        "columns": list(index.columns),
        "include": list(index.include),
        "method": index.method,
        "predicate": index.predicate or None,
        "bytes": advice.size_bytes,
        "cost_without": advice.cost_without,
        "cost_with": advice.cost_with,
        "write_cost": advice.write_cost,
        "queries": list(advice.queries),
        "makes_redundant": list(advice.makes_redundant),
        "caveats": list(advice.caveats),
        "doubts": list(advice.doubts),
        "guesses": list(advice.guesses),
        "grade": advice.grade and advice.grade.value,
        "run_as": advice.run_as,
        "script": advice.script and advice.script.sql,
        "undo": advice.script and advice.script.undo_sql,
        "drops": list(advice.drops),
    }


def as_sql(advice: Advice) -> str:
    """Return a script for psql; CONCURRENTLY, so it must not run inside a transaction."""
    lines = [
        "-- Recommended by db-analyze indexes. Run with psql -v ON_ERROR_STOP=1, outside a transaction block.",
        "-- A failed build leaves an invalid index: drop it, and continue with that statement.",
    ]
    for each in advice.indexes:
        script = script_of(each)
        lines += ["", comment(f"{units.size(each.size_bytes)}; used by {few(each.queries)}")]
        lines += [comment(f"run as: {each.run_as}")] if each.run_as else []
        lines += [script.sql]
        lines += [f"-- undo: {line}" for line in script.undo_sql.splitlines()]
        lines += [comment(f"then redundant (test first): {sql}") for sql in each.drops]
    return "\n".join(lines) + "\n"


FORMATS: Mapping[str, Callable[[Advice], str]] = {
    "text": as_text,
    "json": as_json,
    "sql": as_sql,
}
