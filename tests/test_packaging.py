"""The built wheel works in a fresh virtual environment, from another folder."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT), cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "PYTHON"))}
    done = subprocess.run(
        command, cwd=cwd, env=clean, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done


def test_the_wheel_carries_sql_migrations_and_templates(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for part in ("sql/collect/indexes.sql", "sql/demo/shop.sql", "alembic/env.py", "reports/"):
        assert any(n.startswith(f"pgwatch_wed/_assets/{part}") for n in names), part
    assert "pgwatch_wed/py.typed" in names


@pytest.mark.slow
def test_the_installed_wheel_runs_the_demo_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    run(sys.executable, "-m", "venv", str(venv), cwd=tmp_path)
    constraints = str(ROOT / "constraints.txt")
    pip = (str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet")
    run(*pip, "-c", constraints, str(wheel), cwd=tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = run(str(venv / "bin" / "db-analyze"), "demo", "--seconds", "3", cwd=elsewhere)
    assert "index-duplicate" in done.stdout
    assert list((elsewhere / "db-analysis-results").glob("analysis-report-*.html"))
