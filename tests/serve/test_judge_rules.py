"""Anybody's rules judged: what was found by hand in public sets is found, and nothing in ours."""

import http.server
import threading
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from pgwatch_wed.cli.alerts import alerts
from pgwatch_wed.serve.alerts.rule_files import RuleFileError
from pgwatch_wed.serve.judge_rules.exposed_metrics import (
    Exposed,
    MetricsError,
    parse_metrics,
    read_metrics,
)
from pgwatch_wed.serve.judge_rules.judge_files import judge
from tests.serve.parts import answering

PUBLIC = Path(__file__).parent / "public_rules"
EXPORTER = read_metrics([str(PUBLIC / "postgres_exporter_17.prom")])
CLOUD = read_metrics([str(PUBLIC / "cloudnative_pg.prom")])


def found(path: Path, exposed: Exposed) -> dict[str, set[str]]:
    judged = judge([path], exposed, 15_000)
    assert judged.refused == ()
    objections: dict[str, set[str]] = {}
    for o in judged.objections:
        objections.setdefault(o.rule, set()).add(o.check)
    return objections


def test_of_the_mixin_what_was_found_by_hand() -> None:
    by_hand = {
        # silent before their own fault on 17
        "PostgreSQLSlowQueries": "rate-of-gauge",
        "PostgresTablesNotVaccumed": "computed-timestamp",
        "PostgresReplicationLaggingMore1Hour": "missing-metric",
        "PostgresTooManyCheckpointsRequested": "missing-metric",
        # fire on a healthy server at night
        "PostgreSQLCacheHitRatio": "ratio-without-volume",
        "PostgresHasTooManyRollbacks": "ratio-without-volume",
    }
    objections = found(PUBLIC / "mixin.yaml", EXPORTER)
    assert {name: check for name, check in by_hand.items() if check not in objections[name]} == {}
    # a metric that was renamed since, and nothing else
    assert objections.keys() - by_hand.keys() == {"PostgresHasReplicationSlotUsed"}


def test_of_awesome_rules_what_was_found_by_hand() -> None:
    objections = found(PUBLIC / "awesome.yaml", EXPORTER)
    assert "quiet-night" in objections["PostgresqlNotEnoughConnections"]
    assert "quiet-night" in objections["PostgresqlCommitRateLow"]
    assert "ratio-without-volume" in objections["PostgresqlHighRollbackRate"]
    assert "latches" in objections["PostgresqlTableNotAutoVacuumed"]
    assert objections["PostgresqlTooManyLocksAcquired"] == {"labels-never-match"}
    for fine in ("PostgresqlDown", "PostgresqlTooManyConnections", "PostgresqlTooManyDeadTuples"):
        assert fine not in objections


def test_of_cloudnative_pg_three_of_seven() -> None:
    assert found(PUBLIC / "cloudnative_pg.yaml", CLOUD) == {
        "BackendsWaiting": {"wrong-unit"},
        "LastFailedArchiveTime": {"latches"},
        "DatabaseDeadlockConflicts": {"latches"},
    }


def test_nothing_on_ours(tmp_path: Path) -> None:
    exported = CliRunner().invoke(alerts, ["export", str(tmp_path)])
    assert exported.exit_code == 0
    assert found(tmp_path / "rules.yaml", Exposed()) == {}
    assert found(tmp_path / "rules.yaml", CLOUD) == {}  # ours are known, exposed now or not


def rules(folder: Path, *queries: str, **given: str) -> Path:
    path = folder / "r.yaml"
    table = [{"alert": f"A{i}", "expr": q, "for": "1m", **given} for i, q in enumerate(queries)]
    path.write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": table}]}))
    return path


METRICS = """
# TYPE jobs gauge
jobs{queue="a"} 3
jobs{queue="b"} 4
# TYPE done_total counter
done_total{queue="a"} 3
# TYPE used_ratio gauge
used_ratio 0.5
# TYPE owner gauge
owner{queue="a",team="x"} 1
owner{queue="a",team="y"} 1
"""


@pytest.mark.parametrize(
    ("query", "checks"),
    [
        ("jobs > 100", set()),
        ("rate(done_total[5m]) > 5", set()),
        ("done_total > 5", {"latches"}),
        ("done_total * 2 > 5", {"latches"}),
        ("done_total - done_total offset 5m > 5", set()),
        ("5 < done_total", {"latches"}),
        ("time() - done_total > 5", set()),
        ("rate(jobs[5m]) > 0", {"rate-of-gauge"}),
        ("gone > 5", {"missing-metric"}),
        ("absent(gone)", {"missing-metric"}),
        ("absent(jobs)", set()),
        ("absent(jobs) == 0", {"absent-never-matches"}),
        ("absent(jobs) and on (queue) jobs", {"absent-never-matches"}),
        ('absent(jobs{queue="a"}) and on (queue) jobs', set()),
        ("used_ratio > 80", {"wrong-unit"}),
        ("used_ratio > 0.8", set()),
        ("used_ratio * 100 > 80", set()),
        ("sum(jobs) / jobs > 0.5", {"labels-never-match"}),
        ("sum(jobs) / on () group_right () jobs > 0.5", set()),
        ("sum(jobs) / scalar(used_ratio) > 5", set()),
        ("jobs * on (queue) group_left (team) owner > 5", {"labels-match-too-much"}),
        ("increase(done_total[5m]) < 5", {"quiet-night"}),
        ("increase(done_total[5m]) < 5 and on () sum(jobs) > 0.5", set()),
        ("timestamp(jobs) < time() - 60", set()),
        ("timestamp(jobs > 0) < time() - 60", {"computed-timestamp"}),
        ("rate(done_total[5m]) / rate(done_total[1h]) > 2", {"ratio-without-volume"}),
        (
            "rate(done_total[5m]) / rate(done_total[1h]) > 2 and increase(done_total[5m]) > 50",
            set(),
        ),
    ],
)
def test_each_kind_of_mistake_and_what_is_like_it_but_right(
    tmp_path: Path, query: str, checks: set[str]
) -> None:
    assert found(rules(tmp_path, query), parse_metrics(METRICS)) == (
        {"A0": checks} if checks else {}
    )


def test_a_single_sample_that_decides(tmp_path: Path) -> None:
    path = rules(tmp_path, "jobs > 5", "increase(done_total[5m]) > 5", "vector(1)", **{"for": "0m"})
    assert found(path, Exposed()) == {"A0": {"short-for"}}
    assert found(rules(tmp_path, "jobs > 5", **{"for": "30s"}), Exposed()) == {}


def asked(*arguments: object) -> Result:
    return CliRunner().invoke(alerts, ["check", *map(str, arguments)])


def test_the_command_says_what_shows_it_and_what_it_could_not_judge(tmp_path: Path) -> None:
    path = rules(tmp_path, "done_total > 5", "mad_over_time(jobs[5m]) > 5")
    said = asked(path)
    assert said.exit_code == 1
    assert f"{path}: A0: latches: done_total is a counter" in said.output
    assert "for example done_total 0x10 6x1000" in said.output
    assert (
        f"not evaluated: {path}: rule A1: the function mad_over_time is not supported"
        in said.output
    )
    assert "2 rules: objections to 1, 1 not evaluated" in said.output
    assert asked(rules(tmp_path, "jobs > 100")).exit_code == 0


def test_metrics_come_from_a_url_or_a_file(tmp_path: Path) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(METRICS.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        path = rules(tmp_path, "gone > 5")
        said = asked(path, "--metrics", f"http://127.0.0.1:{server.server_port}/metrics")
    finally:
        server.shutdown()
        server.server_close()
    assert "A0: missing-metric: gone is not exposed" in said.output


ONE = "groups: [{name: g, rules: [{alert: A, expr: done_total > 5, for: 5m}]}]"
INDENTED = ONE.replace("groups", "spec: {groups") + "}"


@pytest.mark.parametrize(
    "text",
    [
        f"kind: ConfigMap\n---\nkind: PrometheusRule\n{INDENTED}\n---\n",  # as helm template writes
        f"kind: List\nitems: [{{kind: Service}}, {{kind: PrometheusRule, {INDENTED}}}]",
        "groups: [{rules: [{alert: A, expr: done_total > 5, for: 5m}]}]",
        f"{ONE}\n---\n{ONE.replace('done_total > 5', 'jobs > 5')}",
    ],
)
def test_rules_are_found_wherever_they_are(tmp_path: Path, text: str) -> None:
    path = tmp_path / "manifest.yaml"
    path.write_text(text)
    assert found(path, EXPORTER)["A"] >= {"latches"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has neither the key groups nor a PrometheusRule"),
        ("kind: ConfigMap", "has neither the key groups nor a PrometheusRule"),
        ("groups: [5]", "a group: expected a mapping"),
        ("groups:\n- name: g\n  name: h", "line 3: the key name is there twice"),
        ("!!python/object/apply:os.system [x]", "line 1: could not determine a constructor"),
    ],
)
def test_a_file_without_rules_is_not_called_fine(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(text)
    with pytest.raises(RuleFileError) as caught:
        judge([path], EXPORTER, 15_000)
    assert caught.value.message.startswith(f"{path}: ")
    assert said in caught.value.message


def test_a_template_of_helm_is_told_how_to_be_read(tmp_path: Path) -> None:
    path = tmp_path / "chart.yaml"
    path.write_text("groups:\n{{- range .Values.groups }}\n- name: x\n{{- end }}\n")
    with pytest.raises(RuleFileError) as caught:
        judge([path], EXPORTER, 15_000)
    assert "helm template" in caught.value.hint


def test_what_is_not_evaluated_is_counted_in_each_file(tmp_path: Path) -> None:
    paths = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    for path in paths:
        path.write_text(ONE.replace("done_total > 5", "up =="))
    assert "2 rules: objections to 0, 2 not evaluated" in asked(*paths).output


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(MetricsError, match="metrics cannot be read: "):
        read_metrics(["http://127.0.0.1:1/metrics"])
    with (
        answering(b"no HTTP at all\r\n") as port,
        pytest.raises(MetricsError, match="metrics cannot be read: "),
    ):
        read_metrics([f"http://127.0.0.1:{port}/metrics"])
    assert "cannot be read: No such file" in str(asked(tmp_path / "none.yaml").exception)
    assert "--scrape-interval: not a duration" in str(
        asked(rules(tmp_path, "x > 1"), "--scrape-interval", "often").exception
    )
