"""What the service says of itself: how collecting goes, what it costs, and what the rules found."""

from collections import Counter

from pgwatch_wed.serve.collector import tiers
from pgwatch_wed.serve.metrics.metric_registry import Readings, registered
from pgwatch_wed.serve.state import Collected
from pgwatch_wed.target.collect import ORDER

SUCCESS = registered(
    "gauge",
    "collection_success",
    "target tier",
    "collector",
    "1 if the last reading of a tier was complete, 0 if it failed.",
)
DURATION = registered(
    "gauge",
    "collection_duration_seconds",
    "target tier",
    "collector",
    "How long the last reading of a tier took.",
)
LAST_SUCCESS = registered(
    "gauge",
    "collection_last_success_timestamp_seconds",
    "target tier",
    "collector",
    "When a tier was last read.",
)
INTERVAL = registered(
    "gauge",
    "collection_interval_seconds",
    "target tier",
    "collector",
    "How often a tier is read now; more than configured if reading exceeds its budget.",
)
STRETCH = registered(
    "gauge",
    "collection_stretch_ratio",
    "target tier",
    "collector",
    "By how much the interval is longer than configured, because of the budget; 1 if it is not.",
)
COST = registered(
    "gauge",
    "collection_cost_ratio",
    "target",
    "collector",
    "How much of one core of the server reading takes with the configured intervals, at most.",
)
QUERY_SECONDS = registered(
    "counter",
    "collection_query_seconds_total",
    "target fact",
    "collector",
    "Time that the server took for our queries, at most, by fact.",
)
QUERY_ROWS = registered(
    "counter",
    "collection_rows_total",
    "target fact",
    "collector",
    "Rows that our queries returned, by fact.",
)
FACT_MISSING = registered(
    "gauge",
    "fact_missing",
    "target fact",
    "collector",
    "1 if a fact cannot be read or is too old, 0 if it is known.",
)
RULE_VERDICT = registered(
    "gauge",
    "rule_verdict",
    "target rule verdict",
    "rules",
    "What a rule said last: finding, clear or unknown; 1 for that verdict.",
)
RULE_JUDGED = registered(
    "gauge",
    "rules_last_run_timestamp_seconds",
    "target",
    "rules",
    "When the rules judged last.",
)
FINDINGS = registered(
    "gauge", "findings", "target rule severity grade", "rules", "Findings of a rule."
)


def collection_readings(collected: Collected) -> Readings:
    """Yield how collecting goes; also while a target is unreachable."""
    target = collected.target
    for tier in tiers.FACTS:
        reading = collected.readings.get(tier)
        if reading is not None:
            yield SUCCESS, (target, tier), float(reading.succeeded)
            yield DURATION, (target, tier), reading.seconds
            yield LAST_SUCCESS, (target, tier), reading.succeeded_at
        yield INTERVAL, (target, tier), collected.intervals_s.get(tier)
        yield STRETCH, (target, tier), collected.stretched.get(tier)
    yield COST, (target,), collected.cost_share
    for fact in sorted(collected.query_seconds):
        yield QUERY_SECONDS, (target, fact), collected.query_seconds[fact]
        yield QUERY_ROWS, (target, fact), collected.query_rows.get(fact, 0)
    if collected.snapshot is not None:
        for fact in ORDER:
            yield FACT_MISSING, (target, fact), float(fact in collected.snapshot.missing)
    yield from _verdicts(collected)


def _verdicts(collected: Collected) -> Readings:
    report = collected.report
    if report is None:
        return
    yield RULE_JUDGED, (collected.target,), collected.judged_at
    for verdict in sorted(report.verdicts, key=lambda v: v.rule):
        yield RULE_VERDICT, (collected.target, verdict.rule, verdict.verdict.value), 1
    count = Counter((f.rule, f.severity.value, f.grade.value) for f in report.findings)
    for key in sorted(count):
        yield FINDINGS, (collected.target, *key), count[key]
