"""docs/library.md: what programs may rely on, and its code on a real server."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, assert_type

import psycopg
import pytest

import pgwatch_wed
from pgwatch_wed import Config, Report, Snapshot, analyse, collect, render
from pgwatch_wed.errors import ConnectError, UsageError, decoded, said
from tests.psql import psql
from tests.reports import NOW, finding, server
from tests.reports import report as made

PAGE = (Path(__file__).parent.parent / "docs" / "library.md").read_text(encoding="utf-8")
FIRST, SECOND = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
EXAMPLE = "postgresql://me@db.example.com/shop"
PUBLIC = {"collect", "analyse", "render", "Config", "Snapshot", "Report"}


def test_the_public_names_are_these_and_the_page_tells_them() -> None:
    assert set(pgwatch_wed.__all__) == PUBLIC
    listed = PAGE.partition("## What is public\n\n")[2].partition(" and `pgwatch_wed.errors")[0]
    assert set(re.findall(r"`(\w+)`", listed)) == PUBLIC
    assert set(dir(pgwatch_wed)) >= PUBLIC
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        pgwatch_wed.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_the_fields_on_the_page_are_those_of_the_configuration() -> None:
    told = re.findall(r"`(\w+)`", PAGE.partition("as fields: ")[2].partition(".\n")[0])
    of_the_history = {"history", "acknowledged"}
    assert set(told) == set(Config.__dataclass_fields__) - of_the_history


def test_the_three_lines_and_the_example_run_on_a_server(
    db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pgwatch_wed.toml").write_text('only = ["lock"]', encoding="utf-8")  # is not read
    psql(db, "create table orders (id int); create index a on orders (id);")
    psql(db, "create index b on orders (id); insert into orders select generate_series(1, 2000)")
    assert EXAMPLE in FIRST
    names: dict[str, Any] = {}
    exec(FIRST.replace(f'"{EXAMPLE}"', repr(db)), names)
    found = {f.rule for f in names["report"].findings}
    assert {"index-duplicate", "schema-no-primary-key"} <= found
    assert capsys.readouterr() == ("", "")
    exec(SECOND, names)
    snapshot = names["indexes"](db)
    assert "index-duplicate public." in capsys.readouterr().out
    assert "public.orders" in (tmp_path / "indexes.html").read_text(encoding="utf-8")
    both = assert_type(analyse([snapshot]), Report)
    assert both.target.database == json.loads(render(both, snapshot, "json"))["target"]["database"]


def test_modules_do_not_take_the_place_of_functions() -> None:
    """`analyse` and `render` are also modules of ours, which anything may import, before or after."""
    script = (
        "import sys, pgwatch_wed\n"
        "assert not {'click', 'psycopg', 'jinja2'} & sys.modules.keys(), 'imported at once'\n"
        "import pgwatch_wed.analyse, pgwatch_wed.render.html\n"
        "from pgwatch_wed.analyse import judge\n"
        "import pgwatch_wed.config\n"
        "print([callable(getattr(pgwatch_wed, name)) for name in pgwatch_wed.__all__])\n"
        "print(pgwatch_wed.config.__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout == f"{[True] * len(PUBLIC)}\npgwatch_wed.config\n", done.stderr


def test_documents_are_text_except_for_pdf() -> None:
    snapshot, full = Snapshot.__new__(Snapshot), made((finding(),))
    assert_type(render(full, snapshot, "markdown"), str)
    assert "index-duplicate" in render(full, snapshot, "text")
    with pytest.raises(UsageError, match="did you mean 'markdown'"):
        render(full, snapshot, "markdwn")  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "config",
    [
        Config(only=("indexing",)),
        Config(ignore=("index-unusd",)),
        Config(limits={"index-unusd": {}}),
        Config(profile="oltpp"),
    ],
)
def test_a_configuration_that_selects_nothing_is_no_clear_server(config: Config) -> None:
    with pytest.raises(UsageError):
        analyse(Snapshot.__new__(Snapshot), config)


def test_what_cannot_be_one_report_is_refused() -> None:
    first = server(system_identifier="1", database_oid=5)
    later = NOW + timedelta(hours=1)
    one, moment, other = (
        Snapshot(tool_version="0", server=replace(first, **changed))
        for changed in ({}, {"taken_at": later}, {"system_identifier": "2"})
    )
    for pair in ((one, moment), (moment, one)):
        with pytest.raises(UsageError, match="two snapshots of database shop") as refused:
            analyse(pair)
        assert f"pass only snapshot {1 + pair.index(moment)}" in refused.value.hint
    with pytest.raises(UsageError, match="two snapshots of database shop"):
        render(analyse(moment), (one, moment))
    with pytest.raises(UsageError, match="different servers"):
        analyse((one, other))
    logs = replace(one, server=replace(first, database="logs", database_oid=6))
    assert analyse((one, logs)).target.database


def test_a_servers_message_keeps_its_letters_whatever_the_encoding(db: str) -> None:
    with psycopg.connect(db, client_encoding="sql_ascii") as session:
        with pytest.raises(psycopg.Error) as raised:
            session.execute("do $$ begin raise using message = U&'f\\00fcr Sicht'; end $$")
        assert said(raised.value) == "für Sicht"
    assert decoded("für Sicht".encode("latin-1")) == "für Sicht"


def test_errors_say_what_to_do() -> None:
    with pytest.raises(UsageError, match="no snapshot"):
        analyse([])
    with pytest.raises(ConnectError) as failed:
        collect("postgresql://me:secret@127.0.0.1:1/shop")
    assert failed.value.message
    assert "secret" not in str(failed.value)
