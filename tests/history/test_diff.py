"""Two runs side by side: `db-analyze diff`, from files and from the history, in every format."""

import json
import re
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import referencing

from pgwatch_wed.facts import file as snapshot_file
from pgwatch_wed.redaction import redacted
from pgwatch_wed.target.collect import collect
from tests import reports
from tests.conftest import StartServer
from tests.history.test_history_cli import asked, ran
from tests.history.test_lifecycle import DEBT
from tests.psql import psql

DOCS = Path(__file__).parent.parent.parent / "docs"
STATEMENT = "select count(*) from orders where note like 'n%'"
CHANGES = """
alter table orders rename to bookings;
create index bookings_copy on bookings (customer);
drop table log;
alter table bookings add column more int;
insert into bookings select g, g, repeat('x', 200) from generate_series(5001, 80000) g;
vacuum analyze bookings;
"""


@pytest.fixture
def pair(db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    psql(db, "create extension pg_stat_statements;" + DEBT)
    psql(db, STATEMENT)
    first, second = tmp_path / "october.json.zst", tmp_path / "november.json.zst"
    snapshot_file.save(collect(db), first)
    for sql in CHANGES.strip().split(";\n"):
        psql(db, sql)
    psql(db, STATEMENT.replace("orders", "bookings"))
    snapshot_file.save(collect(db), second)
    return str(first), str(second)


def schema() -> jsonschema.Draft202012Validator:
    report, diff = (
        json.loads((DOCS / name).read_text(encoding="utf-8"))
        for name in ("report.schema.json", "diff.schema.json")
    )
    resource = referencing.Resource.from_contents(report)
    registry = referencing.Registry().with_resource(report["$id"], resource)
    return jsonschema.Draft202012Validator(diff, registry=registry)


def test_what_changed_is_in_its_chapter(pair: tuple[str, str]) -> None:
    document = asked("diff", *pair)
    schema().validate(document)
    assert document["compared_by_name"] == ""
    assert document["findings"]["summary"]["new"] >= 1
    resolved = {g["rule"] for g in document["findings"]["resolved"]}
    assert "schema-no-primary-key" in resolved
    (database,) = document["databases"]
    told = {(c["what"], c["object"]) for c in database["schema"]}
    assert {
        ("renamed", "public.bookings"),
        ("created", "public.bookings_copy"),
        ("created", "public.bookings.more"),
        ("dropped", "public.log"),
    } <= told
    assert ("grew", "public.bookings") in {(c["what"], c["object"]) for c in database["sizes"]}
    assert database["bytes"]["after"] > database["bytes"]["before"]
    window = database["workload"]
    assert window["after"]["begins"] == document["first"]["taken_at"], "what was counted since then"
    texts = {s["text"]: s for s in window["statements"]}
    (now,) = [s for t, s in texts.items() if "from bookings where" in t]
    assert now["after"]["calls"] == 1
    back = asked("diff", *reversed(pair))
    schema().validate(back)
    assert ("created", "public.log") in {
        (c["what"], c["object"]) for c in back["databases"][0]["schema"]
    }


def test_the_same_run_twice_has_no_differences(pair: tuple[str, str]) -> None:
    document = asked("diff", pair[0], pair[0])
    schema().validate(document)
    (database,) = document["databases"]
    assert (database["settings"], database["schema"], database["sizes"]) == ([], [], [])
    assert document["findings"]["changed"] == document["findings"]["resolved"] == []


def test_the_text_fits_80_columns_and_html_loads_nothing(
    pair: tuple[str, str], tmp_path: Path
) -> None:
    status, text, _ = ran("diff", *pair)
    assert status == 0
    assert max(map(len, text.splitlines())) <= 80
    # how many depends on what the server has reported by then
    assert re.search(r"^Findings: [1-9]\d* new", text, re.MULTILINE)
    for said in (
        "first: october.json.zst",
        "renamed: table public.bookings: public.orders → public.bookings",
        "dropped: table public.log",
        "Two windows alone prove nothing about time",
        "grew: table public.bookings",
    ):
        assert said in text
    status, _, _ = ran("diff", *pair, "--format", "html", "-o", "diff.html")
    assert status == 0
    html = (tmp_path / "diff.html").read_text(encoding="utf-8")
    assert "public.orders → public.bookings" in html
    assert "script-src &#39;none&#39;" in html
    assert "http://" not in html


def test_runs_dates_and_baselines_are_understood(pair: tuple[str, str], tmp_path: Path) -> None:
    url = ("--history", str(tmp_path / "history.sqlite3"))
    asked("history", "import", *pair, *url)
    asked("baseline", "set", "release", "1", *url)
    for first, second in (("1", "2"), ("release", "2"), ("release", pair[1])):
        document = asked("diff", first, second, *url)
        assert ("dropped", "public.log") in {
            (c["what"], c["object"]) for c in document["databases"][0]["schema"]
        }
    status, _, err = ran("diff", "1", "77", *url)
    assert status == 2
    assert "there is no run 77" in err


def test_another_server_a_redacted_file_and_a_hostile_one_are_compared(
    pair: tuple[str, str], start_pg: StartServer, tmp_path: Path
) -> None:
    other = start_pg({}).dsn()
    psql(other, DEBT)
    snapshot_file.save(collect(other), tmp_path / "other.json.zst")
    document = asked("diff", pair[0], "other.json.zst")
    schema().validate(document)
    assert "different servers" in document["compared_by_name"]
    assert "Compared by names" in ran("diff", pair[0], "other.json.zst")[1]
    (hidden,) = redacted([snapshot_file.load(Path(pair[1]))])
    snapshot_file.save(hidden, tmp_path / "redacted.json.zst")
    schema().validate(asked("diff", pair[0], "redacted.json.zst"))
    first = snapshot_file.load(Path(pair[0]))
    names = tuple(replace(t, name=reports.HOSTILE.replace("\0", "")) for t in first.tables)
    snapshot_file.save(replace(first, tables=names), tmp_path / "hostile.json.zst")
    status, text, _ = ran("diff", pair[0], "hostile.json.zst")
    assert status == 0
    assert "\x1b" not in text
    _, html, _ = ran("diff", pair[0], "hostile.json.zst", "--format", "html")
    assert "<script>" not in html
