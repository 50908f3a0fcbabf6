"""What `check` promises is what `run` does, whatever the role may see: rule by rule."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import psycopg
import pytest
from click.testing import CliRunner
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pgwatch_wed.cli import cli
from pgwatch_wed.cli.checked import statements_of
from pgwatch_wed.quote import ident
from pgwatch_wed.rules import all_rules
from tests.psql import psql
from tests.servers import Server

SCHEMA = json.loads(
    (Path(__file__).parent.parent / "docs" / "check.schema.json").read_text(encoding="utf-8")
)
SHOP = """
create schema app;
create table app.orders (id int primary key, customer int, note text);
insert into app.orders select g, g % 4000, repeat('x', 50) from generate_series(1, 40000) g;
create index on app.orders (note);
create table app.lines (id int references app.orders, quantity int);
insert into app.lines select g, g % 7 from generate_series(1, 5000) g;
vacuum analyze;
"""
PLANNED = {"index-missing", "query-misestimate"}
# The groups of a role, what else it gets, and whether the extension is there. It owns nothing unless that says so.
ROLES: dict[str, tuple[tuple[str, ...], str, bool]] = {
    "superuser": ((), "alter role ROLE superuser", True),
    "pg_monitor": (("pg_monitor",), "", True),
    "pg_monitor and the tables": (
        ("pg_monitor",),
        "grant usage on schema app to ROLE; grant select on all tables in schema app to ROLE",
        True,
    ),
    "pg_read_all_stats": (("pg_read_all_stats",), "", True),
    "plain": ((), "", True),
    "owner": (
        (),
        """alter schema app owner to ROLE; alter table app.orders owner to ROLE;
        alter table app.lines owner to ROLE""",
        True,
    ),
    "no pg_stat_statements": (("pg_monitor",), "", False),
}


@contextmanager
def as_role(server: Server, name: str) -> Iterator[str]:
    groups, script, has_extension = ROLES[name]
    with server.database() as dsn, server.role(*groups) as role:
        psql(dsn, SHOP + ("create extension pg_stat_statements;" if has_extension else ""))
        psql(dsn, script.replace("ROLE", role))
        with psycopg.connect(dsn) as connection:
            for number in range(30):
                connection.execute("select count(*) from app.orders where customer = %s", [number])
        yield make_conninfo(dsn, user=role)


def asked(*arguments: str) -> dict[str, Any]:
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("role", ROLES)
def test_what_is_promised_is_what_is_evaluated(pg: Server, tmp_path: Path, role: str) -> None:
    history = str(tmp_path / "history.sqlite3")
    with as_role(pg, role) as target:
        promised = asked("check", target, "--format", "json", "--history", history)
        assert not Path(history).exists(), "it keeps nothing"
        options = ("--format", "json", "-o", str(tmp_path), "--history", history)
        report = asked("run", target, *options)
        shown = CliRunner().invoke(cli, ["check", target, "--history", history]).output
    jsonschema.validate(promised, SCHEMA)
    told = {r["rule"]: r["is_evaluated"] for r in promised["rules"]}
    happened = {v["rule"]: v["verdict"] != "unknown" for v in report["verdicts"]}
    reasons = {v["rule"]: v["reason"] for v in report["verdicts"] if told[v["rule"]]}
    wrong = {
        rule: reasons.get(rule)
        for rule, kept in happened.items()
        if told[rule] is not None and told[rule] is not kept
    }
    assert wrong == {}
    assert {rule for rule in told if told[rule] is None} <= PLANNED
    assert told.keys() == {r.id for r in all_rules()}
    assert all(r["reason"] for r in promised["rules"] if r["is_evaluated"] is False)
    summary = promised["summary"]
    assert f"{summary['evaluated']} of {summary['rules']} rules can be evaluated now" in shown
    needs_mending = role not in ("superuser",)
    assert bool(promised["to_allow_more"]) is needs_mending
    assert all(line["text"] in shown for line in promised["to_allow_more"])


def test_the_configuration_and_the_history_are_those_of_run(
    db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pgwatch_wed.toml").write_text('only = ["advice"]', encoding="utf-8")
    promised = asked("check", db, "--format", "json")
    assert {r["rule"] for r in promised["rules"]} == {
        r.id for r in all_rules() if r.area == "advice"
    }
    assert all(r["is_evaluated"] for r in promised["rules"])
    without = asked("check", db, "--format", "json", "--no-history")
    assert not any(r["is_evaluated"] for r in without["rules"])
    assert {r["mend"] for r in without["rules"]} == {
        "db-analyze run keeps a history and compares with it"
    }


MALLORY = "x\n; alter role mallory superuser; --\x1b]0;pwned\x07"


def test_a_name_of_a_schema_is_no_statement_and_no_control_sequence(pg: Server) -> None:
    with pg.database() as dsn, pg.role("pg_monitor") as role:
        with psycopg.connect(dsn) as connection:
            connection.execute(sql.SQL("create schema {}").format(sql.Identifier(MALLORY)))
            connection.execute(sql.SQL("create table {}.t ()").format(sql.Identifier(MALLORY)))
        target = make_conninfo(dsn, user=role)
        promised = asked("check", target, "--format", "json", "--no-history")
        shown = CliRunner().invoke(cli, ["check", target, "--no-history"]).output
    texts = [m["text"] for m in promised["to_allow_more"]]
    quoted = ident(MALLORY)
    assert f"GRANT USAGE ON SCHEMA {quoted} TO {role}\n;" in texts
    assert not [t for t in texts if "mallory" in t and quoted not in t]
    assert not re.search(r"^\W*alter role", shown, re.MULTILINE)
    assert "\x1b" not in shown
    assert "\\x1b]0;pwned\\x07" in shown


@pytest.mark.parametrize(
    ("mend", "parts"),
    [
        ("GRANT a TO b;\nALTER ROLE b INHERIT;", ["GRANT a TO b;", "ALTER ROLE b INHERIT;"]),
        ("GRANT a TO b", ["GRANT a TO b;"]),
        ('GRANT é TO "ü";\nGRANT c TO d;', ['GRANT é TO "ü";', "GRANT c TO d;"]),
        ("ask a\nsuperuser", ["ask a\nsuperuser"]),
        ('set "x\n; drop table t; --" properly', ['set "x\n; drop table t; --" properly']),
        ("", []),
    ],
)
def test_mends_are_parted_at_statements(mend: str, parts: list[str]) -> None:
    assert list(statements_of(mend)) == parts
