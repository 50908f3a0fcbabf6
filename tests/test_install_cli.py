"""`db-analyze install` and `uninstall`, and plain `alembic` in the checkout."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from psycopg import conninfo, sql

from pgwatch_wed import install
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.target import connect
from tests import servers
from tests.installing import REVISIONS, everything, objects, rows, run

BIN = Path(sys.executable).parent
CHECKOUT = Path(__file__).parent.parent
COUNT = len(install.OBJECTS)
HEAD = REVISIONS[-1]


def test_install_and_uninstall(db: str) -> None:
    before = everything(db)
    done = db_analyze("install", db)
    where = connect.label(connect.resolve(db))
    assert done.stdout == (
        f"Installed {COUNT} functions and views in schema public of {where}.\n"
        "Try:  TABLE public.wedsync_performance_summary;\n"
    )
    assert done.stderr == ""
    again = db_analyze("install", db)
    assert (
        again.stdout
        == f"Nothing to do: schema public of {where} is at revision {HEAD}, the latest.\n"
    )
    done = db_analyze("uninstall", db)
    assert done.stdout == f"Removed the functions and views from schema public of {where}.\n"
    assert everything(db) == before
    again = db_analyze("uninstall", db)
    assert again.stdout == f"Nothing to do: nothing is installed in schema public of {where}.\n"


def test_what_somebody_dropped_comes_back(db: str) -> None:
    install.upgrade(db, "public")
    before = objects(db)
    run(db, "drop function public.get_index_stats() cascade", "drop function get_slow_queries")
    done = db_analyze("install", db)
    assert done.stdout.startswith(
        "Re-created get_index_stats, index_usage_stats, get_slow_queries, wedsync_performance_summary"
    )
    assert objects(db) == before


def test_another_schema(db: str) -> None:
    done = db_analyze("install", db, "--schema", "Mixed Case")
    assert done.stdout.endswith('Try:  TABLE "Mixed Case".wedsync_performance_summary;\n')
    assert len(objects(db, "Mixed Case")) == COUNT
    db_analyze("uninstall", db, "--schema", "Mixed Case")
    assert rows(db, "select 1 from pg_namespace where nspname = 'Mixed Case'") == []


def test_the_target_may_be_a_uri_of_sqlalchemy_or_the_environment(db: str) -> None:
    parts = conninfo.conninfo_to_dict(db)
    uri = f"postgresql+psycopg://{parts['user']}@/{parts['dbname']}?host={parts['host']}&port={parts['port']}"
    assert "Installed" in db_analyze("install", uri).stdout
    assert "Removed" in db_analyze("uninstall", env={"DATABASE_URL": uri}).stdout
    libpq = {f"PG{k.upper()}": str(v) for k, v in parts.items() if k in ("host", "port", "user")}
    libpq["PGDATABASE"] = str(parts["dbname"])
    assert "Installed" in db_analyze("install", env=libpq).stdout


def test_a_dry_run_prints_a_script_for_psql_and_changes_nothing(db: str) -> None:
    before = everything(db)
    script = db_analyze("install", "--dry-run").stdout
    assert script == install.script("public", "head")
    assert script == db_analyze("install", "--dry-run", db).stdout
    assert everything(db) == before
    psql(db, script)
    assert len(objects(db)) == COUNT
    assert db_analyze("install", "--dry-run", db).stdout == (
        "-- nothing to do: schema public is at head\n"
    )
    psql(db, db_analyze("uninstall", "--dry-run", db).stdout)
    assert everything(db) == before


def test_a_dry_run_without_a_target_needs_no_server() -> None:
    nowhere = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    assert "CREATE TABLE" in db_analyze("install", "--dry-run", env=nowhere).stdout


def test_failures_are_one_line_and_a_hint(pg: servers.Server, db: str) -> None:
    failed = db_analyze("install", "postgresql://nobody@127.0.0.1:1/none", status=3)
    assert failed.stderr.startswith("db-analyze: could not connect")
    assert "Traceback" not in failed.stderr
    failed = db_analyze("install", db, "--schema", "pg_ours", status=2)
    assert failed.stderr == (
        "db-analyze: invalid schema name 'pg_ours': it is reserved for PostgreSQL\n"
        "  hint: specify another --schema\n"
    )
    run(db, "create function public.get_cache_stats() returns int language sql as 'select 1'")
    failed = db_analyze("install", db, status=3)
    assert failed.stderr == (
        "db-analyze: the function public.get_cache_stats() exists and was not installed by"
        " pgwatch_wed; it is left as it is\n"
        "  hint: Install into another schema (db-analyze install --schema NAME, alembic -x"
        " schema=NAME), or rename what is there.\n"
    )
    assert "Installed" in db_analyze("install", db, "--schema", "monitoring").stdout
    with pg.role() as nobody:
        theirs = conninfo.make_conninfo(db, user=nobody, password=pg.password)
        failed = db_analyze("install", theirs, "--schema", "other", status=3)
        assert failed.stderr.startswith("db-analyze: permission denied for database")
        assert len(failed.stderr.splitlines()) == 2


def test_a_read_only_session_is_told_so(db: str) -> None:
    name = sql.Identifier(str(conninfo.conninfo_to_dict(db)["dbname"]))
    run(db, sql.SQL("alter database {} set default_transaction_read_only = on").format(name))
    failed = db_analyze("install", db, status=3)
    assert "read-only transaction" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_schema_that_pg_monitor_may_not_use_is_pointed_out(db: str) -> None:
    run(db, "create schema closed")
    done = db_analyze("install", db, "--schema", "closed")
    assert done.stderr == (
        "db-analyze: pg_monitor may not use schema closed: its members cannot call what was"
        " installed there (GRANT USAGE ON SCHEMA closed TO pg_monitor)\n"
    )


# Plain Alembic.


def test_alembic_in_the_checkout(db: str) -> None:
    env = {"DATABASE_URL": db}
    before = everything(db)
    assert alembic("current", env=env).stdout == ""
    assert everything(db) == before
    alembic("upgrade", "head", env=env)
    assert alembic("current", env=env).stdout == f"{HEAD} (head)\n"
    assert len(objects(db)) == COUNT
    alembic("downgrade", "0007", env=env)
    assert len(objects(db)) == 7
    alembic("downgrade", "base", env=env)
    assert everything(db) == before
    alembic("downgrade", "base", env=env)
    assert everything(db) == before


def test_alembic_takes_server_and_schema_as_arguments(db: str) -> None:
    alembic("-x", f"url={db}", "-x", "schema=some where", "upgrade", "head")
    assert len(objects(db, "some where")) == COUNT
    again = db_analyze("install", db, "--schema", "some where")
    assert again.stdout.startswith("Nothing to do")
    alembic("-x", f"url={db}", "-x", "schema=some where", "downgrade", "base")
    assert rows(db, "select 1 from pg_namespace where nspname = 'some where'") == []


def test_alembic_takes_libpqs_environment(db: str) -> None:
    parts = conninfo.conninfo_to_dict(db)
    env = {f"PG{k.upper()}": str(v) for k, v in parts.items() if k in ("host", "port", "user")}
    alembic("upgrade", "head", env=env | {"PGDATABASE": str(parts["dbname"])})
    assert len(objects(db)) == COUNT


def test_alembic_writes_a_script_offline(db: str) -> None:
    before = everything(db)
    up = alembic("upgrade", "head", "--sql")
    assert up.stdout == install.script("public", "head")
    psql(db, up.stdout)
    assert len(objects(db)) == COUNT
    psql(db, alembic("downgrade", "head:base", "--sql").stdout)
    assert everything(db) == before
    elsewhere = alembic("-x", "schema=some where", "upgrade", "0003:0005", "--sql").stdout
    assert '"some where".get_slow_queries' in elsewhere
    assert "CREATE TABLE" not in elsewhere


def test_alembic_says_refusals_without_a_traceback(db: str) -> None:
    run(db, "create view public.index_usage_stats as select 1 as a")
    refused = alembic("upgrade", "head", env={"DATABASE_URL": db}, status=255)
    said = refused.stdout + refused.stderr
    assert "FAILED: the relation public.index_usage_stats exists" in said
    assert "Traceback" not in said
    refused = alembic("-x", "url=postgresql://nobody@127.0.0.1:1/none", "current", status=255)
    assert "FAILED: could not connect" in refused.stdout + refused.stderr


def test_alembic_writes_a_new_migration(tmp_path: Path) -> None:
    copy = tmp_path / "checkout"
    (copy / "alembic").mkdir(parents=True)
    for path in (CHECKOUT / "alembic").rglob("*"):
        if path.suffix in (".py", ".mako"):
            target = copy / path.relative_to(CHECKOUT)
            target.parent.mkdir(exist_ok=True)
            target.write_text(path.read_text())
    (copy / "pyproject.toml").write_text((CHECKOUT / "pyproject.toml").read_text())
    alembic("revision", "-m", "Count more", "--rev-id", "9999", cwd=copy)
    (made,) = (copy / "alembic" / "versions").glob("9999*.py")
    assert f'down_revision = "{HEAD}"' in made.read_text().replace("'", '"')
    compile(made.read_text(), made.name, "exec")


# Helpers.


def db_analyze(
    *arguments: str, env: Mapping[str, str] | None = None, status: int = 0
) -> "subprocess.CompletedProcess[str]":
    return program("db-analyze", *arguments, env=env, status=status)


def alembic(
    *arguments: str,
    env: Mapping[str, str] | None = None,
    status: int = 0,
    cwd: Path = CHECKOUT,
) -> "subprocess.CompletedProcess[str]":
    return program("alembic", *arguments, env=env, status=status, cwd=cwd)


def program(
    name: str,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    status: int = 0,
    cwd: Path = CHECKOUT,
) -> "subprocess.CompletedProcess[str]":
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PG") and k != "DATABASE_URL"}
    done = subprocess.run(
        [str(BIN / name), *arguments],
        cwd=cwd,
        env=clean | dict(env or {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done


def psql(dsn: str, script: str) -> str:
    done = subprocess.run(
        [str(embedded.bindir() / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", dsn],
        input=script,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_help_names_the_options(command: str) -> None:
    said = db_analyze(command, "--help").stdout
    for option in ("[TARGET]", "--schema NAME", "--dry-run"):
        assert option in said


def test_the_manual_names_every_column_metric_and_status(db: str) -> None:
    install.upgrade(db, "public")
    manual = (CHECKOUT / "docs" / "sql-functions.md").read_text()
    columns = rows(
        db,
        """
        select p.proname, unnest(p.proargnames) from pg_proc p
        where p.pronamespace = 'public'::regnamespace
        union all
        select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid
        where c.relnamespace = 'public'::regnamespace and c.relkind = 'v' and a.attnum > 0""",
    )
    for name, column in columns:
        assert f"## {name}\n" in manual
        section = manual.split(f"## {name}\n")[1].split("\n## ")[0]
        assert f"`{column}`" in section or f"({column} " in section or f" {column} " in section, (
            name,
            column,
        )
    for (metric,) in rows(db, "select metric from wedsync_performance_summary"):
        assert f"| `{metric}` |" in manual
