"""The commands `history` and `baseline`, and baselines of a check that are runs."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pgwatch_wed.cli import cli
from pgwatch_wed.errors import Error
from pgwatch_wed.facts import file as snapshot_file
from pgwatch_wed.history import store
from pgwatch_wed.history.schema import blobs
from pgwatch_wed.redaction import redacted
from pgwatch_wed.target.collect import collect
from tests.conftest import StartServer
from tests.history.test_lifecycle import DEBT
from tests.psql import psql
from tests.servers import Server
from tests.test_cli import db_analyze


def ran(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli, list(arguments), standalone_mode=False)
    if isinstance(done.exception, Error):
        return done.exception.exit_status, done.stdout, f"{done.stderr}{done.exception}"
    assert done.exception is None, done.exception
    assert isinstance(done.return_value, int), done.output
    return done.return_value, done.stdout, done.stderr


def asked(*arguments: str) -> Any:
    status, out, err = ran(*arguments, "--format", "json")
    assert status == 0, err
    return json.loads(out)


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return str(tmp_path / "history.sqlite3")


@pytest.fixture
def files(db: str, tmp_path: Path) -> list[Path]:
    """Three snapshots: a duplicate index, dropped, and there again."""
    psql(db, DEBT)
    made = []
    for number, sql in enumerate(
        ("select 1", "drop index orders_copy", "create index orders_copy on orders (customer)")
    ):
        psql(db, sql)
        made.append(tmp_path / "files" / f"{number}.json.zst")
        snapshot_file.save(collect(db), made[-1])
    return made


def test_runs_are_imported_in_any_order_once(files: list[Path], url: str) -> None:
    given = [str(files[n]) for n in (2, 0, 1)]
    assert asked("history", "import", *given, given[0], "--history", url) == {
        "added": 3,
        "known": 1,
        "refused": [],
    }
    assert asked("history", "import", str(files[0].parent), "--history", url)["known"] == 3
    listed = asked("history", "list", "--history", url)["runs"]
    assert [r["run"] for r in listed] == [3, 2, 1]
    assert listed[0]["is_evaluated"]
    shown = asked("history", "show", "--history", url)
    (duplicate,) = [f for f in shown["findings"] if f["rule"] == "index-duplicate"]
    times = [snapshot_file.load(f).now.isoformat() for f in files]
    assert [
        datetime.fromisoformat(duplicate[k]).isoformat()
        for k in ("first_seen", "resolved_at", "came_back_at")
    ] == times
    status, text, _ = ran("history", "list", "--history", url)
    assert status == 0
    assert "PostgreSQL" in text
    status, text, _ = ran("history", "show", "--history", url, "--state", "open")
    assert "came back" in text


def test_what_cannot_be_imported_takes_one_line_each(
    files: list[Path], url: str, tmp_path: Path
) -> None:
    first = snapshot_file.load(files[0])
    ahead = replace(first.server, taken_at=datetime.now(UTC) + timedelta(days=400))
    strange = tmp_path / "strange"
    snapshot_file.save(replace(first, server=ahead), strange / "future.json.zst")
    snapshot_file.save(redacted([first])[0], strange / "redacted.json.zst")
    (strange / "cut.json.zst").write_bytes(files[1].read_bytes()[:1000])
    (strange / "other.json").write_text("{}")
    status, out, err = ran(
        "history", "import", str(strange), "nowhere.zst", str(files[0]), "--history", url
    )
    assert status == 3
    assert "Added 1 run; 0 known, 5 refused." in out
    for said in ("in the future", "placeholders", "cut.json.zst", "other.json", "nowhere.zst"):
        assert sum(said in line for line in err.splitlines()) == 1, err
    assert "Traceback" not in err


def test_runs_are_exported_and_imported_elsewhere(
    files: list[Path], url: str, tmp_path: Path
) -> None:
    asked("history", "import", *map(str, files), "--history", url)
    out = tmp_path / "out"
    written = asked("history", "export", "1", "3", "-o", str(out), "--history", url)["files"]
    assert len(written) == 4, "a snapshot and a report each"
    elsewhere = str(tmp_path / "elsewhere.sqlite3")
    assert asked("history", "import", str(out), "--history", elsewhere)["added"] == 2
    again = asked("history", "export", "1", "-o", str(out), "--history", elsewhere)["files"]
    assert snapshot_file.load(Path(again[0])) == snapshot_file.load(files[0])


def test_a_damaged_run_costs_only_itself(files: list[Path], url: str, tmp_path: Path) -> None:
    asked("history", "import", *map(str, files), "--history", url)
    with store.open_store(url).writing() as connection:
        connection.execute(blobs.update().values(data=b"\0" * 10))
    status, _, err = ran("history", "export", "-o", str(tmp_path / "out"), "--history", url)
    assert status == 3
    assert "run 1 is left out" in err
    status, _, err = ran(
        "report", str(files[2]), "--baseline", "1", "--history", url, "-o", str(tmp_path)
    )
    assert status == 3
    assert "damaged" in err
    assert "Traceback" not in err


def test_a_check_compares_with_a_baseline_of_the_history(
    files: list[Path], url: str, tmp_path: Path
) -> None:
    asked("history", "import", *map(str, files), "--history", url)
    assert asked("baseline", "set", "clean", "2", "--note", "release 7", "--history", url) == {
        "name": "clean",
        "run": 2,
    }
    (listed,) = asked("baseline", "list", "--history", url)["baselines"]
    assert (listed["name"], listed["run"], listed["note"]) == ("clean", 2, "release 7")
    given = ("--history", url, "-o", str(tmp_path / "out"), "--format", "text")
    check = ("report", str(files[2]), "--only", "index", *given, "--fail-on", "new:info")
    for reference in ("clean", "2"):
        status, text, _ = ran(*check, "--baseline", reference)
        assert status == 1
        assert "Compared with " + reference in text
        assert "1 new" in text
    assert ran(*check, "--baseline", "1")[0] == 0, "it was there before"
    status, _, err = ran(*check, "--baseline", "nothing")
    assert status == 2
    assert "nothing" in err
    assert asked("history", "prune", "--all-for", "0 d", "--daily-for", "0 d", "--history", url)
    assert 2 in [r["run"] for r in asked("history", "list", "--history", url)["runs"]]
    asked("baseline", "drop", "clean", "--history", url)
    assert "no baseline clean" in ran("baseline", "drop", "clean", "--history", url)[2]
    assert ran("baseline", "list", "--history", url)[1] == "There are no baselines.\n"


def test_a_baseline_of_another_server_or_database_is_compared_or_refused_in_one_line(
    files: list[Path], url: str, tmp_path: Path, pg: Server, start_pg: StartServer
) -> None:
    asked("history", "import", str(files[0]), "--history", url)
    elsewhere, besides = tmp_path / "elsewhere.zst", tmp_path / "besides.zst"
    other = start_pg({}).dsn()
    psql(other, DEBT + "create index orders_third on orders (customer)")
    snapshot_file.save(collect(other), elsewhere)
    given = ("--only", "index-duplicate", "-o", str(tmp_path / "out"), "--format", "text")
    against = (*given, "--baseline", "1", "--history", url)
    status, text, err = ran("report", str(elsewhere), *against)
    assert status == 0, err
    assert "1 new, 1 known" in text
    assert "compared by names" in " ".join(text.split())
    with pg.database() as dsn:
        snapshot_file.save(collect(dsn), besides)
    status, _, err = ran("report", str(besides), *against)
    assert status in (0, 2), err
    assert "Traceback" not in err
    status, _, err = ran("report", str(besides), *given, "--since", "1", "--history", url)
    assert status == 2
    assert "no" in err


def test_an_acknowledged_finding_is_out_of_the_reports(db: str, url: str, tmp_path: Path) -> None:
    psql(db, DEBT)
    run = ("run", db, "--no-advise", "--history", url, "-o", str(tmp_path / "out"))
    rules = ("--only", "schema-no-primary-key", "--format", "text")
    first = db_analyze(*run, *rules)
    assert first.returncode == 0, first.stderr
    (finding,) = asked("history", "show", "--history", url)["findings"]
    assert finding["state"] == "open"
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
    by = ("--reason", "moved in May", "--by", "Ann", "--history", url)
    asked("history", "acknowledge", finding["id"][:8], "--until", tomorrow, *by)
    second = db_analyze(*run, *rules, "--fail-on", "info")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "1 finding ignored" in second.stdout
    (shown,) = asked("history", "show", "--history", url)["findings"]
    assert shown["state"] == "open"
    assert shown["acknowledged"]["by"] == "Ann"
    plan = ("plan", db, "--no-advise", "--history", url, *rules[:2])
    assert "primary key" not in db_analyze(*plan).stdout
    asked("history", "acknowledge", finding["id"], "--undo", "--history", url)
    assert "primary key" in db_analyze(*plan).stdout
    assert len(asked("history", "list", "--history", url)["runs"]) == 2
    assert db_analyze(*run, *rules, "--fail-on", "info").returncode == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("history", "acknowledge", "abc"), "add --reason and --by"),
        (("history", "acknowledge", "abc", "--reason", "r", "--by", "me"), "no finding has the id"),
        (("history", "acknowledge", "abc", "--undo"), "no finding has the id"),
        (("history", "show", "7"), "there is no run 7"),
        (("history", "show", "someday"), "is no run, date or baseline"),
        (("history", "show"), "has no runs"),
        (("history", "prune", "--all-for", "long"), "--all-for must be a time"),
        (("history", "prune", "--max-size", "much"), "--max-size must be a size"),
        (("baseline", "set", "x"), "has no runs"),
    ],
)
def test_mistakes_take_one_line(arguments: tuple[str, ...], said: str, url: str) -> None:
    store.open_store(url).close()
    status, _, err = ran(*arguments, "--history", url)
    assert status == 2
    assert said in err


def test_a_history_that_is_not_there_is_not_created(url: str) -> None:
    status, _, err = ran("history", "list", "--history", url)
    assert status == 3
    assert "there is no history at" in err
    assert not Path(url).exists()
