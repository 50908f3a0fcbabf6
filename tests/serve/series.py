"""Generated series for rules: counters with resets, gaps, births and ends; the text that promtool reads."""

import json
import math
import random
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pgwatch_wed.serve.alerts.alert_states import ActiveAlert
from pgwatch_wed.serve.alerts.evaluation import RuleEvaluation
from pgwatch_wed.serve.alerts.promql.number_texts import shown
from pgwatch_wed.serve.alerts.promql.vectors import Semantics
from pgwatch_wed.serve.alerts.rule_files import RuleGroup, every_rule, parse
from pgwatch_wed.serve.alerts.sample_memory import STALE, is_stale
from pgwatch_wed.serve.state import Labels

STEP_MS = 15_000
Values = list[float | None]
PROMTOOL = shutil.which("promtool")

# What exercises every part of the evaluator; {{ $value }} is in each annotation, so that values are compared too.
WORKOUT = {
    "rate": "rate(c_total[1m]) > 0.05",
    "increase": "increase(c_total[2m]) >= 3",
    "increase_of_sum": "sum by (b) (increase(c_total[5m])) > 10",
    "irate": "irate(c_total[90s]) > 0.2",
    "resets": "resets(c_total[5m]) > 0",
    "changes": "changes(g[5m]) > 5",
    "delta": "delta(g[3m]) > 20",
    "deriv": "deriv(g[5m]) > 0.1",
    "predict": "predict_linear(g[5m], 600) < 0",
    "over_time": "max_over_time(g[2m]) - min_over_time(g[2m]) > 60",
    "avg_over_time": "avg_over_time(g[3m]) > 60",
    "deviation": "stddev_over_time(g[5m]) > 25",
    "quantile_over_time": "quantile_over_time(0.9, g[5m]) > 90",
    "count_over_time": "count_over_time(g[1m]) < 3",
    "last_over_time": "last_over_time(g[2m]) < 10",
    "histogram": "histogram_quantile(0.9, sum by (le) (rate(h_bucket[2m]))) > 0.3",
    "absent": 'absent(g{a="1",b="x"})',
    "absent_over_time": 'absent_over_time(c_total{a="2"}[1m])',
    "ratio": "sum by (b) (rate(c_total[2m])) / sum by (b) (rate(d_total[2m])) > 1.003",
    "join": "g / on (b) group_left (z) s > 2",
    "and_unless": "g > 50 and on (b) s < 40 unless g > 90",
    "or": "g > 95 or s < 5",
    "bool": "sum(g > bool 50) >= 3",
    "topk": "topk(2, g) > 70",
    "without": "max without (a) (g) > 80",
    "offset": "g - g offset 1m > 50",
    "scalar": "g > 1.5 * scalar(avg(g))",
    "stale": "time() - timestamp(g) > 20",
    "subquery": "max_over_time(rate(c_total[1m])[3m:30s]) > 0.3",
    "recorded": "rec:c > 0.151",
    "clamp": "clamp(g, 10, 60) == 60",
    "replace": 'label_replace(s, "z", "$1-$1", "z", "(.).*") > 70',
    "quantile": "quantile by (b) (0.5, g) > 60",
    "negative": "-g < -90",
}
_HOLDS = ((0, 0), (45, 0), (60, 30), (0, 60), (120, 120))


@dataclass
class Series:
    """A series with a value, nothing or an end at each step."""

    name: str
    labels: dict[str, str]
    values: Values = field(default_factory=list)

    def key(self) -> Labels:
        return tuple(sorted({"__name__": self.name, **self.labels}.items()))

    def text(self) -> str:
        inner = ",".join(f"{k}={json.dumps(v)}" for k, v in sorted(self.labels.items()))
        return f"{self.name}{{{inner}}}"


def _walk(rng: random.Random, steps: int, low: float = 0, high: float = 100) -> Values:
    value = rng.uniform(low, high)
    found: Values = []
    for _ in range(steps):
        if rng.random() < 0.3:
            value += rng.gauss(0, 15)
            if not low <= value <= high:  # never twice the same: promtool breaks ties at random
                value = rng.uniform(low, high)
        found.append(math.nan if rng.random() < 0.004 else round(value, 3))
    return found


def _counter(rng: random.Random, steps: int) -> Values:
    value = float(rng.choice((0, 0, 5, 1000)))
    pace = rng.choice((0.2, 1, 6))
    found: Values = []
    for _ in range(steps):
        if rng.random() < 0.01:
            value = 0.0
        if rng.random() < 0.02:
            pace = rng.choice((0, 0.2, 1, 6))
        value += rng.randrange(0, 3) * pace
        found.append(round(value, 3))
    return found


def _damaged(rng: random.Random, values: Values) -> Values:
    """Cut in gaps, a birth and ends."""
    found = list(values)
    if rng.random() < 0.4:
        born = rng.randrange(len(found) // 2)
        found[:born] = [None] * born
    i = 0
    while i < len(found):
        draw = rng.random()
        if draw < 0.01:
            gap = rng.choice((1, 1, 2, 3, 8, 30))
            found[i : i + gap] = [None] * len(found[i : i + gap])
            i += gap
        elif draw < 0.015:
            gap = rng.choice((1, 4, 25))
            found[i : i + gap] = [STALE] + [None] * (len(found[i : i + gap]) - 1)
            i += gap
        i += 1
    return found


def generated(seed: int, steps: int) -> list[Series]:
    """Return the series of a seed that the workout asks for."""
    rng = random.Random(seed)
    found = [Series("s", {"b": b, "z": f"{b}{b}"}, _walk(rng, steps)) for b in "xyw"]
    for a in "123":
        for b in "xy":
            found += [
                Series("g", {"a": a, "b": b}, _walk(rng, steps)),
                Series("c_total", {"a": a, "b": b}, _counter(rng, steps)),
                Series("d_total", {"a": a, "b": b}, _counter(rng, steps)),
            ]
    found = [Series(s.name, s.labels, _damaged(rng, s.values)) for s in found]
    return found + list(_histogram(rng, steps))


def _histogram(rng: random.Random, steps: int) -> Iterator[Series]:
    shares = _counter(rng, steps), _counter(rng, steps), _counter(rng, steps)
    total: Values = [0.0] * steps
    for le, share in zip(("0.1", "0.5", "+Inf"), shares, strict=True):
        total = [(t or 0.0) + (v or 0.0) for t, v in zip(total, share, strict=True)]
        yield Series("h_bucket", {"le": le}, list(total))


def for_metrics(
    wanted: Mapping[str, Sequence[dict[str, str]]], seed: int, steps: int
) -> list[Series]:
    """Return series for metrics with given labels: counters where the name says so."""
    rng = random.Random(seed)
    found = []
    for name, label_sets in wanted.items():
        is_counter = name.endswith(("_total", "_count", "_bucket", "_sum"))
        for labels in label_sets:
            values = (
                _counter(rng, steps)
                if is_counter
                else _walk(rng, steps, 0, rng.choice((1, 100, 5000)))
            )
            found.append(Series(name, dict(labels), _damaged(rng, values)))
    return found


def workout_rules() -> str:
    """Return the rules file of the workout."""
    rules: list[dict[str, Any]] = [{"record": "rec:c", "expr": "sum by (b) (rate(c_total[1m]))"}]
    for i, (name, query) in enumerate(WORKOUT.items()):
        hold, keep = _HOLDS[i % len(_HOLDS)]
        rule: dict[str, Any] = {"alert": name, "expr": query, "labels": {"severity": "page"}}
        if hold:
            rule["for"] = f"{hold}s"
        if keep:
            rule["keep_firing_for"] = f"{keep}s"
        rule["annotations"] = {"value": '{{ printf "%.5g" $value }}'}
        rules.append(rule)
    return json.dumps({"groups": [{"name": "workout", "rules": rules}]})


def replayed(
    groups: Sequence[RuleGroup], series: Sequence[Series], steps: int, *, is_old: bool = True
) -> Iterator[tuple[int, list[ActiveAlert]]]:
    """Yield the alerts at each step."""
    evaluation = RuleEvaluation(groups, Semantics(is_left_open=not is_old, step_ms=STEP_MS))
    keyed = [(s.key(), s.values) for s in series if evaluation.memory.wants(s.name)]
    for step in range(steps):
        at_ms = step * STEP_MS
        for labels, values in keyed:
            value = values[step]
            if value is not None:
                evaluation.memory.append(labels, at_ms, value)
        evaluation.evaluate(at_ms)
        yield at_ms, [alert for _, alert in evaluation.alerts()]


@dataclass
class Comparison:
    """How often promtool and we said the same."""

    evaluations: int = 0
    firing: int = 0
    differences: list[str] = field(default_factory=list)


def compared(rules: str, series: Sequence[Series], steps: int, folder: Path) -> Comparison:
    """Ask promtool at every step whether what fires, and with which values, is what fires here."""
    assert PROMTOOL is not None
    groups = parse(rules, "rules")
    names = [r.name for r in every_rule(groups) if not r.is_record and not r.is_outside]
    result = Comparison()
    tests: list[dict[str, Any]] = []
    for at_ms, alerts in replayed(groups, series, steps):
        firing = [a for a in alerts if a.state == "firing"]
        result.evaluations += len(names)
        result.firing += len(firing)
        for name in names:
            expected = [_expected(a) for a in firing if dict(a.labels)["alertname"] == name]
            tests.append(
                {"eval_time": f"{at_ms // 1000}s", "alertname": name, "exp_alerts": expected}
            )
    said = _asked(rules, series, tests, folder)
    result.differences = [line for line in said.splitlines() if "alertname:" in line]
    if "FAILED" in said and not result.differences:
        result.differences = [said[:2000]]
    return result


def _expected(alert: ActiveAlert) -> dict[str, Any]:
    labels = {k: v for k, v in alert.labels if k != "alertname"}
    return {"exp_labels": labels, "exp_annotations": dict(alert.annotations)}


def _asked(
    rules: str, series: Sequence[Series], tests: Sequence[dict[str, Any]], folder: Path
) -> str:
    (folder / "rules.yaml").write_text(rules)
    document = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "input_series": [
                    {"series": s.text(), "values": " ".join(map(_written, s.values))}
                    for s in series
                ],
                "alert_rule_test": tests,
            }
        ],
    }
    path = folder / "test.yaml"
    path.write_text(json.dumps(document))
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, "test", "rules", str(path)], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def _written(value: float | None) -> str:
    if value is None:
        return "_"
    return "stale" if is_stale(value) else shown(value)
