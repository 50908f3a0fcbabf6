"""Advice as text, JSON, SQL or an Alembic revision."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pgwatch_wed import units
from pgwatch_wed.remedies.script import Script, Step, comment
from pgwatch_wed.whatif.choose.advise import Advice, IndexAdvice
from pgwatch_wed.whatif.proof.truth import Verified

_MOST_LINES = 12
_UNITS = {"cost": "planner cost", "ms": "ms of observed time"}


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
            }
            for g in advice.per_query
        },
        "rejected": [{"query": r.query, "reason": r.reason} for r in advice.rejected],
        "utility_commands": sum(r.is_utility for r in advice.rejected),
        "engine": advice.engine,
        "unit": advice.unit,
        "budget_bytes": advice.budget_bytes,
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


def as_text(advice: Advice) -> str:
    """Return the advice for people."""
    return "\n".join(_text_lines(advice)) + "\n"


def _text_lines(advice: Advice) -> Iterable[str]:
    yield (
        f"{units.count(len(advice.indexes), 'index', 'indexes')}, {units.size(advice.bytes)} of a budget of "
        f"{units.size(advice.budget_bytes)}: "
        f"{_UNITS[advice.unit]} {advice.cost_before:,.0f} → {advice.cost_after:,.0f}"
        f" ({_change(advice.cost_before, advice.cost_after)})"
    )
    yield f"engine {advice.engine}, {advice.whatif_calls} what-if calls, {advice.seconds:.1f} s"
    for each in advice.indexes:
        yield ""
        yield from _few_lines(script_of(each).sql.splitlines())
        yield (
            f"  {units.size(each.size_bytes)}; saves {units.share(_part(each, advice))} of the workload's cost; "
            f"used by {_few(each.queries)}"
        )
        yield from _truth_of(each, advice.verified)
        yield from [f"  run as: {each.run_as}"] if each.run_as else []
        yield from (f"  makes {name} redundant" for name in each.makes_redundant)
        yield from (f"  note: {caveat}" for caveat in each.caveats)
        yield from (f"  not proven: {doubt}" for doubt in each.doubts)
    yield from _query_lines(advice)
    if advice.verified is not None:
        yield from _truth_lines(advice.verified)
    yield from (f"\n{note}" for note in advice.notes)
    if advice.hidden_statements:
        yield f"\n{units.count(advice.hidden_statements, 'statement')} hidden from this role"


def _part(each: IndexAdvice, advice: Advice) -> float:
    """Return what an index saves, as a fraction of the present cost; the fractions of a set add up."""
    return max(each.cost_without - each.cost_with, 0.0) / max(advice.cost_before, 1e-9)


def _query_lines(advice: Advice) -> Iterable[str]:
    helped = [g for g in advice.per_query if g.indexes]
    if helped:
        yield "\nQueries"
    for gain in helped:
        yield f"  {_change(gain.cost_before, gain.cost_after):>8}  {gain.name}"
    rejected = [r for r in advice.rejected if not r.is_utility]
    if rejected:
        yield "\nQueries without recommended indexes"
        yield from (f"  {r.query}: {r.reason}" for r in rejected)
    if utilities := len(advice.rejected) - len(rejected):
        are = "is" if utilities == 1 else "are"
        yield f"\n{units.count(utilities, 'utility command')} (such as COPY or CALL) {are} not planned"


def _truth_of(advice: IndexAdvice, found: Verified | None) -> Iterable[str]:
    for each in found.indexes if found is not None else ():
        if each.index == advice.index:
            gain = "gain not measured, since its queries were not run"
            if each.bought_ms is not None:
                gain = f"without it, the queries take {_ms(each.bought_ms)} longer"
            yield f"  built on the copy: {units.size(each.size_bytes)} in {each.build_seconds:.1f} s; {gain}"


def _truth_lines(found: Verified) -> Iterable[str]:
    clock = "CPU time" if found.clock == "cpu" else "elapsed time"
    yield (
        f"\nVerified on {found.copy}: {clock} {_ms(found.before_ms)} → {_ms(found.after_ms)}"
        f" ({_change(found.before_ms, found.after_ms)}), best of {found.repetitions} runs"
    )
    for q in found.queries:
        yield (
            f"  {_change(q.before_ms, q.after_ms):>8}  {q.name}: {_ms(q.before_ms)} →"
            f" {_ms(q.after_ms)}, {q.before_buffers:,} → {q.after_buffers:,} blocks"
        )
    if found.unchanged:
        words = "queries keep their plans" if found.unchanged > 1 else "query keeps its plan"
        yield f"  {found.unchanged} more {words}"
    yield from _named("Rejected", [(each.ddl, each.reason) for each in found.losers])
    yield from _named("Not run", [(r.query, r.reason) for r in found.not_run])
    yield from (f"\n{note}" for note in found.notes)


def _named(title: str, lines: Iterable[tuple[str, str]]) -> Iterable[str]:
    found = [f"  {name}: {reason}" for name, reason in lines]
    return [f"\n{title}", *found] if found else []


def _ms(value: float) -> str:
    return f"{value / 1000:,.2f} s" if abs(value) >= 1000 else f"{value:,.2f} ms"


def _few_lines(lines: list[str]) -> Iterable[str]:
    """Yield the lines of a script; if there are many partitions, only enough to show the pattern."""
    yield from lines[:_MOST_LINES]
    if len(lines) > _MOST_LINES:
        yield f"… {len(lines) - _MOST_LINES} more lines; use --format sql to print all"


def script_of(advice: IndexAdvice) -> Script:
    """Return the statements that build an index on the target."""
    assert advice.script is not None, "engines.scripted() adds it"
    return advice.script


def as_sql(advice: Advice) -> str:
    """Return a script for psql; CONCURRENTLY, so it must not run inside a transaction."""
    lines = [
        "-- Recommended by db-analyze indexes. Run with psql -v ON_ERROR_STOP=1, outside a transaction block.",
        "-- A failed build leaves an invalid index: drop it, and continue with that statement.",
    ]
    for each in advice.indexes:
        script = script_of(each)
        lines += ["", comment(f"{units.size(each.size_bytes)}; used by {_few(each.queries)}")]
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


def _change(before: float, after: float) -> str:
    return f"{(after / before - 1) * 100:+.1f}%" if before > 0 else "+0.0%"


def _few(names: tuple[str, ...]) -> str:
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + rest
