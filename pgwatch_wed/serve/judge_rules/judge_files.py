"""Files of rules → objections: by what is written, and by evaluating it on what is exposed while nothing moves."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from pgwatch_wed.app.metrics import AppMetrics
from pgwatch_wed.errors import Error
from pgwatch_wed.serve.alerts.promql.evaluate import Moment, as_vector, evaluate
from pgwatch_wed.serve.alerts.promql.nodes import reaches
from pgwatch_wed.serve.alerts.promql.vectors import EvaluationError, Semantics
from pgwatch_wed.serve.alerts.rule_files import AlertRule, RuleFileError, readable
from pgwatch_wed.serve.alerts.sample_memory import SampleMemory
from pgwatch_wed.serve.judge_rules.exposed_metrics import Exposed, as_scraped
from pgwatch_wed.serve.judge_rules.objections import Objection, Surroundings
from pgwatch_wed.serve.judge_rules.rule_checks import CHECKS
from pgwatch_wed.serve.metrics import exporter  # noqa: F401 - it registers all metrics
from pgwatch_wed.serve.metrics.metric_registry import Metric
from pgwatch_wed.serve.metrics.of_other_parts import HTTP, listed

_STEP_MS = 15_000
# The error of a query that matches too much.
_EXPLODES = "labels-match-too-much"
_NOW_MS = 1_700_000_000_000


@dataclass(frozen=True, slots=True)
class JudgedRules:
    """What was found; ``refused`` are rules that could not be judged, and why."""

    rules: int
    objections: tuple[Objection, ...]
    refused: tuple[str, ...]


def judge(paths: Sequence[Path], exposed: Exposed, scrape_ms: int) -> JudgedRules:
    """Judge the rules of files."""
    rules: list[AlertRule] = []
    refused: list[str] = []
    for path in paths:
        found, unread = readable(_text(path), str(path))
        rules += found
        refused += unread
    recorded = {r.name for r in rules if r.is_record}
    around = Surroundings(exposed, frozenset(recorded | own_metrics()), scrape_ms)
    objections = [o for rule in rules for o in _of_rule(rule, around)]
    return JudgedRules(len(rules), tuple(objections), tuple(refused))


def own_metrics() -> set[str]:
    """Return what our service and an application that uses it may expose, whether or not there is a value now."""
    registry = CollectorRegistry()
    AppMetrics(registry=registry)
    names = {s.name for family in registry.collect() for s in family.samples}
    for metric in (*listed(), HTTP):
        parts = ("_bucket", "_count", "_sum") if metric.kind == "histogram" else ("",)
        names.update(f"{_full_name(metric)}{part}" for part in parts)
    return names


def _full_name(metric: Metric) -> str:
    return metric.name if metric is HTTP else metric.full_name


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise RuleFileError(f"{path}: cannot be read: {reason}") from None


def _of_rule(rule: AlertRule, around: Surroundings) -> Iterator[Objection]:
    if rule.is_record:
        return
    for check, function in CHECKS.items():
        seen = set()
        for why, series in function(rule, around):
            if why not in seen:
                seen.add(why)
                yield Objection(rule.name, rule.source, check, why, series)
    if around.exposed.is_known:
        yield from _at_rest(rule, around.exposed)


def _at_rest(rule: AlertRule, exposed: Exposed) -> Iterator[Objection]:
    """Evaluate a rule on what is exposed, as if it had been so for as long as the rule looks back."""
    back = max((r.back_ms for r in reaches(rule.node, _STEP_MS)), default=0) + 4 * _STEP_MS
    wanted = {r.selector.name for r in reaches(rule.node, _STEP_MS)}
    memory = SampleMemory()
    for labels, value in as_scraped(exposed):
        if "" in wanted or dict(labels)["__name__"] in wanted:
            # Two moments suffice where nothing moves, but a gap of more than five minutes would be an end.
            for at in range(_NOW_MS - min(back, 3600_000), _NOW_MS + 1, _STEP_MS * 4):
                memory.append(labels, at, value)
            memory.append(labels, _NOW_MS, value)
    try:
        as_vector(evaluate(rule.node, Moment(memory, _NOW_MS, Semantics())))
    except EvaluationError as error:
        yield Objection(rule.name, rule.source, _EXPLODES, error.message)
    except Error:
        return
