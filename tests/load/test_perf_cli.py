"""db-analyze perf from end to end, on an embedded server."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from pgwatch_wed.cli import cli
from pgwatch_wed.errors import UsageError
from pgwatch_wed.load.ground.embedded_ground import EmbeddedGround
from tests.load.grounds import own_ground
from tests.load.test_load_pages import performance_schema
from tests.test_cli import PROGRAM

__all__ = ["own_ground"]


def test_a_quick_run_writes_a_dashboard_and_goes_nowhere_else(tmp_path: Path) -> None:
    elsewhere = {"DATABASE_URL": "postgresql://nobody@192.0.2.1/nowhere", "COLUMNS": "80"}
    done = subprocess.run(
        [*PROGRAM, "perf", "quick", "--seconds", "6", "--output", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **elsewhere},
    )
    assert done.returncode == 0, done.stderr
    (page,) = tmp_path.glob("dashboard-*.html")
    (path,) = tmp_path.glob("dashboard-*.json")
    document = json.loads(path.read_text(encoding="utf-8"))
    performance_schema().validate(document)
    assert document["analysis"] is None
    assert document["stress"]["runs"][0]["analysis"] is not None
    assert "What to do first" in page.read_text(encoding="utf-8")
    assert done.stdout.startswith("What to fix first\n")
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_the_environment_completes_no_target() -> None:
    with pytest.raises(UsageError, match="TARGET names no server"):
        CliRunner().invoke(
            cli, ["perf", "quick", "dbname=app"], catch_exceptions=False, standalone_mode=False
        )


def test_the_owner_is_asked_before_the_analysis(
    own_ground: EmbeddedGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    monkeypatch.setattr("pgwatch_wed.cli.perf._analyzed", lambda *_: begun.append("analysis"))
    arguments = ["perf", "quick", own_ground.ground.conninfo, "--no-progress"]
    with pytest.raises(UsageError, match="the server answers"):
        CliRunner().invoke(cli, arguments, catch_exceptions=False, standalone_mode=False)
    assert begun == []


def test_a_target_needs_its_owner() -> None:
    with pytest.raises(UsageError, match="about TARGET"):
        CliRunner().invoke(
            cli,
            ["perf", "suite", "--i-own-this-server", "a/b"],
            catch_exceptions=False,
            standalone_mode=False,
        )
