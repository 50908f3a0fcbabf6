"""db-analyze stress from end to end, on an embedded server."""

import json
import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from pgwatch_wed.cli import stress as command
from pgwatch_wed.errors import UsageError
from pgwatch_wed.load.load_json import render_stress
from pgwatch_wed.load.load_model import Answer, ObjectiveResult
from pgwatch_wed.load.stress_report import StressComparison
from tests.load.stress_samples import sample_report
from tests.load.test_stress_report import stress_schema
from tests.test_cli import PROGRAM


def stress(*options: str, folder: Path, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    # what would lead elsewhere must not count
    elsewhere = {"DATABASE_URL": "postgresql://nobody@192.0.2.1/nowhere", "PGHOST": "192.0.2.1"}
    return subprocess.run(
        [*PROGRAM, "stress", "--output", str(folder), *options],
        capture_output=True,
        text=True,
        timeout=seconds,
        env={**os.environ, **elsewhere, "COLUMNS": "80"},
    )


def test_a_short_run_tells_all(tmp_path: Path) -> None:
    done = stress("--seconds", "7", "--fail-on", "unknown,slo", folder=tmp_path)
    (path,) = tmp_path.glob("report-*.json")
    document = json.loads(path.read_text(encoding="utf-8"))
    stress_schema().validate(document)
    assert document["summary"]["unknown"] + document["summary"]["fail"] == 0 or done.returncode == 1
    assert done.returncode in (0, 1), done.stderr
    (run,) = document["runs"]
    ramp, steady = run["phases"]
    assert (ramp["kind"], steady["kind"]) == ("ramp", "steady")
    # on a machine without a free core, most of what is due may not even begin
    gave_up = "of the transactions failed" in document["ended_early"]
    assert len(steady["blocks"]) == 4 or gave_up
    assert ramp["figures"]["transactions"] > 0
    assert steady["blocks"][0]["rate"] == pytest.approx(0.7 * ramp["figures"]["tps"], rel=0.01)
    assert [o["name"] for o in run["objectives"]] == ["p95", "errors"]
    assert run["db_time"]["samples"] > 0
    assert run["db_time"]["charged"]
    assert document["target"]["settings"]["fsync"] == "on"
    # exactly this interval: the updates of the load, and not the filling of tables
    titles = [f["title"] for f in run["analysis"]["findings"]]
    assert any("update tpcb." in title for title in titles), titles
    assert not any("generate_series" in title for title in titles)
    window = run["analysis"]["window"]
    assert 0 < window["days"] < 0.01 or window["days"] == 0
    first, second, *_ = done.stdout.splitlines()
    assert first.startswith("embedded/pgwatch_wed_stress_")
    lines = done.stdout.splitlines()
    assert any("believed" in line.lower() for line in lines[1:5]), (first, second)
    assert all(len(line) <= 80 for line in lines)


def test_ctrl_c_gives_a_report_of_what_ran(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*PROGRAM, "stress", "--profile", "ci", "--output", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 60
    while not pgbench_of(process.pid) and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "ENDED EARLY: interrupted" in out
    (path,) = tmp_path.glob("report-*.json")
    document = json.loads(path.read_text(encoding="utf-8"))
    stress_schema().validate(document)
    assert document["ended_early"] == "interrupted"
    assert len(document["runs"]) == 1


def pgbench_of(pid: int) -> list[int]:
    children = psutil.Process(pid).children(recursive=True)
    # not one that tries a script before the load begins
    blocks = (c for c in children if c.name() == "pgbench" and "--log" in c.cmdline())
    try:
        return [c.pid for c in blocks]
    except psutil.Error:  # one has just ended
        return []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--profile", "fast"), "there is no profile 'fast'"),
        (("--profile", "./nothing.toml"), "could not be read"),
        (("--seconds", "0"), "0.0 is not in the range"),
        (("--rate", "0"), "0.0 is not in the range"),
        (("--seconds", "1"), "too short"),
        (("--scenario", "tpcc"), "'tpcc' is not one of"),
        (("--scenario", "hot-row", "--scripts", "."), "exclude each other"),
        (("--scripts", "./nothing"), "could not be read"),
        (("--users", "10"), "--users and --think are given together"),
        (("--fail-on", "regression"), "--fail-on regression compares with"),
        (("--baseline", "./nothing.json"), "nothing.json"),
        (("--against", " "), "--against is empty"),
        (("service=a", "--prove"), "not on TARGET itself"),
        (("--copy", "service=a"), "there is none"),
        (("dbname=a", "--copy", "service=a"), "TARGET names no server"),
        (("dbname=a", "--copy", "service=a", "--replay", "now"), "TARGET names no server"),
        (("--i-own-this-server", "a/b"), "there is none"),
    ],
)
def test_bad_input_is_one_line(
    options: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = CliRunner().invoke(command.stress, [*options, "-o", str(tmp_path)])
    error = done.exception
    told = error.message if isinstance(error, UsageError) else done.output
    assert said in told
    assert "\n" not in told.strip() or done.exit_code == 2


def test_another_seed_than_the_baselines_is_refused_before_the_run(tmp_path: Path) -> None:
    file = tmp_path / "base.json"
    file.write_text(render_stress(sample_report()), encoding="utf-8")
    options = ["--baseline", str(file), "--seed", str(sample_report().seed + 1)]
    done = CliRunner().invoke(command.stress, [*options, "-o", str(tmp_path)])
    assert isinstance(done.exception, UsageError)
    assert "other data than that of the baseline" in done.exception.message


def test_the_exit_status_is_what_was_asked_for() -> None:
    whole = sample_report()
    assert command._status(whole, ()) == 0
    assert command._status(whole, ("never",)) == 0
    assert command._status(whole, ("slo",)) == 0
    assert command._status(whole, ("unknown",)) == 1
    run = whole.runs[0]
    failed: ObjectiveResult = run.objectives[0]
    worse = replace(run, objectives=(replace(failed, answer=Answer.FAIL),))
    assert command._status(replace(whole, runs=(worse,)), ("slo", "unknown")) == 1


def test_a_comparison_that_compared_nothing_is_a_regression_for_the_exit_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = StressComparison(
        label="main", taken_at=None, metrics=(), notes=("of tpcb-like, the seed differs",)
    )
    report = replace(sample_report(), comparison=nothing, ended_early="")
    gate = ("regression",)
    output = command.StressOutput(("json",), tmp_path, gate, None, None, quiet=True, verbose=False)
    assert command._deliver(report, output) == 1
    told = capsys.readouterr().err.splitlines()
    assert "nothing could be compared: of tpcb-like, the seed differs" in told[-1]
    assert command._status(replace(report, comparison=None), ("regression",)) == 0
    assert command._status(report, ("slo",)) == 0
