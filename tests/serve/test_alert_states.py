"""When an alert is pending, fires and is resolved; what stays over gaps, clocks and restarts."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pgwatch_wed.serve.alerts.alert_settings import AlertSettings
from pgwatch_wed.serve.alerts.alerting import Alerting
from pgwatch_wed.serve.alerts.evaluation import RuleEvaluation
from pgwatch_wed.serve.alerts.rule_files import RuleGroup, parse
from pgwatch_wed.serve.state import Alert, Board, Family, Sample
from tests.serve.series import PROMTOOL, compared, generated, workout_rules

RULES = """
groups:
- name: g
  rules:
  - record: load:sum
    expr: sum(load)
  - alert: High
    expr: load > 5
    for: 30s
    keep_firing_for: 30s
    labels: {severity: page}
    annotations: {summary: "{{ $labels.on }} is {{ $value }}"}
  - alert: SumHigh
    expr: load:sum > 20
"""


def groups(text: str = RULES) -> tuple[RuleGroup, ...]:
    return parse(text, "r.yaml")


def families(**loads: float) -> tuple[Family, ...]:
    samples = tuple(Sample("load", (("on", on),), value) for on, value in loads.items())
    return (Family("load", "gauge", "Load.", samples),)


class Day:
    """A service whose clock is turned by hand."""

    def __init__(self, state: Path | None = None, text: str = RULES) -> None:
        self.board = Board()
        self.time, self.monotonic = 1_000_000.0, 50.0
        self.alerting = Alerting(
            self.board,
            AlertSettings(state=state),
            groups=groups(text),
            now=lambda: self.time,
            monotonic=lambda: self.monotonic,
        )

    def step(self, **loads: float) -> dict[str, str]:
        self.board.change(lambda s: replace(s, families={"test": families(**loads)}))
        self.alerting.run_once(self.time)
        self.time += 15
        self.monotonic += 15
        return {f"{a.name} {dict(a.labels).get('on', '')}".strip(): a.state for a in self.alerts()}

    def alerts(self) -> Sequence[Alert]:
        return self.board.state.alerts


def test_an_alert_fires_after_its_time_and_is_kept_firing() -> None:
    day = Day()
    assert day.step(a=9) == {"High a": "pending"}
    assert day.step(a=9) == {"High a": "pending"}
    assert day.step(a=7) == {"High a": "firing"}
    (alert,) = day.alerts()
    assert (alert.active_at, alert.fired_at) == (1_000_000, 1_000_030)
    assert dict(alert.annotations) == {"summary": "a is 7"}
    assert dict(alert.labels) == {"alertname": "High", "severity": "page", "on": "a"}
    assert day.step(a=1) == {"High a": "firing"}
    assert day.step(a=1) == {"High a": "firing"}
    assert day.step(a=1) == {"High a": "resolved"}
    assert day.alerts()[0].resolved_at == 1_000_075
    assert day.step(a=9) == {"High a": "pending"}  # anew
    assert day.step(a=1) == {}
    assert day.step(a=9, b=30) == {"High a": "pending", "High b": "pending", "SumHigh": "firing"}


def test_a_resolved_alert_is_remembered_for_a_quarter_of_an_hour() -> None:
    day = Day()
    for _ in range(3):
        day.step(a=9)
    states = [day.step(a=1).get("High a") for _ in range(70)]
    assert states.count("firing") == 2
    assert states.count("resolved") == 61
    assert states[-1] is None


def test_a_series_that_is_not_exposed_any_more_ends_at_once() -> None:
    day = Day()
    for _ in range(3):
        day.step(a=9)
    assert day.step() == {"High a": "firing"}
    day.step()
    assert day.step() == {"High a": "resolved"}


def test_a_clock_that_is_set_changes_no_duration() -> None:
    day = Day()
    day.step(a=9)
    day.time += 3600
    assert day.step(a=9) == {"High a": "pending"}
    day.time -= 7200
    assert day.step(a=9) == {"High a": "firing"}
    assert day.alerts()[0].active_at == pytest.approx(1_000_000 - 3600)


def test_a_rule_that_cannot_be_evaluated_keeps_its_alerts_and_says_so() -> None:
    text = RULES.replace("load > 5", "load > 5 and on() vector(1) == on() group_left load")
    day = Day(text=text)
    day.step(a=9)
    day.step(a=9, b=9)
    assert set(day.alerting.evaluation.failures()) <= {"High"}
    doubled = 'label_replace(load, "on", "x", "", "") > 5'
    day = Day(text=RULES.replace("load > 5", doubled))
    assert day.step(a=9) == {"High x": "pending"}
    assert day.step(a=9, b=9) == {"High x": "pending"}
    (failure,) = day.alerting.evaluation.failures().values()
    assert failure == "vector cannot contain metrics with the same labelset"


def test_a_rule_that_fails_at_firing_costs_itself_alone() -> None:
    bad = """groups: [{name: g, rules: [
      {alert: Bad, expr: load > 5, annotations: {summary: '{{ reReplaceAll "(" "" $labels.i }}'}},
      {alert: Worse, expr: 'round(load, 1e-310) > 5'},
      {alert: High, expr: load > 5}]}]"""
    day = Day(text=bad)
    assert day.step(a=9) == {"Bad a": "firing", "High a": "firing"}
    assert dict(day.alerts()[0].annotations)["summary"].startswith("<error expanding template")
    assert set(day.alerting.evaluation.failures()) == {"Worse"}


def test_causes_that_others_wrote_stay_on_an_alert() -> None:
    day = Day()
    day.step(a=9)
    day.board.change(
        lambda s: replace(
            s, alerts=tuple(replace(a, causes=("c",), inhibited_by="X") for a in s.alerts)
        )
    )
    day.step(a=9)
    assert (day.alerts()[0].causes, day.alerts()[0].inhibited_by) == (("c",), "X")


def test_a_restart_neither_forgets_nor_repeats(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "alerts.json"
    day = Day(path)
    for _ in range(3):
        day.step(a=9, b=1)
    assert day.step(a=9, b=9) == {"High a": "firing", "High b": "pending"}
    again = Day(path)
    again.time = day.time
    again = _restarted(path, day)
    assert again.step(a=9, b=9) == {"High a": "firing", "High b": "pending"}
    assert [a.active_at for a in again.alerts()] == [1_000_000, 1_000_045]
    assert again.step(a=1, b=9) == {"High a": "firing", "High b": "firing"}


def test_an_alert_of_a_window_is_kept_until_there_are_samples_again(tmp_path: Path) -> None:
    text = "groups: [{name: g, rules: [{alert: Busy, expr: 'delta(load[1m]) > 5'}]}]"
    path = tmp_path / "alerts.json"
    day = Day(path, text)
    day.step(a=1)
    assert day.step(a=9) == {"Busy a": "firing"}
    again = _restarted(path, day, text)
    # one sample is no window: nothing is known; then it is known that nothing changes
    assert [again.step(a=9) for _ in range(4)] == [{"Busy a": "firing"}] * 4
    assert again.step(a=9) == {"Busy a": "resolved"}


def _restarted(path: Path, day: Day, text: str = RULES) -> Day:
    again = Day.__new__(Day)
    again.board, again.time, again.monotonic = Board(), day.time, 7.0
    again.alerting = Alerting(
        again.board,
        AlertSettings(state=path),
        groups=groups(text),
        now=lambda: again.time,
        monotonic=lambda: again.monotonic,
    )
    return again


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", '{"version": 1}', '{"version": 9, "alerts": [], "at_ms": 1}', "\0" * 9),
        '{"version": 1, "alerts": []}',
        '{"version": 1, "alerts": [], "at_ms": 1e999}',
    ],
)
def test_a_corrupt_state_costs_the_state_not_the_start(tmp_path: Path, text: str) -> None:
    path = tmp_path / "alerts.json"
    path.write_text(text)
    day = Day(path)
    assert "cannot be read" in day.alerting.complaint
    assert day.step(a=9) == {"High a": "pending"}
    assert (tmp_path / "alerts.json.corrupt").read_text() == text
    assert len(json.loads(path.read_text())["alerts"]) == 1


def test_a_state_that_cannot_be_written_is_said_and_alerts_go_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    day = Day(tmp_path / "file" / "alerts.json")
    assert day.step(a=9) == {"High a": "pending"}
    assert "cannot be written" in day.alerting.complaint


def test_only_what_rules_look_at_is_remembered() -> None:
    evaluation = RuleEvaluation(groups())
    others = Family("other", "gauge", "Other.", (Sample("other", (), 1.0),))
    for step in range(2000):
        evaluation.sample((*families(a=1), others), step * 15_000)
        evaluation.evaluate(step * 15_000)
    series, samples = evaluation.memory.count()
    assert series == 2  # load, and what the recording rule made of it
    assert samples < 2 * (480 + 300)


def test_a_group_with_an_interval_is_evaluated_only_then() -> None:
    day = Day(text=RULES.replace("- name: g", "- name: g\n  interval: 1m"))
    states = [day.step(a=9).get("High a") for _ in range(6)]
    assert states == ["pending"] * 4 + ["firing"] * 2


def test_it_runs_in_a_thread_of_its_own() -> None:
    day = Day()
    day.board.change(lambda s: replace(s, families={"test": families(a=9)}))
    done = []
    day.board.listen(lambda s: done.append(s.alerts))
    day.alerting.start()
    for _ in range(200):
        if done:
            break
        day.alerting._stopped.wait(0.01)
    day.alerting.stop()
    assert done[0][0].name == "High"


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is missing")
def test_promtool_says_the_same_of_generated_series(tmp_path: Path) -> None:
    found = compared(workout_rules(), generated(4711, 81), 81, tmp_path)
    assert found.differences == []
    assert found.evaluations > 2500
    assert found.firing > 1000
