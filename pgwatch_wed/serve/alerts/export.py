"""The same alerts for a Prometheus and an Alertmanager: rules, routes, inhibitions, and tests that show them fire."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pgwatch_wed.errors import Error
from pgwatch_wed.serve.alerts import notation
from pgwatch_wed.serve.alerts.alert_states import ActiveAlert
from pgwatch_wed.serve.alerts.alerting import rule_groups
from pgwatch_wed.serve.alerts.evaluation import RuleEvaluation
from pgwatch_wed.serve.alerts.promql.number_texts import duration_text
from pgwatch_wed.serve.alerts.promql.vectors import Semantics
from pgwatch_wed.serve.alerts.rule_files import (
    OUTSIDE,
    AlertRule,
    RuleGroup,
    every_rule,
    parse,
)
from pgwatch_wed.serve.alerts.scenarios import FAULT_STEP, FAULTS, NIGHT, NIGHT_STEPS, STEP_S
from pgwatch_wed.serve.slo import slo_rules

RULES, ROUTES, TESTS = "rules.yaml", "alertmanager.yaml", "rules_test.yaml"


class ExportError(Error):
    """The directory cannot be written."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written; ``untested`` are the rules for which we know no fault, or that it does not fire."""

    files: tuple[Path, ...]
    rules: int
    untested: tuple[str, ...]


def service_groups(paths: Sequence[Path]) -> tuple[RuleGroup, ...]:
    """Return all rules that the service evaluates: of files, or ours; and those of the objectives."""
    return (*rule_groups(paths), *parse(slo_rules.rules_yaml(), "slo"))


def export(groups: Sequence[RuleGroup], folder: Path, semantics: Semantics) -> Exported:
    """Write the files."""
    tested = dict(_fault_tests(groups, semantics))
    tests = {
        "rule_files": [RULES],
        "evaluation_interval": f"{STEP_S}s",
        "tests": [*tested.values(), _night_test()],
    }
    texts = {RULES: _rules(groups), ROUTES: _ROUTES, TESTS: _yaml(tests)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ExportError(f"{folder}: cannot be written: {error.strerror}") from None
    names = [r.name for r in every_rule(groups) if not r.is_record]
    untested = tuple(name for name in names if name not in tested)
    return Exported(tuple(folder / name for name in texts), len(names), untested)


def _yaml(document: Any) -> str:
    import yaml

    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110))


def _rules(groups: Sequence[RuleGroup]) -> str:
    written: list[dict[str, Any]] = []
    for group in groups:
        table: dict[str, Any] = {"name": group.name}
        if group.interval_ms:
            table["interval"] = duration_text(group.interval_ms)
        table["rules"] = [_rule(rule) for rule in group.rules]
        written.append(table)
    return _yaml({"groups": written})


def _rule(rule: AlertRule) -> dict[str, Any]:
    found: dict[str, Any] = {"record" if rule.is_record else "alert": rule.name, "expr": rule.query}
    if rule.for_ms:
        found["for"] = duration_text(rule.for_ms)
    if rule.keep_firing_ms:
        found["keep_firing_for"] = duration_text(rule.keep_firing_ms)
    labels = {k: v for k, v in rule.labels.items() if (k, v) != OUTSIDE}
    if labels:
        found["labels"] = labels
    if rule.annotations:
        found["annotations"] = dict(rule.annotations)
    return found


def _fault_tests(
    groups: Sequence[RuleGroup], semantics: Semantics
) -> Iterator[tuple[str, dict[str, Any]]]:
    for rule in every_rule(groups):
        fault = FAULTS.get(rule.name)
        if rule.is_record or fault is None:
            continue
        due_s = FAULT_STEP * STEP_S + fault.fires_s
        alerts = firing(only(groups, rule), fault.series, due_s, semantics)
        if not alerts:
            continue
        healthy_s = (FAULT_STEP - 1) * STEP_S
        before = [] if rule.name != "Watchdog" else [_expected(a, rule) for a in alerts]
        yield (
            rule.name,
            {
                "name": f"{rule.name} fires {fault.fires_s} s after its fault at the latest",
                "interval": f"{STEP_S}s",
                "input_series": _input(fault.series),
                "alert_rule_test": [
                    _test(healthy_s, rule.name, before),
                    _test(due_s, rule.name, [_expected(a, rule) for a in alerts]),
                ],
            },
        )


def _night_test() -> dict[str, Any]:
    series = {**NIGHT, 'up{job="pgwatch-wed",instance="a"}': f"1x{NIGHT_STEPS - 1}"}
    fired = 'ALERTS{alertstate="firing",alertname!="Watchdog"}'
    end_s = (NIGHT_STEPS - 1) * STEP_S
    return {
        "name": "on a healthy night all are silent",
        "interval": f"{STEP_S}s",
        "input_series": _input(series),
        "promql_expr_test": [
            {
                "expr": f"count_over_time({fired}[{NIGHT_STEPS * STEP_S}s])",
                "eval_time": f"{end_s}s",
                "exp_samples": [],
            },
        ],
    }


def _input(series: Mapping[str, str]) -> list[dict[str, str]]:
    # A test without series would have no time at all.
    given = series or {"up": f"1x{2 * FAULT_STEP}"}
    return [{"series": name, "values": values} for name, values in given.items()]


def _test(at_s: int, name: str, alerts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"eval_time": f"{at_s}s", "alertname": name, "exp_alerts": alerts}


def _expected(alert: ActiveAlert, rule: AlertRule) -> dict[str, Any]:
    hidden = {"alertname", *((OUTSIDE[0],) if rule.is_outside else ())}
    labels = {k: v for k, v in alert.labels if k not in hidden}
    return {"exp_labels": labels, "exp_annotations": dict(alert.annotations)}


def only(groups: Sequence[RuleGroup], rule: AlertRule) -> tuple[RuleGroup, ...]:
    """Return groups with one alert, and what is recorded for it."""
    return tuple(
        replace(group, rules=tuple(r for r in group.rules if r.is_record or r is rule))
        for group in groups
    )


def firing(
    groups: Sequence[RuleGroup], series: Mapping[str, str], at_s: int, semantics: Semantics
) -> list[ActiveAlert]:
    """Return what fires at a moment of a scenario."""
    evaluation = RuleEvaluation(groups, semantics, is_outside=True)
    wanted = {notation.labels(name): list(notation.values(v)) for name, v in series.items()}
    for step in range(at_s // STEP_S + 1):
        for labels, values in wanted.items():
            value = values[step] if step < len(values) else None
            if value is not None:
                evaluation.memory.append(labels, step * STEP_S * 1000, value)
        evaluation.evaluate(step * STEP_S * 1000)
    return [a for _, a in evaluation.alerts() if a.state == "firing"]


_ROUTES = """\
# Routes and inhibitions for the alerts of rules.yaml. Fill in the receivers:
# https://prometheus.io/docs/alerting/latest/configuration/#receiver
route:
  receiver: warning  # whatever its severity is called
  group_by: [target, severity]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 4h
  routes:
    - matchers: ['alertname="Watchdog"']
      receiver: watchdog
      group_by: [alertname]
      group_wait: 0s
      group_interval: 1m
      repeat_interval: 1m
    - matchers: ['severity="critical"']
      receiver: critical
      group_wait: 5s
      group_interval: 1m
      repeat_interval: 1h
    - matchers: ['severity="info"']
      receiver: info
      repeat_interval: 12h
receivers:
  - name: critical
  - name: warning
  - name: info
  - name: watchdog
inhibit_rules:
  # A worse alert of a topic stands for the lesser.
  - source_matchers: ['severity="critical"', 'topic=~".+"']
    target_matchers: ['severity=~"warning|info"', 'topic=~".+"']
    equal: [topic, target]
  - source_matchers: ['severity="warning"', 'topic=~".+"']
    target_matchers: ['severity="info"', 'topic=~".+"']
    equal: [topic, target]
  # What is computed from a database says nothing more while nobody can read it.
  - source_matchers: ['alertname="DatabaseUnreachable"']
    target_matchers: ['source="database"']
    equal: [target]
  - source_matchers: ['alertname="DatabaseRefuses"']
    target_matchers: ['alertname="FactsStale"']
    equal: [target]
  - source_matchers: ['alertname="DatabaseUnreachable"']
    target_matchers: ['alertname="ServiceDown"']
    equal: [target]
"""
