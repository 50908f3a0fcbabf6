"""db-analyze stress --against from end to end, on embedded servers."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pgwatch_wed.cli import stress as command
from pgwatch_wed.cli.progress_bar import ProgressBar
from pgwatch_wed.load.course.against_job import AgainstJob
from tests.load.test_stress_cli import stress
from tests.load.test_stress_report import stress_schema


def document_in(folder: Path) -> dict[str, object]:
    (path,) = folder.glob("report-*.json")
    found: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    stress_schema().validate(found)
    return found


@pytest.mark.slow
def test_another_configuration_is_compared_in_pairs(tmp_path: Path) -> None:
    options = ("--scenario", "connection-storm", "--rate", "20", "--clients", "2", "--seconds", "4")
    against = ("--against", "work_mem=8MB", "--pairs", "6")
    done = stress(*options, *against, "--fail-on", "regression", folder=tmp_path)
    assert done.returncode in (0, 1), done.stderr
    comparison = document_in(tmp_path)["comparison"]
    assert isinstance(comparison, dict)
    assert comparison["label"] == "work_mem = 8MB"
    metrics = {m["metric"]: m for m in comparison["metrics"]}
    assert {"p50", "p95", "blocks touched per transaction"} <= metrics.keys()
    assert metrics["blocks touched per transaction"]["result"] != "regression"


def test_bad_comparisons_are_refused_before_the_run() -> None:
    for options, said in (
        (("--against", "wrok_mem=8MB"), "no setting wrok_mem"),
        (("--against", "host=there"), "embedded server cannot be compared"),
        (("--against", "jit=on", "--baseline", "main"), "exclude each other"),
        (("--pairs", "8"), "--pairs is about --against"),
        (("--fail-on", "regression"), "compares with something"),
        (("--baseline", "no-such-baseline"), "no baseline or file"),
        (("--against", "jit=perhaps"), "jit cannot be 'perhaps'"),
    ):
        done = CliRunner().invoke(command.stress, options)
        assert said in str(done.exception), (options, done.exception)


@pytest.mark.parametrize("scripts", [None, Path("mine")])
def test_scenarios_need_a_database_on_the_other_side_too(
    monkeypatch: pytest.MonkeyPatch, scripts: Path | None
) -> None:
    monkeypatch.setattr(AgainstJob, "check", lambda _self: None)
    given = {"against": "host=there", "pairs": None, "owned": (), "scripts": scripts}
    bar = ProgressBar(enabled=False)
    job = command._against(given, "host=here", frozenset(), bar, is_writing=True)
    assert job is not None
    assert job.needs_database is (scripts is None)
