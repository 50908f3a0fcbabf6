"""db-analyze plan as a user meets it: bad input is one line before the analysis, and files are written whole or not at all."""

from pathlib import Path

import pytest

from pgwatch_wed.cli import main, plan_output
from pgwatch_wed.cli.remembering import acknowledged_before
from pgwatch_wed.config import Config
from pgwatch_wed.errors import Error
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts import file as snapshot_file
from tests.reports import server
from tests.test_plan_revisions import scratch

# Nothing listens there: whatever is refused with status 2 was refused before it was asked.
NOWHERE = "postgresql://somebody@127.0.0.1:1/shop"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def snapshot(name: str, **values: object) -> str:
    """Write a snapshot of an empty server."""
    empty = Snapshot(tool_version="0", server=server(**values))
    snapshot_file.save(empty, Path(name))
    return name


def said(capfd: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(["plan", *args])
    printed = capfd.readouterr()
    return int(left.value.code or 0), printed.out, printed.err


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("--as", "sql", "-o", "there.sql"), "there.sql exists"),
        (("--as", "sql", "-o", "half.sql"), "half.undo.sql exists"),
        (("-o", "there.sql"), "there.sql exists"),
        (("-o", "missing/plan.sql"), "directory missing does not exist"),
        (("-o", "folder"), "is a directory"),
        (("--as", "alembic"), "belong together"),
        (("--as", "sql", "--alembic-dir", "folder"), "belong together"),
        (("--as", "alembic", "--alembic-dir", "folder"), "no Alembic project"),
        (("--as", "alembic", "--alembic-dir", "folder", "-o", "plan.py"), "for text and sql"),
        (("--as", "json"), "'text', 'sql', 'alembic'"),
        (("--only", "index-mising"), "index-missing"),
        ((NOWHERE,), "only one TARGET"),
    ],
)
def test_bad_input_is_refused_before_the_analysis(
    capfd: pytest.CaptureFixture[str], args: tuple[str, ...], why: str
) -> None:
    Path("folder").mkdir()
    for name in ("there.sql", "half.undo.sql"):
        Path(name).write_text("mine", encoding="utf-8")
    status, out, err = said(capfd, NOWHERE, *args)
    assert (status, out) == (2, "")
    assert why in err
    assert "Traceback" not in err
    assert sorted(p.name for p in Path().iterdir()) == ["folder", "half.undo.sql", "there.sql"]
    assert Path("there.sql").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("source", [NOWHERE, "gone.json.zst", "./gone", "broken.json"])
def test_what_cannot_be_read_is_one_line_and_leaves_no_file(
    capfd: pytest.CaptureFixture[str], source: str
) -> None:
    Path("broken.json").write_text("{", encoding="utf-8")
    status, out, err = said(capfd, source, "--as", "sql", "-o", "plan.sql", "--no-advise")
    assert (status, out) == (3, "")
    assert err.startswith("db-analyze: ")
    assert [p.name for p in Path().iterdir()] == ["broken.json"]


def test_snapshots_are_of_one_server(capfd: pytest.CaptureFixture[str]) -> None:
    files = [snapshot(f"{n}.json.zst", system_identifier=n) for n in ("1", "2")]
    status, _, err = said(capfd, *files)
    assert status == 2
    assert "different servers" in err


def test_a_snapshot_is_enough(capfd: pytest.CaptureFixture[str]) -> None:
    file = snapshot("shop.json.zst")
    status, out, _ = said(capfd, file)
    assert status == 0
    assert "Plan for shop.json.zst" in out
    assert said(capfd, file, "--as", "sql", "-o", "plan.sql")[0] == 0
    assert "plan.undo.sql undoes it" in Path("plan.sql").read_text(encoding="utf-8")
    assert "ON_ERROR_STOP" in Path("plan.undo.sql").read_text(encoding="utf-8")
    assert said(capfd, file, "--as", "sql")[1] == Path("plan.sql").read_text(
        encoding="utf-8"
    ).replace("-- plan.undo.sql undoes it.\n", "")


def test_without_changes_of_the_schema_there_is_no_revision(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    scratch(tmp_path)
    capfd.readouterr()
    file = snapshot("shop.json.zst")
    status, _, err = said(capfd, file, "--as", "alembic", "--alembic-dir", ".", "--only", "lock")
    assert status == 0
    assert "no revision" in err
    assert not [*Path("migrations/versions").glob("*plan*")]


def test_files_are_written_all_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    write = snapshot_file.write_private

    def fails_at_the_undo(path: Path, data: bytes, mode: int) -> None:
        if "undo" in path.name:
            raise OSError(28, "No space left on device", str(path))
        write(path, data, mode)

    both = {Path("plan.sql"): "one", Path("plan.undo.sql"): "two"}
    with monkeypatch.context() as full:
        full.setattr("pgwatch_wed.cli.plan_output.write_private", fails_at_the_undo)
        with pytest.raises(Error, match=r"plan\.undo\.sql: No space left"):
            plan_output.write_new(both)
    assert not [*Path().iterdir()]
    Path("plan.undo.sql").write_text("mine", encoding="utf-8")
    with pytest.raises(Error, match="exists"):
        plan_output.write_new(both)
    assert [p.name for p in Path().iterdir()] == ["plan.undo.sql"]


@pytest.mark.parametrize(
    ("path", "undo"),
    [("plan.sql", "plan.undo.sql"), ("a/b.c.sql", "a/b.c.undo.sql"), ("plan", "plan.undo")],
)
def test_the_undo_script_is_beside_it(path: str, undo: str) -> None:
    assert plan_output.undo_path(Path(path)) == Path(undo)


@pytest.mark.parametrize("url", ["mysql://here/history", "broken.sqlite3", "gone/history.sqlite3"])
def test_a_history_that_cannot_be_read_costs_a_line_and_no_plan(
    capfd: pytest.CaptureFixture[str], url: str
) -> None:
    Path("broken.sqlite3").write_text("no history", encoding="utf-8")
    read = (Snapshot(tool_version="0", server=server()),)
    given = {"history_url": url}
    assert acknowledged_before(read, Config(), given) == Config()
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("warning: what was acknowledged is not known: ")
    assert ("(db-analyze run creates it)" in line) is url.startswith("gone")
    assert acknowledged_before(read, Config(), {**given, "no_history": True}) == Config()
    assert capfd.readouterr().err == ""
