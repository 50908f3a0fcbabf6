"""Files of rules: ours is complete and valid, and what is wrong in anybody's is one line."""

import importlib
import json
import pkgutil
import re
import subprocess
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from pgwatch_wed.app.metrics import AppMetrics
from pgwatch_wed.errors import UsageError
from pgwatch_wed.serve import metrics
from pgwatch_wed.serve.alerts.alert_settings import AlertSettings, parse_alerts
from pgwatch_wed.serve.alerts.alerting import default_rules, rule_groups
from pgwatch_wed.serve.alerts.export import service_groups
from pgwatch_wed.serve.alerts.promql import number_texts
from pgwatch_wed.serve.alerts.promql.nodes import InstantNode, every
from pgwatch_wed.serve.alerts.rule_files import RuleFileError, every_rule, parse
from pgwatch_wed.serve.alerts.templates import TemplateError, template
from pgwatch_wed.serve.metrics.metric_registry import all_metrics
from pgwatch_wed.serve.metrics.of_other_parts import HTTP
from tests.serve.default_series import METRICS
from tests.serve.series import PROMTOOL, Series, replayed

# The guide's list, and what shows each line of it.
GUIDE = {
    "Service Down": {"ServiceDown"},
    "High Error Rate": {"HttpErrorsHigh"},
    "Database Issues": {"DatabaseUnreachable", "DatabaseQueriesOver5s"},
    "Payment Failures": {"PaymentsFailing"},
    "Response Time": {"ResponseTimeHigh"},
    "Cache Issues": {"CacheHitRatioLow"},
    "High Load": {"HostCpuHigh", "HostMemoryHigh"},
    "Database Performance": {"DatabaseQueriesOver200ms"},
    "Capacity Planning": {"ConnectionsNearLimit"},
    "Index Maintenance": {"DeadTuplesHigh"},
    "Security Events": {"RateLimitElevated"},
}
OURS = {r.name: r for r in every_rule(service_groups(())) if not r.is_record}


def test_every_alert_of_the_guide_is_there_with_its_duration() -> None:
    assert not set.union(*GUIDE.values()) - OURS.keys()
    minutes = {name: OURS[name].for_ms / 60_000 for names in GUIDE.values() for name in names}
    assert minutes["ServiceDown"] == 1
    assert minutes["HttpErrorsHigh"] == 2
    assert minutes["ResponseTimeHigh"] == 5
    assert minutes["HostCpuHigh"] == minutes["HostMemoryHigh"] == 10


def test_every_alert_says_who_is_called_and_where_to_read_on() -> None:
    for name, rule in OURS.items():
        assert {"summary", "description"} <= rule.annotations.keys(), name
        assert rule.annotations["runbook_url"] == f"docs/runbooks/{name}.md"
        assert rule.labels["severity"] in ("critical", "warning", "info", "none"), name
        assert rule.labels["topic"], name
        if name != "Watchdog":
            assert rule.labels["priority"] in ("P0", "P1", "P2", "P3"), name
    assert [name for name, rule in OURS.items() if rule.is_outside] == ["MonitorDown"]


def test_every_metric_of_our_rules_has_series_in_the_tests() -> None:
    used = {
        node.name
        for rule in every_rule(service_groups(()))
        if not rule.is_outside
        for node in every(rule.node)
        if isinstance(node, InstantNode)
    }
    recorded = {r.name for r in every_rule(service_groups(())) if r.is_record}
    assert used - recorded == METRICS.keys()


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is missing")
def test_promtool_has_nothing_to_say_about_our_rules(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(default_rules())
    done = subprocess.run(
        [str(PROMTOOL), "check", "rules", "--lint=all", "--lint-fatal", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "SUCCESS" in done.stdout


def test_every_metric_of_our_rules_is_exposed_with_the_labels_that_they_use() -> None:
    for module in pkgutil.iter_modules(metrics.__path__):
        importlib.import_module(f"{metrics.__name__}.{module.name}")
    exposed = {m.full_name: set(m.labels) for m in all_metrics()}
    exposed[HTTP.name] = set(HTTP.labels)
    application = CollectorRegistry()
    AppMetrics(registry=application)
    for family in application.collect():
        exposed.update((s.name, set(s.labels)) for s in family.samples)
    for name, series in METRICS.items():
        base = name if name in exposed else re.sub("_(bucket|count|sum)$", "", name)
        assert {frozenset(s) - {"le"} for s in series} == {frozenset(exposed[base])}, name


def rule(**given: object) -> str:
    return json.dumps(
        {"groups": [{"name": "g", "rules": [{"alert": "A", "expr": "x > 1", **given}]}]}
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("groups: [", "r.yaml: line 1: "),
        ("- a", "r.yaml: expected a mapping with the key groups"),
        ("group: []", "r.yaml: unknown key group"),
        ("groups: 5", "r.yaml: groups must be a list"),
        ("groups: [{rules: []}]", "r.yaml: a group has no name"),
        ("groups: [{name: g}, {name: g}]", "r.yaml: group g: the name is used twice"),
        ("groups: [{name: g, limit: 5}]", "r.yaml: group g: limit is not supported"),
        (
            "groups: [{name: g, interval: soon}]",
            "r.yaml: group g: interval: not a duration: 'soon'",
        ),
        (rule(expr="rate(x)"), "r.yaml: rule A: expected type matrix"),
        (rule(expr="mad_over_time(x[5m])"), "rule A: the function mad_over_time is not supported"),
        (rule(expr="x{a=~'('}"), "r.yaml: rule A: illegal regex"),
        (rule(expr=""), "r.yaml: rule A: expr is missing"),
        (rule(record="b"), "r.yaml: rule b: either record or alert is needed"),
        (rule(alert=None, record="b", **{"for": "1m"}), "r.yaml: rule b: for is for alerts"),
        (rule(alert=None, record="b c"), "r.yaml: rule b c: not a name for a metric"),
        (rule(**{"for": "-5m"}), "r.yaml: rule A: for: not a duration: '-5m'"),
        (rule(severity="x"), "r.yaml: group g: a rule: unknown key severity"),
        (rule(labels={"a-b": "x"}), "r.yaml: rule A: invalid label a-b"),
        (rule(labels=["x"]), "r.yaml: rule A: labels must be a mapping"),
        (rule(annotations={"a": {"b": 1}}), "r.yaml: rule A: annotations: a must be a text"),
        (rule(annotations={"a": "{{ query `x` }}"}), "the function query is not supported in a"),
        (
            rule(annotations={"a": "{{ if x }}"}),
            "rule A: {{ if x }} is not supported in a template",
        ),
        (rule(annotations={"a": "{{ $value "}), "rule A: an action {{ has no end"),
    ],
)
def test_what_is_wrong_in_a_file_is_one_line_with_file_and_rule(text: str, reason: str) -> None:
    with pytest.raises(RuleFileError, match=re.escape(reason)) as found:
        parse(text, "r.yaml")
    assert "\n" not in str(found.value)
    assert found.value.exit_status == 2


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RuleFileError, match=r"none\.yaml: cannot be read: No such file"):
        rule_groups([tmp_path / "none.yaml"])
    (tmp_path / "raw.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(RuleFileError, match=r"raw\.yaml: cannot be read: not UTF-8"):
        rule_groups([tmp_path / "raw.yaml"])


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("{{ $labels.a }}/{{ .Labels.none }}:{{$value}}", 0.5, "x/:0.5"),
        ("{{ $value | humanizePercentage }}", 0.12345, "12.35%"),
        ("{{ humanize $value }}", 1234567, "1.235M"),
        ("{{ $value | humanize1024 }}B", 3 * 1024**3, "3GiB"),
        ("{{ $value | humanizeDuration }}", 93784, "1d 2h 3m 4s"),
        ("{{ $value | humanizeDuration }}", 0.0123, "12.3ms"),
        ("{{ $value | humanizeTimestamp }}", 1435065584.128, "2015-06-23 13:19:44.128 +0000 UTC"),
        ('{{ printf "%.2f of %s" $value $labels.a }}', 1.005, "1.00 of x"),
        ('{{ printf "%.1f" $value }}', float("inf"), "+Inf"),
        ("{{ $labels.a | toUpper }}", 0, "X"),
        ('{{ reReplaceAll "(.)" "$1$1" $labels.a }}', 0, "xx"),
        ("a {{- $value -}} b", 1, "a1b"),
        ("{{ $labels }}", 1, "map[a:x]"),
        ("{{ $value }}", 1e21, "1e+21"),
        ("{{ $value }}", 123456789, "1.23456789e+08"),
        ('{{ printf "%d" $labels.a }}', 0, "x"),
        ('{{ printf "%.1f" }}', 0, "<error expanding template: nothing for %.1f>"),
    ],
)
def test_templates_read_as_in_prometheus(text: str, value: float, expected: str) -> None:
    assert template(text).filled({"a": "x"}, float(value)) == expected


def test_a_template_beyond_ours_is_refused() -> None:
    with pytest.raises(TemplateError):
        template("{{ range query `up` }}{{ end }}")


@pytest.mark.parametrize("text", ["1h30m", "15s", "30d", "1y", "250ms", "0s"])
def test_durations_are_written_as_they_are_read(text: str) -> None:
    assert number_texts.duration_text(number_texts.duration_ms(text)) == text


def test_settings() -> None:
    assert parse_alerts({}, "f") == AlertSettings()
    given = {"rules": "a.yaml", "interval": 5, "prometheus": 2, "state": "s.json"}
    assert parse_alerts(given, "f") == AlertSettings((Path("a.yaml"),), 5.0, "2", Path("s.json"))
    wrongs: list[dict[str, object]] = [
        {"rule": []},
        {"rules": 5},
        {"interval": 0},
        {"interval": True},
        {"prometheus": "1"},
        {"state": 5},
    ]
    for wrong in wrongs:
        (key,) = wrong
        with pytest.raises(UsageError, match=rf"f: .*alerts(\.|: unknown key .){key}"):
            parse_alerts(wrong, "f")


@pytest.mark.parametrize(("reason", "is_told"), [("refused", True), ("condition", False)])
def test_a_database_in_the_wrong_role_is_not_unreachable(reason: str, is_told: bool) -> None:
    labels = {"target": "shop", "probe": "database", "kind": "postgres"}
    down: list[float | None] = [1, *(0 for _ in range(9))]
    up = Series("pgwatch_wed_probe_up", {**labels, "essential": "true"}, down)
    failures = Series(
        "pgwatch_wed_probe_failures_total",
        {**labels, "reason": reason},
        [float(i) for i in range(10)],
    )
    rounds = replayed(rule_groups(()), [up, failures], 10)
    told = {dict(a.labels)["alertname"] for _, alerts in rounds for a in alerts if a.fired_ms}
    assert ("DatabaseUnreachable" in told) is is_told
    assert "ServiceDown" in told


def test_the_breaker_of_a_probe_says_nothing_that_the_probe_does_not() -> None:
    of_probe, of_app = (
        Series("pgwatch_wed_breaker_state", {"breaker": name, "state": "open"}, [1.0] * 9)
        for name in ("probe crm", "stripe")
    )
    *_, (_, last) = replayed(rule_groups(()), [of_probe, of_app], 9)
    assert [labels["breaker"] for a in last if "breaker" in (labels := dict(a.labels))] == [
        "stripe"
    ]
