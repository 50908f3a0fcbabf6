"""The Makefile: each target installs what it needs, with uv or pip, and CI gets what it asks for. Nothing is run."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import conftest

ROOT = Path(__file__).parent.parent
MAKE = shutil.which("make")
pytestmark = pytest.mark.skipif(MAKE is None, reason="there is no make")
OURS = ("CI", "MAKE", "PGWATCH_WED_", "UV", "PYTHON", "ARGS")


def commands(folder: Path, *words: str, **variables: str | None) -> str:
    """Return what make would run in a checkout without a virtual environment."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
    wanted = {"UV": "", "PYTHON": "python3"} | variables
    done = subprocess.run(
        ["make", "--dry-run", *words],
        cwd=folder,
        env=clean | {name: value for name, value in wanted.items() if value is not None},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def pytest_line(said: str) -> str:
    (line,) = (each for each in said.splitlines() if "-m pytest" in each)
    return line.partition("-m pytest")[2].strip()


def test_the_demo_installs_only_the_program(tmp_path: Path) -> None:
    said = commands(tmp_path, "demo")
    assert "python3 -m venv .venv" in said
    assert [line for line in said.splitlines() if "pip install" in line] == [
        ".venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --editable ."
    ]
    assert said.endswith(".venv/bin/db-analyze demo \n")


def test_groups_come_with_their_targets(tmp_path: Path) -> None:
    assert "--group test --group parts" in commands(tmp_path, "test")
    assert "--group check" not in commands(tmp_path, "test")
    checks = commands(tmp_path, "check")
    assert "--group check" in checks
    assert "--group test" in checks  # mypy and deptry read what tests import
    assert commands(tmp_path, ".venv/.ready") in checks


def test_uv_installs_the_same(tmp_path: Path) -> None:
    def of(said: str, before: str) -> list[str]:
        lines = [line for line in said.splitlines() if "pip install" in line]
        assert all(line.startswith(before) for line in lines)
        return [line.partition("-c constraints.txt")[2] for line in lines]

    by_uv = commands(tmp_path, "check", UV="/opt/uv")
    assert "/opt/uv venv --quiet --python" in by_uv
    by_pip = commands(tmp_path, "check")
    assert "uv" not in by_pip
    assert of(by_uv, "/opt/uv pip install") == of(by_pip, ".venv/bin/python -m pip install")


@pytest.mark.parametrize(("help_text", "used"), [("--group", True), ("nothing of it", False)])
def test_uv_is_used_where_it_is_there_and_knows_groups(
    tmp_path: Path, help_text: str, used: bool
) -> None:
    program = tmp_path / "uv"
    program.write_text(f"#!/bin/sh\necho ' {help_text}'\n", encoding="utf-8")
    program.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    said = commands(tmp_path, "demo", PATH=path, UV=None)
    assert (f"{program} pip install" in said) == used
    assert (".venv/bin/python -m pip install" in said) != used


def test_without_arguments_quick_tests_run_on_all_cores_and_the_time_is_told_before(
    tmp_path: Path,
) -> None:
    said = commands(tmp_path, "test")
    workers = min(os.cpu_count() or 1, 8) + ((os.cpu_count() or 1) < 4)
    assert pytest_line(said) == f'-n {workers} --dist worksteal -m "not slow"'
    told = next(line for line in said.splitlines() if "minutes" in line)
    assert "on: embedded" in told
    assert said.index("minutes") < said.index("-m pytest")
    assert "on: 15,17" in commands(tmp_path, "test", PGWATCH_WED_PG_VERSIONS="15,17")
    assert pytest_line(commands(tmp_path, "test-all")) == f"-n {workers} --dist worksteal"


@pytest.mark.parametrize("variable", ["CI", "PGWATCH_WED_REQUIRE_PG", "PGWATCH_WED_TEST_DSN"])
def test_who_says_what_he_wants_gets_all_of_it(tmp_path: Path, variable: str) -> None:
    line = pytest_line(commands(tmp_path, "test", **{variable: "18"}))
    assert line.endswith("--dist worksteal")
    told = commands(tmp_path, "test-all", **{variable: "18"})
    assert (
        "on: the external server" if variable.endswith("DSN") else "on: every server here"
    ) in told


def test_arguments_are_all_that_pytest_gets(tmp_path: Path) -> None:
    for given in ("-n 3 --dist worksteal", "--last-failed", "tests/test_make.py -x"):
        assert pytest_line(commands(tmp_path, "test", f"ARGS={given}")) == given
        assert pytest_line(commands(tmp_path, "test", f"ARGS={given}", CI="true")) == given


def test_ci_runs_all_tests() -> None:
    """Every call in CI has arguments, and none of them leaves tests out."""
    calls = [
        line
        for file in (".ci/run", ".github/workflows/ci.yml")
        for line in (ROOT / file).read_text(encoding="utf-8").splitlines()
        if "make test " in line and "say " not in line
    ]
    assert len(calls) == 5
    assert [c for c in calls if "ARGS=" not in c or "-m " in c or "slow" in c] == []


def test_files_that_are_slow_exist() -> None:
    files = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert files >= conftest._SLOW_FILES


def test_what_is_listed_as_slow_exists() -> None:
    gone = [
        each
        for each in sorted(conftest._SLOW_TESTS)
        if f"def {each.partition('::')[2]}(" not in (ROOT / each.partition("::")[0]).read_text()
    ]
    assert gone == []
