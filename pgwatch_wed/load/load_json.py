"""A load test as JSON, ``schema_version`` 1; docs/stress.schema.json describes it."""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from pgwatch_wed.load.load_model import (
    Answer,
    Block,
    BlockWork,
    Latencies,
    LoadScript,
    Machine,
    ObjectiveResult,
    Scenario,
    Spoilt,
    TimeSpent,
)
from pgwatch_wed.load.load_pages.load_fixes import LoadFix, load_fixes
from pgwatch_wed.load.sampling.load_causes import LoadCause
from pgwatch_wed.load.stress_report import (
    Bounds,
    ComparedAs,
    ComparedMetric,
    DbTime,
    DbTimeShare,
    Generator,
    Knee,
    PercentileFigure,
    PerformanceReport,
    Phase,
    PhaseFigures,
    ProofChain,
    ProofStep,
    ReplayedStatement,
    ReplayFidelity,
    ScenarioRun,
    StressComparison,
    StressReport,
    WorkEffect,
)
from pgwatch_wed.render.characters import in_json
from pgwatch_wed.render.json_v1 import as_json, plain, remedy_document

STRESS_SCHEMA_VERSION = 1


def render_stress(report: StressReport) -> str:
    """Return the document."""
    text = json.dumps(stress_document(report), ensure_ascii=False, indent=2, allow_nan=False)
    return in_json(text) + "\n"


def render_performance(report: PerformanceReport) -> str:
    """Return the document of ``db-analyze perf``; docs/performance.schema.json describes it."""
    analysis = report.analysis
    document = {
        "schema_version": STRESS_SCHEMA_VERSION,
        "kind": "performance",
        "fixes": [_fix(f) for f in load_fixes(report.stress, analysis)],
        "stress": stress_document(report.stress),
        "analysis": as_json(analysis) if analysis else None,
    }
    return in_json(json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False)) + "\n"


def _fix(fix: LoadFix) -> dict[str, Any]:
    return {
        "title": fix.title,
        "concerns": fix.scenario,
        "gain": fix.gain,
        "grade": fix.grade.value,
        "is_proven": fix.is_proven,
        "why": fix.why,
        "remedy": [remedy_document(r) for r in fix.remedy],
    }


def stress_document(report: StressReport) -> dict[str, Any]:
    """Return the report as plain JSON values."""
    return {
        "schema_version": STRESS_SCHEMA_VERSION,
        "kind": "stress",
        "tool": {"name": "pgwatch_wed", "version": report.tool_version},
        "generated_at": report.generated_at.isoformat(),
        "profile": report.profile,
        "seed": report.seed,
        "believable": report.is_believable,
        "summary": {a.value: report.count(a) for a in Answer},
        "target": {
            "label": report.target.label,
            "is_embedded": report.target.is_embedded,
            "server_version": report.target.server_version,
            "server_version_num": report.target.server_version_num,
            "settings": dict(report.target.settings),
            "sync_ms": plain(report.target.sync_ms),
            "notes": list(report.target.notes),
        },
        "generator": generator_json(report.generator),
        "runs": [_run(r) for r in report.runs],
        "comparison": _comparison(report.comparison) if report.comparison else None,
        "ended_early": report.ended_early,
        "notes": list(report.notes),
    }


def generator_json(generator: Generator) -> dict[str, Any]:
    """Return what made the load as plain JSON values."""
    return {
        "program": generator.program,
        "cores": generator.cores,
        "cpu": generator.cpu,
        "machine": generator.machine,
    }


def _run(run: ScenarioRun) -> dict[str, Any]:
    return {
        "scenario": _scenario(run.scenario),
        "seed": run.seed,
        "spoilt": spoilt_json(run.spoilt),
        "objectives": [objective_json(o) for o in run.objectives],
        "knee": _knee(run.knee) if run.knee else None,
        "phases": [_phase(p) for p in run.phases],
        "causes": [_cause(c) for c in run.causes],
        "db_time": _db_time(run.db_time) if run.db_time else None,
        "proof": _proof(run.proof) if run.proof else None,
        "fidelity": _fidelity(run.fidelity) if run.fidelity else None,
        "analysis": as_json(run.analysis) if run.analysis else None,
        "no_analysis": run.no_analysis,
        "errors": list(run.errors),
        "ended_early": run.ended_early,
    }


def _scenario(scenario: Scenario) -> dict[str, Any]:
    return {
        "name": scenario.name,
        "title": scenario.title,
        "scripts": _scripts(scenario.scripts),
        "background": _scripts(scenario.background),
        "clients": scenario.clients,
        "think_s": plain(scenario.think_s),
        "is_writing": scenario.is_writing,
        "protocol": scenario.protocol.value,
        "reconnects": scenario.reconnects,
        "pooler": scenario.pooler,
        "max_tries": scenario.max_tries,
        "data": _digest(scenario.prepare),
    }


def _digest(statements: Iterable[str]) -> str:
    """Return what tells whether two runs had the same data."""
    return hashlib.sha256("\0".join(statements).encode()).hexdigest()[:16]


def _scripts(scripts: Iterable[LoadScript]) -> list[dict[str, Any]]:
    return [{"name": s.name, "weight": s.weight, "text": _text(s)} for s in scripts]


def _text(script: LoadScript) -> str:
    return "-- not shown: it contains values of users" if script.has_user_values else script.text


def spoilt_json(all_of_it: Iterable[Spoilt]) -> list[dict[str, str]]:
    """Return what makes times unfit to be evaluated as plain JSON values."""
    return [{"check": s.check, "text": s.text} for s in all_of_it]


def objective_json(result: ObjectiveResult) -> dict[str, Any]:
    """Return an objective and its answer as plain JSON values."""
    return {
        "name": result.objective.name,
        "limit": plain(result.objective.limit),
        "answer": result.answer.value,
        "value": plain(result.value),
        "interval": _interval(result.interval),
        "reason": result.reason,
    }


def _interval(found: Bounds | None) -> dict[str, Any] | None:
    return None if found is None else {"low": plain(found[0]), "high": plain(found[1])}


def _knee(knee: Knee) -> dict[str, Any]:
    return {
        "tps": plain(knee.tps),
        "clients": knee.clients,
        "is_open": knee.is_open,
        "reason": knee.reason,
    }


def _phase(phase: Phase) -> dict[str, Any]:
    return {
        "kind": phase.kind.value,
        "ended_early": phase.ended_early,
        "figures": figures_json(phase.figures) if phase.figures else None,
        "blocks": [block_json(b) for b in phase.blocks],
    }


def figures_json(f: PhaseFigures) -> dict[str, Any]:
    """Return blocks taken together as plain JSON values."""
    return {
        "blocks": f.blocks,
        "believed": f.believed,
        "seconds": plain(f.seconds),
        "is_open": f.is_open,
        "rate": plain(f.rate),
        "clients": f.clients,
        "transactions": f.transactions,
        "failures": {k.value: n for k, n in f.failures.items()},
        "retries": f.retries,
        "tps": plain(f.tps),
        "error_share": plain(f.error_share),
        "error_interval": _interval(f.error_interval),
        "latency": [percentile_json(p) for p in f.latency],
        "lag": [percentile_json(p) for p in f.lag],
        "service": [percentile_json(p) for p in f.service],
        "histogram": f.histogram.encoded() if f.histogram else None,
        "work": _work(f.work) if f.work else None,
    }


def percentile_json(figure: PercentileFigure) -> dict[str, Any]:
    """Return a percentile as plain JSON values."""
    return {
        "percent": figure.percent,
        "ms": plain(figure.ms),
        "interval": _interval(figure.interval),
        "reason": figure.reason,
    }


def block_json(block: Block) -> dict[str, Any]:
    """Return a block as plain JSON values."""
    order = block.order
    return {
        "began": datetime.fromtimestamp(block.began, UTC).isoformat(),
        "seconds": plain(block.seconds),
        "warmup_s": plain(order.warmup_s),
        "clients": order.clients,
        "rate": plain(order.rate),
        "seed": order.seed,
        "settings": dict(order.settings),
        "transactions": block.transactions,
        "failures": {k.value: n for k, n in block.failures.items()},
        "retries": block.retries,
        "tps": plain(block.tps),
        "spent": _spent(block.spent),
        "by_script": {name: _spent(spent) for name, spent in block.by_script.items()},
        "work": _work(block.work) if block.work else None,
        "machine": _machine(block.machine),
        "spoilt": spoilt_json(block.spoilt),
        "errors": list(block.errors),
        "ended_early": block.ended_early,
    }


def _spent(spent: TimeSpent) -> dict[str, Any]:
    return {
        "latency": _times(spent.latency),
        "lag": _times(spent.lag) if spent.lag is not None else None,
        "service": _times(spent.service),
    }


def _times(times: Latencies) -> dict[str, Any]:
    return {
        "count": times.count,
        "mean_ms": plain(times.mean()),
        **{f"p{percent}_ms": plain(times.percentile(percent)) for percent in (50, 95, 99)},
    }


def _work(work: BlockWork) -> dict[str, Any]:
    return {
        "transactions": work.transactions,
        "blocks_hit": work.blocks_hit,
        "blocks_read": work.blocks_read,
        "rows_changed": work.rows_changed,
        "temp_bytes": work.temp_bytes,
        "wal_records": work.wal_records,
        "wal_bytes": work.wal_bytes,
        "wal_full_page_images": work.wal_full_page_images,
        "upkeep": work.upkeep,
        "cpu_ms": plain(work.cpu_ms),
        "plans": dict(work.plans),
    }


def _machine(machine: Machine) -> dict[str, Any]:
    return {
        "cores": machine.cores,
        "generator_cpu": plain(machine.generator_cpu),
        "generator_pressure": plain(machine.generator_pressure),
        "others_cpu": plain(machine.others_cpu),
        "pressure": plain(machine.pressure),
        "steal": plain(machine.steal),
    }


def _cause(cause: LoadCause) -> dict[str, Any]:
    return {
        "kind": cause.kind.value,
        "share": plain(cause.share),
        "direct": plain(cause.direct),
        "interval": _interval(cause.interval),
        "text": cause.text,
        "grade": cause.grade.value,
        "symptom_of": cause.symptom_of.value if cause.symptom_of else None,
        "concerns": cause.concerns,
        "evidence": plain(cause.evidence),
        "queries": [
            {"query_id": q.query_id, "query": q.text, "share": plain(q.share)}
            for q in cause.queries
        ],
    }


def _db_time(time: DbTime) -> dict[str, Any]:
    return {
        "seconds": plain(time.seconds),
        "samples": time.samples,
        "active_sessions": plain(time.active_sessions),
        "largest_gap_s": plain(time.largest_gap_s),
        "source": time.source,
        "symptoms": [_share(s) for s in time.symptoms],
        "charged": [_share(s) for s in time.charged],
        "missing": time.missing,
        "doubts": list(time.doubts),
    }


def _share(share: DbTimeShare) -> dict[str, Any]:
    return {
        "query_id": share.query_id,
        "query": share.query,
        "wait": share.wait,
        "share": plain(share.share),
        "seconds": plain(share.seconds),
        "through": plain(share.through),
    }


def _proof(chain: ProofChain) -> dict[str, Any]:
    return {
        "steps": [_step(s) for s in chain.steps],
        "ended": chain.ended,
        "interrupted": chain.is_interrupted,
        "capacity": plain(chain.capacity),
        "capacity_interval": _interval(chain.capacity_interval),
        "left_behind": list(chain.left_behind),
    }


def _step(step: ProofStep) -> dict[str, Any]:
    return {
        "cause": step.cause,
        "probe": step.probe,
        "result": step.result.value,
        "metric": step.metric,
        "ratio": plain(step.ratio),
        "interval": _interval(step.interval),
        "pairs": step.pairs,
        "pairs_needed": step.pairs_needed,
        "reason": step.reason,
        "remedy": [remedy_document(r) for r in step.remedy],
        "remains": step.remains,
        "capacity_before": plain(step.capacity_before),
        "capacity_after": plain(step.capacity_after),
        "capacity_interval": _interval(step.capacity_interval),
        "kind": step.kind,
        "share": plain(step.share),
        "findings": list(step.findings),
        "before": [plain(value) for value in step.before],
        "after": [plain(value) for value in step.after],
        "work": [_work_effect(w) for w in step.work],
        "seconds": plain(step.seconds),
    }


def _work_effect(effect: WorkEffect) -> dict[str, Any]:
    return {
        "name": effect.name,
        "before": [plain(value) for value in effect.before],
        "after": [plain(value) for value in effect.after],
        "ratio": plain(effect.ratio),
        "interval": _interval(effect.interval),
        "result": effect.shows.value,
    }


def _comparison(found: StressComparison) -> dict[str, Any]:
    return {
        "label": found.label,
        "taken_at": found.taken_at.isoformat() if found.taken_at else None,
        "summary": {r.value: found.count(r) for r in ComparedAs},
        "metrics": [_metric(m) for m in found.metrics],
        "notes": list(found.notes),
    }


def _metric(metric: ComparedMetric) -> dict[str, Any]:
    return {
        "scenario": metric.scenario,
        "metric": metric.metric,
        "is_work": metric.is_work,
        "before": plain(metric.before),
        "after": plain(metric.after),
        "ratio": plain(metric.ratio),
        "interval": _interval(metric.interval),
        "result": metric.result.value,
        "reason": metric.reason,
        "pairs_needed": metric.pairs_needed,
    }


def _fidelity(fidelity: ReplayFidelity) -> dict[str, Any]:
    return {
        "covered_share": plain(fidelity.covered_share),
        "statements": [_replayed(s) for s in fidelity.statements],
        "not_reproduced": list(fidelity.not_reproduced),
    }


def _replayed(statement: ReplayedStatement) -> dict[str, Any]:
    return {
        "query_id": statement.query_id,
        "query": statement.query,
        "share": plain(statement.share),
        "is_used": statement.is_used,
        "reason": statement.reason,
        "rows_per_call": {"production": statement.rows_there, "replay": statement.rows_here},
        "blocks_per_call": {"production": statement.blocks_there, "replay": statement.blocks_here},
    }
