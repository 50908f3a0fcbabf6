"""What a newcomer reads: commands are accepted, SQL runs, messages and figures exist, and it is installed from where it is."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import psycopg
import pytest

from pgwatch_wed import __version__
from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.findings import Verdict
from pgwatch_wed.origin import HOME, SOURCE
from pgwatch_wed.schedule.github import workflow
from pgwatch_wed.schedule.tasks import Timetable
from pgwatch_wed.target.collect import collect
from tests.typed_commands import accepted, commands

ROOT = Path(__file__).parent.parent
NAMES = (
    *("install", "pg-stat-statements", "managed", "pgbouncer", "troubleshooting", "privacy"),
    *("comparison", "library", "schedule"),
)
PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in NAMES}
README = (ROOT / "README.md").read_text(encoding="utf-8")
WORKFLOW = (ROOT / ".github" / "workflows" / "db-analyze.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "line", dict.fromkeys(line for page in (README, *PAGES.values()) for line in commands(page))
)
def test_commands_are_accepted(line: str) -> None:
    accepted(line)


def test_every_page_is_linked_from_readme() -> None:
    assert [name for name in NAMES if f"(docs/{name}.md)" not in README] == []


# Where it is installed from


def test_nothing_is_installed_by_a_name_that_nobody_has_claimed() -> None:
    written = [WORKFLOW, workflow(Timetable("service", "folder")), README, *PAGES.values()]
    written += [p.read_text(encoding="utf-8") for p in (ROOT / "pgwatch_wed").rglob("*.py")]
    written += [p.read_text(encoding="utf-8") for p in (ROOT / "docs").glob("*.md")]
    lines = [line for text in written for line in text.splitlines() if "pip install" in line]
    named = [line for line in lines if re.search(r"pip install [^`]*['\" ]?pgwatch-wed", line)]
    elsewhere = [n for n in named if "@ {SOURCE}" not in n and f"@ {SOURCE}" not in n]
    assert elsewhere == [line for line in named if "--no-index" in line]
    assert f"pip install {SOURCE}" in WORKFLOW
    assert f"pip install {SOURCE}" in workflow(Timetable("service", "folder"))


def test_every_source_is_the_tag_of_this_version() -> None:
    texts = (WORKFLOW, README, *PAGES.values())
    tags = {tag for text in texts for tag in re.findall(r"git\+https://\S+?@v[\w.]+\d", text)}
    assert tags == {SOURCE}
    assert set(re.findall(r"pgwatch-wed:(\d[\w.]*\d)", PAGES["install"])) == {__version__}


def test_the_package_names_the_same_repository() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["urls"] == {"Repository": HOME}


def test_extras_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    table = PAGES["install"].partition("| extra | for |")[2].partition("\n\n")[0]
    cells = [row.split("|")[1] for row in table.splitlines()[2:]]
    named = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert set(named) == set(project["optional-dependencies"])


def test_completion_is_as_on_the_page() -> None:
    assert "_DB_ANALYZE_COMPLETE=bash_source db-analyze" in PAGES["install"]
    run = "from pgwatch_wed.cli import main; main([])"
    done = subprocess.run(
        [sys.executable, "-c", run],
        env={"_DB_ANALYZE_COMPLETE": "zsh_source"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "compdef" in done.stdout, done.stderr


def test_the_container_is_made_of_what_is_there() -> None:
    text = (ROOT / "tools" / "Containerfile").read_text(encoding="utf-8")
    steps = [
        line.split()[0] for line in text.replace("\\\n", "").splitlines() if line[:1].isalpha()
    ]
    assert set(steps) == {"ARG", "FROM", "WORKDIR", "COPY", "RUN", "USER", "ENTRYPOINT"}
    assert steps.index("USER") > len(steps) - 1 - steps[::-1].index("RUN")  # nothing runs as root
    assert '--constraint constraints.txt ".[fleet]"' in text
    program = Path(re.findall(r'^ENTRYPOINT \["(\S+)"\]', text, re.MULTILINE)[0]).name
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert program in project["scripts"]
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert not {"pgwatch_wed", "sql", "alembic", "reports", "docs", "tools"} & set(ignored)
    assert "tools/Containerfile" in PAGES["install"]
    called = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert "docker build --file tools/Containerfile" in called


# SQL


def blocks(page: str) -> list[str]:
    return re.findall(r"^ *```sql\n(.*?)^ *```", page, re.DOTALL | re.MULTILINE)


def run(dsn: str, block: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in filter(str.strip, block.split(";\n")):
            connection.execute(statement.strip().removesuffix(";").encode())


def test_the_steps_of_the_pages_enable_statements_and_let_a_role_see_them() -> None:
    """In their order, on a server that begins without the library."""
    look, load, create, settings, grant = blocks(PAGES["pg-stat-statements"])
    (role,) = blocks(PAGES["managed"])
    with embedded.start({"shared_preload_libraries": ""}) as server:
        run(server.dsn(), look)
        run(server.dsn(), load)
        server.restart()
        for block in (create, settings, role, grant):
            run(server.dsn(), block)
        dsn = f"{server.dsn()} user=db_analyze"
        snapshot = collect(dsn, only=("statements", "statements_info", "settings"))
        assert snapshot.missing.keys().isdisjoint(("statements", "settings"))
        assert snapshot.server.role == "db_analyze"
        several = PAGES["pg-stat-statements"].partition("With a second library, write `")[2]
        run(server.dsn(), several.partition("`")[0].replace("auto_explain", "pg_prewarm"))
        server.restart()
        with psycopg.connect(server.dsn()) as connection:
            shown = connection.execute("show shared_preload_libraries").fetchone()
        assert shown == ("pg_prewarm, pg_stat_statements",)


def test_without_the_extension_the_page_is_what_helps(db: str) -> None:
    report = analyse([collect(db)], Config(only=("query", "coverage-extension")))
    unknown = [v for v in report.verdicts if v.verdict is Verdict.UNKNOWN and v.area == "query"]
    assert len(unknown) > 5
    assert "pg_stat_statements is not installed" in report.findings[0].title


# Texts


def test_messages_of_troubleshooting_are_those_of_the_program() -> None:
    rows = re.findall(r"^\| ([^|]*`[^|]*) \|", PAGES["troubleshooting"], re.MULTILINE)
    told = [m for row in rows for m in re.findall(r"`([^`]+)`", row)]
    ours = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "pgwatch_wed").rglob("*.py"))
    ours = re.sub(r'"\s+f?"', "", ours).replace("{MAX_TABLES:,}", "2,000")
    others = {"make demo", "ensurepip is not available", "pg_dump"}
    assert len(told) > 20
    assert [m for m in told if m not in ours and m not in others] == []


@pytest.mark.parametrize(
    ("page", "said", "source"),
    [
        ("benchmarks", "40 remedies were run as printed: 30 gained what was promised, 6 more than that, 1 at least half, 1 less",
         "40 remedies, of which 30 kept, 6 exceeded, 1 short, 1 missed."),
        ("benchmarks", "2 promised\n  no time", "| no promise |"),
        ("benchmarks", "0.71 of\n  the CPU time", "| all | 20789 | 14824 | **0.71** | 17060 | 0.82 |"),
        ("benchmarks", "one query 1.3 times as long", "with Extend's set, q07 takes 1.30 times as long"),
        ("regressions", "6 had a false alarm", "| 24+4 | new | **this rule** | 6 of 200 (3%) | 47% | 79% | 98% | 100% |"),
        ("regressions", "had 105", "| mean > 1.25× | 105 of 200 (52%)"),
        ("scale", "take 10 s of CPU", "| 18 | 10,000 | 9,600 | 2.18 | 2.44 | 4.6 | 10.1 |"),
    ],
)  # fmt: skip
def test_figures_of_readme_are_those_of_the_pages(page: str, said: str, source: str) -> None:
    assert said in README
    assert source in (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
