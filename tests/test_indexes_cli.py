"""db-analyze indexes as a user meets it: formats that run as they stand, and bad input."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy.engine import URL

from pgwatch_wed.cli import indexes
from pgwatch_wed.render.index_revision import index_revision
from pgwatch_wed.target.collect import collect
from pgwatch_wed.whatif import engines, output
from pgwatch_wed.whatif.choose.advise import Advice, AdviceOptions
from tests import servers
from tests.dumps import schema
from tests.psql import psql

PROGRAM = [sys.executable, "-c", "from pgwatch_wed.__main__ import main; main()"]

SHOP = """
create table orders (id int primary key, customer_id int, status text, total int, pad text);
insert into orders select g, g % 4000, case when g % 50 = 0 then 'it''s :open %' else 'done' end, g,
    repeat('x', 50) from generate_series(1, 40000) g;
create schema "Mixed Case";
create table "Mixed Case"."Weird Table" ("Customer: Id" int, filler text);
insert into "Mixed Case"."Weird Table" select g % 4000, repeat('x', 40) from generate_series(1, 40000) g;
create table events (at date not null, device int, value float8) partition by range (at);
create table "Events Jan" partition of events for values from ('2024-01-01') to ('2024-02-01');
create table events_feb partition of events for values from ('2024-02-01') to ('2024-03-01')
    partition by hash (value);
create table "Feb: %s --0" partition of events_feb for values with (modulus 2, remainder 0);
create table "Feb: %s --1" partition of events_feb for values with (modulus 2, remainder 1);
create index mine on "Feb: %s --1" (device);
create view events_device_value_incl_idx as select 1;
create view events_device_idx as select 1;
insert into events select date '2024-01-01' + g % 59, g % 3000, g from generate_series(1, 80000) g;
vacuum analyze;
"""
WORKLOAD = {
    "customer.sql": "select sum(total) from orders where customer_id = 7;",
    "open.sql": "select id from orders where status = 'it''s :open %' and total > 100 -- they wait",
    "weird.sql": 'select filler from "Mixed Case"."Weird Table" where "Customer: Id" = 5',
    "device.sql": "select avg(value) from events where device = 5",
    "id.sql": "select * from orders where id = 7",
    "broken.sql": "select missing from orders",
    "ddl.sql": "create table x ()",
}


def db_analyze(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PG") and k != "DATABASE_URL"}
    return subprocess.run(
        [*PROGRAM, "indexes", *args],
        capture_output=True,
        text=True,
        env={**clean, **env},
        timeout=120,
        check=False,
    )


def failed(done: subprocess.CompletedProcess[str], status: int) -> str:
    """Return what a failed call said: one line and a hint, no traceback, nothing on stdout."""
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert 1 <= len(done.stderr.strip().splitlines()) <= 4
    return done.stderr


def indexes_of(dsn: str) -> dict[str, bool]:
    with psycopg.connect(dsn) as connection:
        return dict(
            connection.execute(
                "select indexrelid::regclass::text, indisvalid from pg_index"
                " where indrelid >= 16384 and not indisprimary"
            ).fetchall()
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("workload")
    for name, text in WORKLOAD.items():
        (made / name).write_text(text, encoding="utf-8")
    (made / "weights.json").write_text('{"customer.sql": 3}', encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def shop(pg: servers.Server) -> Iterator[str]:
    with pg.database() as dsn:
        psql(dsn, SHOP)
        yield dsn


@pytest.fixture(scope="module")
def advice(shop: str, folder: Path) -> Advice:
    return engines.advise_target(shop, folder, AdviceOptions(100_000_000, seconds=20), "lab")


def test_text_says_what_to_build_what_it_gains_and_who_gets_nothing(
    shop: str, folder: Path
) -> None:
    done = db_analyze(shop, "--workload", str(folder), "--budget", "100MB")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    weird = '"Weird Table_Customer_Id_idx" ON "Mixed Case"."Weird Table"'
    assert f"CREATE INDEX CONCURRENTLY {weird}" in done.stdout
    assert "ATTACH PARTITION" in done.stdout
    assert "of 100 MB" in done.stdout
    for name in ("id.sql", "broken.sql", "ddl.sql"):
        assert f"  {name}: " in done.stdout.partition("Queries without recommended indexes")[2]


def test_json_has_the_promised_form(shop: str, folder: Path) -> None:
    done = db_analyze(shop, "--workload", str(folder), "--format", "json", "--engine", "lab")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["cost_after"] < found["cost_before"]
    assert found["bytes"] > 0
    assert found["whatif_calls"] > 0
    assert found["seconds"] > 0
    assert found["per_query"]["customer.sql"]["weight"] == 3
    assert {r["query"] for r in found["rejected"]} >= {"id.sql", "broken.sql", "ddl.sql"}
    assert all(r["reason"] for r in found["rejected"])
    assert [d["ddl"] for d in found["details"]] == found["indexes"]
    assert all(
        "CONCURRENTLY" in d["script"] and "DROP INDEX" in d["undo"] for d in found["details"]
    )
    with psycopg.connect(shop) as connection:
        for ddl in found["indexes"]:
            connection.execute(ddl)
        connection.rollback()


def test_the_script_builds_every_index_valid_and_its_undo_takes_them_away(
    pg: servers.Server, shop: str, advice: Advice
) -> None:
    before, script = schema(shop, pg), output.as_sql(advice)
    psql(shop, script)
    built = indexes_of(shop)
    assert len(built) >= len(advice.indexes) >= 4
    assert all(built.values())
    assert '"Mixed Case"."Weird Table_Customer_Id_idx"' in built
    assert "events_device_idx1" in built, "two views have the names that come first"
    assert "ATTACH PARTITION public.mine;" in script
    undo = [line.removeprefix("-- undo: ") for line in script.splitlines() if "-- undo: " in line]
    psql(shop, "\n".join(undo))
    assert schema(shop, pg) == before


def test_what_becomes_redundant_is_dropped_as_it_can_be(db: str, advice: Advice) -> None:
    psql(
        db,
        "create table p (a int) partition by range (a); create index p_a on p (a);"
        "create table t (a int); create index t_a on t (a); alter table t add constraint t_u unique (a);",
    )
    one = replace(advice.indexes[0], makes_redundant=("public.p_a", "public.t_a", "public.gone"))
    told = engines.scripted(replace(advice, indexes=(one,)), collect(db))
    drops = [line for line in output.as_sql(told).splitlines() if "then redundant" in line]
    assert [line.partition(": ")[2] for line in drops] == [
        "DROP INDEX public.p_a;",
        "DROP INDEX CONCURRENTLY public.t_a;",
    ]


def test_an_invalid_index_on_the_same_column_is_named(db: str, advice: Advice) -> None:
    psql(
        db,
        "create table orders (customer_id int, total int); create index valid on orders (customer_id, total);"
        "create index other on orders (total); create index broken on orders (customer_id);"
        "update pg_index set indisvalid = false where indexrelid in ('broken'::regclass, 'other'::regclass);",
    )
    (one,) = (i for i in advice.indexes if i.index.columns[0] == "customer_id")
    (told,) = engines.scripted(replace(advice, indexes=(one,)), collect(db)).indexes
    about = [text for text in told.caveats if "is invalid" in text]
    assert [text.partition(",")[0] for text in about] == ["public.broken"]


def alembic(dsn: str, folder: Path, revision: str) -> AlembicConfig:
    versions = folder / "versions"
    versions.mkdir(parents=True)
    (versions / "advised.py").write_text(revision, encoding="utf-8")
    (folder / "script.py.mako").write_text("", encoding="utf-8")
    (folder / "env.py").write_text(
        "from alembic import context\n"
        "from sqlalchemy import create_engine\n"
        "engine = create_engine(context.config.attributes['url'])\n"
        "with engine.connect() as connection:\n"
        "    context.configure(connection=connection, transaction_per_migration=True)\n"
        "    with context.begin_transaction():\n"
        "        context.run_migrations()\n"
        "engine.dispose()\n",
        encoding="utf-8",
    )
    config = AlembicConfig()
    config.set_main_option("script_location", str(folder))
    config.set_main_option("path_separator", "os")
    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    config.attributes["url"] = URL.create(
        "postgresql+psycopg", database=str(parts.pop("dbname")), query=_strings(parts)
    )
    return config


def _strings(parts: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in parts.items()}


def test_the_revision_goes_up_and_down(
    pg: servers.Server, shop: str, advice: Advice, tmp_path: Path
) -> None:
    before = schema(shop, pg)
    config = alembic(shop, tmp_path / "alembic", index_revision(advice))
    command.upgrade(config, "head")
    built = indexes_of(shop)
    assert len(built) >= len(advice.indexes)
    assert all(built.values())
    psql(
        shop,
        "delete from alembic_version;"
        "update pg_index set indisvalid = false where indexrelid = "
        f"'{advice.indexes[0].index.schema}.{advice.indexes[0].name}'::regclass",
    )
    command.upgrade(config, "head")  # a build was interrupted: only that one is repeated
    assert indexes_of(shop) == built
    command.downgrade(config, "base")
    psql(shop, "drop table alembic_version")
    assert schema(shop, pg) == before


def test_no_advice_is_a_valid_script_and_revision(shop: str, tmp_path: Path) -> None:
    (tmp_path / "id.sql").write_text("select * from orders where id = 7", encoding="utf-8")
    nothing = engines.advise_target(shop, tmp_path, AdviceOptions(seconds=5), "lab")
    assert nothing.indexes == ()
    psql(shop, output.as_sql(nothing))
    command.upgrade(alembic(shop, tmp_path / "alembic", index_revision(nothing)), "head")
    psql(shop, "drop table alembic_version")


@pytest.mark.pg(">= 14", extension="pg_stat_statements")
def test_the_workload_is_that_of_pg_stat_statements_by_default(db: str) -> None:
    psql(
        db,
        SHOP.partition("create schema")[0] + "vacuum analyze; create extension pg_stat_statements;",
    )
    with psycopg.connect(db) as connection:
        for number in range(50):
            connection.execute("select sum(total) from orders where customer_id = %s", [number])
    done = db_analyze(db, "--format", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["unit"] == "ms"
    assert any("customer_id" in ddl for ddl in found["indexes"])
    assert not any("pg_stat_statements" in name for name in found["per_query"])


@pytest.mark.pg(">= 14", extension="pg_stat_statements")
def test_the_workload_is_the_users_own_whatever_their_tables_are_called(db: str) -> None:
    psql(
        db,
        "create extension pg_stat_statements;"
        "create table pg_orders (id int primary key, customer int, pad text);"
        "insert into pg_orders select g, g % 4000, repeat('x', 60) from generate_series(1, 40000) g;"
        "create sequence numbers; create view seen as select 1 as x; create type kind as enum ('a');"
        "create function f() returns int language sql as 'select 1';"
        "analyze;"
        # the server may be full of other tests' statements, and would soon forget one that ran once; and the 40,000
        # rows above would cost an index more than one statement saves
        "select pg_stat_statements_reset();"
        "insert into pg_orders values (0, 0, '');"
        "select sum(id) from pg_orders where customer = 5;"
        "create table copied as select * from pg_orders where customer = 4;",
    )
    first, second = (json.loads(db_analyze(db, "--format", "json").stdout) for _ in range(2))
    for found in (first, second):  # the second has pg_dump's statements and ours before it
        assert any("pg_orders" in ddl and "customer" in ddl for ddl in found["indexes"])
        names = {*found["per_query"], *(r["query"] for r in found["rejected"])}
        # CREATE TABLE AS is called after its query
        assert sorted(name.partition(" [")[0] for name in names) == [
            "INSERT pg_orders",
            *["SELECT pg_orders by customer"] * 2,
        ]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--engine", "oracle"], "'oracle' is not one of 'auto', 'hypopg', 'lab'"),
        (["--budget", "0"], "the budget is zero"),
        (["--budget", "many"], "'many' is not a valid size"),
        (["--budget", "-5MB"], "not a valid size"),
        (["--seconds", "0"], "--seconds"),
        (["--max-width", "99"], "--max-width"),
        (["--format", "yaml"], "yaml"),
        (["--workload", "/nowhere"], "could not read the workload /nowhere: No such file"),
    ],
)
def test_bad_options_are_one_line_and_status_2(shop: str, args: list[str], said: str) -> None:
    assert said in failed(db_analyze(shop, *args), 2)


def test_bad_folders_are_one_line_and_status_2(shop: str, tmp_path: Path) -> None:
    assert "contains no .sql files" in failed(db_analyze(shop, "--workload", str(tmp_path)), 2)
    (tmp_path / "a.sql").write_text("select 1", encoding="utf-8")
    for weights, said in (
        ("{", "weights.json"),
        ('{"b.sql": 1}', "file 'b.sql' does not exist"),
        ('{"a.sql": "much"}', "must be a non-negative number"),
        ('{"a.sql": -1}', "must be a non-negative number"),
        ("[]", "it is not a JSON object"),
    ):
        (tmp_path / "weights.json").write_text(weights, encoding="utf-8")
        assert said in failed(db_analyze(shop, "--workload", str(tmp_path)), 2)
    file = tmp_path / "a.sql"
    assert "Not a directory" in failed(db_analyze(shop, "--workload", str(file)), 2)


def test_files_that_are_no_query_are_named_with_their_reason(shop: str, tmp_path: Path) -> None:
    (tmp_path / "latin.sql").write_bytes(b"select '\xe4'")
    (tmp_path / "two.sql").write_text("select 1; select 2", encoding="utf-8")
    (tmp_path / "empty.sql").write_text("", encoding="utf-8")
    (tmp_path / "huge.sql").write_text("-" * 1_000_001, encoding="utf-8")
    (tmp_path / "folder.sql").mkdir()
    done = db_analyze(shop, "--workload", str(tmp_path), "--format", "json")
    assert done.returncode == 0, done.stderr
    reasons = {r["query"]: r["reason"] for r in json.loads(done.stdout)["rejected"]}
    assert reasons == {
        "latin.sql": "the file is not UTF-8",
        "two.sql": "it contains 2 statements",
        "empty.sql": "it is empty",
        "huge.sql": "the file is larger than 1 MB",
        "folder.sql": "the file could not be read: Is a directory",
    }


def test_a_target_that_cannot_answer_is_one_line_and_status_3(
    shop: str, folder: Path, tmp_path: Path
) -> None:
    said = failed(db_analyze(shop, "--workload", str(folder), "--engine", "hypopg"), 3)
    assert "hypopg is not installed" in said
    assert "CREATE EXTENSION pg_stat_statements" in failed(db_analyze(shop), 3)
    nowhere = f"host={tmp_path} dbname=x"
    assert "could not connect" in failed(db_analyze(nowhere, "--workload", str(folder)), 3)


def test_seconds_bound_the_search(shop: str, folder: Path) -> None:
    done = db_analyze(shop, "--workload", str(folder), "--seconds", "1", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["seconds"] < 2


def test_a_role_that_may_read_nothing_is_told_what_it_lacks(
    pg: servers.Server, shop: str, folder: Path
) -> None:
    with pg.role() as name:
        as_role = psycopg.conninfo.make_conninfo(shop, user=name)
        said = failed(db_analyze(as_role, "--workload", str(folder)), 3)
    assert "permission denied" in said
    assert "GRANT" in said


def test_the_command_line_offers_what_there_is() -> None:
    """The lists stand in the command too, so that --help need not import the advisor."""
    assert tuple(indexes._writers()) == indexes._FORMATS
    assert engines.ENGINES == indexes._ENGINES
