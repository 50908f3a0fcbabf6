"""What is exported for Prometheus and Alertmanager is valid, and each of our alerts fires at its fault only."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from pgwatch_wed.cli.alerts import alerts
from pgwatch_wed.serve.alerts import notation
from pgwatch_wed.serve.alerts.alerting import default_rules
from pgwatch_wed.serve.alerts.evaluation import RuleEvaluation
from pgwatch_wed.serve.alerts.export import firing, only, service_groups
from pgwatch_wed.serve.alerts.promql.vectors import Semantics
from pgwatch_wed.serve.alerts.rule_files import every_rule
from pgwatch_wed.serve.alerts.sample_memory import NAME
from pgwatch_wed.serve.alerts.scenarios import FAULT_STEP, FAULTS, NIGHT, NIGHT_STEPS, STEP_S
from tests.serve.default_series import METRICS
from tests.serve.series import PROMTOOL

AMTOOL = shutil.which("amtool")
OURS = [r.name for r in every_rule(service_groups(())) if not r.is_record]


def exported(folder: Path, *options: str) -> str:
    done = CliRunner().invoke(alerts, ["export", str(folder), *options])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.slow
@pytest.mark.skipif(PROMTOOL is None or AMTOOL is None, reason="promtool or amtool is missing")
def test_prometheus_tools_accept_what_is_exported(tmp_path: Path) -> None:
    said = exported(tmp_path, "--prometheus", "2")
    assert f"{len(OURS)} alerts, {len(OURS)} with a test in which it fires" in said
    for command in (
        [str(PROMTOOL), "check", "rules", "--lint=all", "--lint-fatal", "rules.yaml"],
        [str(PROMTOOL), "test", "rules", "rules_test.yaml"],
        [str(AMTOOL), "check-config", "alertmanager.yaml"],
    ):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_all_fire_with_the_windows_of_3_x_too(tmp_path: Path) -> None:
    assert "without a test" not in exported(tmp_path)
    tests = yaml.safe_load((tmp_path / "rules_test.yaml").read_text())["tests"]
    fault_tests = [t for t in tests if "alert_rule_test" in t]
    assert [t["alert_rule_test"][1]["alertname"] for t in fault_tests] == OURS
    assert all(t["alert_rule_test"][1]["exp_alerts"] for t in fault_tests)


def test_no_alert_fires_before_its_fault() -> None:
    groups = service_groups(())
    before_s = (FAULT_STEP - 1) * STEP_S
    for rule in every_rule(groups):
        if not rule.is_record and rule.name != "Watchdog":
            series = FAULTS[rule.name].series
            assert firing(only(groups, rule), series, before_s, Semantics()) == [], rule.name


def test_archiving_that_never_succeeded_is_told_too() -> None:
    groups = service_groups(())
    (rule,) = (r for r in every_rule(groups) if r.name == "ArchiveFailing")
    series = {name: v for name, v in FAULTS[rule.name].series.items() if "failures" in name}
    assert len(series) == 1
    at_s = FAULT_STEP * STEP_S + FAULTS[rule.name].fires_s
    assert len(firing(only(groups, rule), series, at_s, Semantics())) == 1


def test_on_a_healthy_night_all_are_silent() -> None:
    evaluation = RuleEvaluation(service_groups(()))
    series = {notation.labels(name): list(notation.values(v)) for name, v in NIGHT.items()}
    assert {len(v) for v in series.values()} == {NIGHT_STEPS}
    assert {dict(labels)[NAME] for labels in series} == METRICS.keys()
    for step in range(NIGHT_STEPS):
        for labels, values in series.items():
            value = values[step]
            assert value is not None
            evaluation.memory.append(labels, step * STEP_S * 1000, value)
        evaluation.evaluate(step * STEP_S * 1000)
        fired = {r.name for r, a in evaluation.alerts() if a.state == "firing"}
        assert fired == {"Watchdog"}, step
    assert evaluation.failures() == {}


def test_your_rules_are_exported_with_what_we_can_test(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    mine = {
        "groups": [
            {
                "name": "mine",
                "interval": "30s",
                "rules": [
                    {"alert": "Mine", "expr": "x > 1", "for": "90s"},
                    {"alert": "HostMemoryHigh", "expr": "pgwatch_wed_host_memory_bytes > 1e18"},
                    {"record": "a:b", "expr": "sum(x)"},
                ],
            }
        ]
    }
    path.write_text(yaml.safe_dump(mine))
    said = exported(tmp_path / "out", "--rules", str(path))
    assert "6 alerts, 4 with a test in which it fires" in said
    assert "without a test: Mine, HostMemoryHigh" in said
    again = yaml.safe_load((tmp_path / "out" / "rules.yaml").read_text())
    mine["groups"][0]["rules"][0]["for"] = "1m30s"  # type: ignore[index]
    assert again["groups"][:1] == mine["groups"]


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = CliRunner().invoke(alerts, ["export", str(tmp_path / "file" / "x")])
    assert str(done.exception).startswith(f"{tmp_path}/file/x: cannot be written: ")


def test_the_rules_that_come_with_the_package_are_what_is_exported(tmp_path: Path) -> None:
    exported(tmp_path)
    ours = yaml.safe_load(default_rules())
    theirs = yaml.safe_load((tmp_path / "rules.yaml").read_text())
    for one, other in zip(ours["groups"], theirs["groups"], strict=False):
        for rule, again in zip(one["rules"], other["rules"], strict=True):
            rule.get("labels", {}).pop("evaluated", None)
            rule["expr"] = rule["expr"].strip()
            assert rule == again
