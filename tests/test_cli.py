"""The program as a user meets it: arguments in, text, files and exit status out."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from tests.psql import psql

PROGRAM = [sys.executable, "-c", "from pgwatch_wed.__main__ import main; main()"]
SCHEMA = Path(__file__).parent.parent / "docs" / "report.schema.json"
FAULTS = """
create extension pg_stat_statements;
create table orders (id int primary key, customer int, placed timestamptz);
insert into orders select g, g % 1000, now() from generate_series(1, 200000) g;
create index orders_customer_idx on orders (customer);
create index orders_customer_copy on orders (customer);
analyze;
"""


def db_analyze(*args: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PG") and k != "DATABASE_URL"}
    return subprocess.run(
        [*PROGRAM, *args],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**clean, "COLUMNS": "80", **env},
        timeout=120,
        check=False,
    )


@pytest.fixture
def faulty(db: str) -> str:
    psql(db, FAULTS)
    return db


def document(folder: Path, suffix: str) -> str:
    (path,) = folder.glob(f"analysis-report-*.{suffix}")
    return path.read_text(encoding="utf-8")


def test_run_writes_three_formats_and_prints_the_ranking(faulty: str, tmp_path: Path) -> None:
    done = db_analyze("run", faulty, "--no-advise", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "orders_customer_" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    report = json.loads(document(tmp_path / "db-analysis-results", "json"))
    assert "index-duplicate" in {f["rule"] for f in report["findings"]}
    assert "<html" in document(tmp_path / "db-analysis-results", "html")


def test_the_json_follows_its_schema(faulty: str, tmp_path: Path) -> None:
    done = db_analyze(faulty, "--format", "json", "--no-advise", "-o", str(tmp_path / "r"))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    jsonschema.validate(report, json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert report == json.loads(document(tmp_path / "r", "json"))
    assert {v["verdict"] for v in report["verdicts"]} <= {"finding", "clear", "unknown"}
    assert all(v["reason"] for v in report["verdicts"] if v["verdict"] == "unknown")


@pytest.mark.parametrize(
    ("fail_on", "status"), [("never", 0), ("critical", 0), ("warning", 1), ("info", 1)]
)
def test_fail_on_decides_the_exit_status(
    faulty: str, tmp_path: Path, fail_on: str, status: int
) -> None:
    arguments = ("--only", "index-duplicate", "--no-advise", "--format", "text")
    done = db_analyze("run", faulty, *arguments, "--fail-on", fail_on, cwd=tmp_path)
    assert done.returncode == status, done.stdout + done.stderr


def test_a_snapshot_gives_the_same_report_offline(faulty: str, tmp_path: Path) -> None:
    snapshot = tmp_path / "shop.json.zst"
    done = db_analyze("collect", faulty, "-o", str(snapshot), "--no-advise")
    assert done.returncode == 0, done.stderr
    assert snapshot.stat().st_mode & 0o777 == 0o600
    first = db_analyze("report", str(snapshot), "--format", "json", cwd=tmp_path)
    second = db_analyze("report", str(snapshot), "--format", "json", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    assert "index-duplicate" in {f["rule"] for f in json.loads(first.stdout)["findings"]}


def test_check_names_what_is_missing_and_what_mends_it(db: str) -> None:
    done = db_analyze("check", db)
    assert done.returncode == 0, done.stderr
    assert "CREATE EXTENSION pg_stat_statements" in done.stdout
    assert "query-top-time" in done.stdout


def test_explain_lists_every_rule_and_tells_of_one() -> None:
    listing = db_analyze("explain")
    page = db_analyze("explain", "index-unused")
    sql = db_analyze("explain", "index-unused", "--sql")
    assert listing.returncode == page.returncode == sql.returncode == 0
    assert "index-unused" in listing.stdout
    assert "## Not reported" in page.stdout
    assert "pg_index" in sql.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("explain", "index-unusd"), 2, "index-unused"),
        (("run", "host=/nowhere dbname=x"), 3, "could not connect"),
        (("run", "this is = = no target"), 2, "invalid connection string"),
        (("run", "--only", "index-nonsense"), 2, "index-nonsense"),
        (("run", "--format", "docx"), 2, "docx"),
        (("run", "--config", "missing.toml"), 2, "missing.toml"),
        (("report", "missing.json.zst"), 3, "missing.json.zst"),
        (("report",), 2, "FILE"),
        (("run", "--window", "-1"), 2, "window"),
    ],
)
def test_bad_input_is_one_clear_line(
    arguments: tuple[str, ...], status: int, said: str, tmp_path: Path
) -> None:
    done = db_analyze(*arguments, cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


# Each would need a server or files that do not exist: what is said first is what was tried first.
@pytest.mark.parametrize(
    "command",
    [
        ("run", "host=/nowhere", "-o", "file/folder"),
        ("run", "host=/nowhere", "-o", "file"),
        ("report", "missing.json.zst", "-o", "file/folder"),
        ("demo", "-o", "file/folder"),
        ("perf", "quick", "-o", "file/folder"),
        ("stress", "-o", "file/folder"),
        ("collect", "host=/nowhere", "-o", "file/x.json.zst"),
        ("collect", "host=/nowhere", "-o", "fifo"),
        ("indexes", "host=/nowhere", "-o", "file/x.sql"),
        ("indexes", "host=/nowhere", "-o", "folder"),
        ("diff", "missing.json.zst", "other.json.zst", "-o", "file/x"),
        ("diff", "missing.json.zst", "other.json.zst", "-o", "fifo"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_written_is_told_before_the_work(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    done = db_analyze(*command, cwd=tmp_path)
    assert done.returncode in (2, 3), done.stderr
    assert done.stdout == ""
    assert Path(command[-1]).parts[0] in done.stderr
    assert "connect" not in done.stderr
    assert "missing" not in done.stderr
    assert len(done.stderr.splitlines()) <= 5
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["fifo", "file", "folder"]
    assert stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)


def test_the_configuration_ignores_with_a_reason_and_counts_it(faulty: str, tmp_path: Path) -> None:
    (tmp_path / "pgwatch_wed.toml").write_text(
        '[[ignore]]\nrule = "index-duplicate"\nobject = "public.orders_*"\nreason = "on purpose"\n'
    )
    done = db_analyze("run", faulty, "--no-advise", "--format", "json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert "index-duplicate" not in {f["rule"] for f in report["findings"]}
    assert [i["reason"] for i in report["ignored"]] == ["on purpose"]


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("profil = 'oltp'", "profil"),
        ("profile = 'olap'", "profile"),
        ("[rules.index-unused]\nmin_size = 3", "min_size"),
        ("[rules.index-unused]\nmin_size_bytes = 'many'", "min_size_bytes"),
        ("[rules.index-unusual]", "index-unusual"),
        ("[[ignore]]\nrule = 'index-*'", "reason"),
        ("memory = '16 apples'", "memory"),
        ("not toml at all", "TOML"),
    ],
)
def test_a_mistake_in_the_configuration_names_the_key(toml: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "pgwatch_wed.toml").write_text(toml)
    done = db_analyze("run", "host=/nowhere", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2


def test_a_password_is_never_printed(tmp_path: Path) -> None:
    for target in (
        "postgresql://u:planted-secret@127.0.0.1:1/db",
        "host=127.0.0.1 port=1 password=planted-secret",
        "postgresql+psycopg://u:planted-secret@127.0.0.1:1/db?nonsense=planted-secret",
    ):
        done = db_analyze("run", target, cwd=tmp_path)
        assert "planted-secret" not in done.stdout + done.stderr


def test_help_names_every_command() -> None:
    done = db_analyze("--help")
    assert done.returncode == 0
    commands = re.findall(r"^  (\w+) ", done.stdout, re.MULTILINE)
    assert {"run", "demo", "collect", "report", "check", "explain", "install"} <= set(commands)
