"""Advice as text, JSON, SQL or an Alembic revision."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pgwatch_wed import units
from pgwatch_wed.remedies.script import Step, comment
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
                "call_blocks": g.call_blocks,
            }
            for g in advice.per_query
        },
        "rejected": [{"query": r.query, "reason": r.reason} for r in advice.rejected],
        "utility_commands": sum(r.is_utility for r in advice.rejected),
        "engine": advice.engine,
        "unit": advice.unit,
        "budget_bytes": advice.budget_bytes,
        "is_default_budget": advice.is_default_budget,
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
        "run_as": advice.run_as,
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


def as_alembic(advice: Advice) -> str:
    """Return a revision for the user's own Alembic environment; set ``down_revision`` there."""
    ups = [line for each in advice.indexes for line in _upgrade(each)]
    downs = [line for each in reversed(advice.indexes) for line in _downgrade(each)]
    return _REVISION.format(upgrade=_block(ups), downgrade=_block(downs))


_REVISION = '''"""Create the indexes recommended by db-analyze."""

import sqlalchemy as sa
from alembic import op

revision = "pgwatch_wed_indexes"
down_revision = None  # set this to the preceding revision in your history
branch_labels = None
depends_on = None


def upgrade() -> None:
{upgrade}


def downgrade() -> None:
{downgrade}
'''


def _block(calls: list[str]) -> str:
    if not calls:
        return "    pass"
    return "\n".join(["    with op.get_context().autocommit_block():", *_indented(calls)])


def _indented(calls: Iterable[str]) -> Iterable[str]:
    return (f"        {line}" for call in calls for line in call.splitlines())


def _upgrade(advice: IndexAdvice) -> list[str]:
    if not _is_alembics(advice):
        return [_executed(step) for step in script_of(advice).steps]
    index = advice.index
    arguments = [
        repr(advice.name),
        repr(index.table),
        f"[{', '.join(f'sa.text({_escaped(k.sql)!r})' for k in index.keys)}]",
        f"schema={index.schema!r}",
        f"postgresql_using={index.method!r}",
        *([f"postgresql_include={list(index.include)!r}"] if index.include else []),
        *([f"postgresql_where=sa.text({_escaped(index.predicate)!r})"] if index.predicate else []),
        "postgresql_concurrently=True",
    ]
    return [_call("op.create_index", arguments)]


def _downgrade(advice: IndexAdvice) -> list[str]:
    if not _is_alembics(advice):
        return [_executed(step) for step in script_of(advice).undo]
    index = advice.index
    arguments = [
        repr(advice.name),
        f"table_name={index.table!r}",
        f"schema={index.schema!r}",
        "if_exists=True",
        "postgresql_concurrently=True",
    ]
    return [_call("op.drop_index", arguments)]


def _is_alembics(advice: IndexAdvice) -> bool:
    """Tell whether Alembic's own operation is sufficient: one statement that creates the index by its name."""
    ours = advice.index.ddl(advice.name, concurrently=True)
    return not advice.index.options and [s.sql for s in script_of(advice).steps] == [ours]


def _executed(step: Step) -> str:
    return f"op.execute(sa.text({_escaped(step.sql)!r}))"


def _call(name: str, arguments: Iterable[str]) -> str:
    return f"{name}(\n    " + ",\n    ".join(arguments) + ",\n)"


def _escaped(text: str) -> str:
    """Keep SQLAlchemy from taking ``:name`` inside a literal for a parameter."""
    return text.replace(":", "\\:")


FORMATS: Mapping[str, Callable[[Advice], str]] = {
    "text": as_text,
    "json": as_json,
    "sql": as_sql,
    "alembic": as_alembic,
}
