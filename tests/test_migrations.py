"""What Alembic installs, on every server: up and down, offline, refusals, privileges, upgrades."""

import hashlib
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pglast
import psycopg
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from psycopg import conninfo, sql

from pgwatch_wed import assets, install
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.errors import InstallError, UsageError
from tests import servers
from tests.installing import GUIDE, REVISIONS, call, connect, everything, objects, rows, run
from tests.psql import psql
from tests.standby import standby_of
from tests.upgrading import machine

FOLDER = assets.asset("sql") / "install"
FROZEN = sorted(FOLDER.glob("*.v*.sql"))
HOSTILE = (
    "Mixed Case",
    'quote"d',
    "apostrophe's",
    "back\\slash",
    "per%cent %s",
    "co:lon :name",
    "semi;colon -- comment",
    "dollar$pgwatch_wed$ $get_table_stats$",
    "dot.ted",
    "new\nline",
    "@schema@",
    "ünïcödé",
    "select",
    "x" * 63,
)


# The frozen files, without a server.


def test_a_frozen_file_never_changes() -> None:
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}" for p in FROZEN]
    assert (FOLDER / "LOCK").read_text().splitlines() == lines


def test_migrations_do_nothing_but_remove_and_run_frozen_files() -> None:
    for path in (assets.asset("alembic") / "versions").glob("*.py"):
        text = path.read_text()
        assert re.search(
            r'def upgrade\(\) -> None:\n    """[^"]+"""\n(    remove\("\w+"\)\n)*(    run\("\w+", \d+\)\n)+\n',
            text,
        )


@pytest.mark.parametrize("path", FROZEN, ids=lambda p: p.name)
def test_a_frozen_file_is_plain_sql_that_every_encoding_can_hold(path: Path) -> None:
    text = path.read_bytes().decode("ascii").replace("@schema@", '"S"')
    statements = pglast.parse_sql(text)
    kinds = {type(s.stmt).__name__ for s in statements}
    assert kinds <= {"CreateFunctionStmt", "ViewStmt", "CommentStmt"}
    for statement in statements:
        assert '"S"' in text[statement.stmt_location :][: statement.stmt_len or None]


@pytest.mark.parametrize("path", FROZEN, ids=lambda p: p.name)
def test_a_frozen_file_marks_its_object_as_ours(path: Path) -> None:
    name, version = path.name.removesuffix(".sql").split(".v")
    assert name in {each.name for each in install.OBJECTS}
    assert f"\n\nInstalled by pgwatch_wed: {name} v{version}.$comment$;" in path.read_text()


def test_every_object_has_a_file_and_they_are_made_in_order() -> None:
    assert list(install.newest()) == [each.name for each in install.OBJECTS]


def test_the_steps_are_valid_sql() -> None:
    for path in (FOLDER / "steps").glob("*.sql"):
        assert len(pglast.parse_sql(path.read_bytes().decode("ascii"))) == 1


def test_the_migrations_folder_is_not_a_package() -> None:
    spec = importlib.util.find_spec("alembic")
    assert spec
    assert spec.origin
    assert "site-packages" in spec.origin
    assert not list(assets.asset("alembic").rglob("__init__.py"))


# Up and down.


@pytest.mark.all_versions
def test_every_revision_goes_up_down_and_up(every_db: str) -> None:
    empty = everything(every_db)
    before: list[list[Any]] = []
    for revision in REVISIONS:
        before.append(objects(every_db))
        migrate(every_db, "upgrade", revision)
        once = objects(every_db)
        migrate(every_db, "downgrade", before_of(revision))
        assert objects(every_db) == before[-1]
        migrate(every_db, "upgrade", revision)
        assert objects(every_db) == once
    for revision, state in zip(reversed(REVISIONS), reversed(before), strict=True):
        migrate(every_db, "downgrade", before_of(revision))
        assert objects(every_db) == state
    assert everything(every_db) == empty


@pytest.mark.all_versions
def test_down_leaves_nothing_behind_and_up_again_is_the_same(every_db: str) -> None:
    empty = everything(every_db)
    assert install.upgrade(every_db, "public").after == REVISIONS[-1]
    first = objects(every_db)
    assert install.downgrade(every_db, "public").after is None
    assert everything(every_db) == empty
    install.upgrade(every_db, "public")
    assert objects(every_db) == first


@pytest.mark.all_versions
def test_the_newest_files_alone_equal_head(every_pg: servers.Server, every_db: str) -> None:
    install.upgrade(every_db, "public")
    with every_pg.database() as other, psycopg.connect(other) as connection:
        for name, version in install.newest().items():
            connection.execute(install.statements(name, version, "public").encode())
        connection.commit()
        assert objects(other) == objects(every_db)


def test_a_file_can_be_run_again(every_db: str) -> None:
    install.upgrade(every_db, "public")
    before = objects(every_db)
    with psycopg.connect(every_db) as connection:
        for name, version in install.newest().items():
            connection.execute(install.statements(name, version, "public").encode())
    assert objects(every_db) == before


def test_a_second_installation_does_nothing(db: str) -> None:
    install.upgrade(db, "public")
    before = everything(db)
    assert not install.upgrade(db, "public").is_changed
    assert everything(db) == before


def test_removing_what_was_never_installed_does_nothing(db: str) -> None:
    before = everything(db)
    assert not install.downgrade(db, "public").is_changed
    assert not install.downgrade(db, "no such schema").is_changed
    assert everything(db) == before


# Schemas.


@pytest.mark.parametrize("schema", HOSTILE)
def test_any_schema_name_will_do(db: str, schema: str) -> None:
    empty = everything(db)
    install.upgrade(db, schema)
    with connect(db) as connection:
        connection.execute("create extension pg_stat_statements")
        for each in install.OBJECTS:
            connection.execute(call(schema, each))
        connection.execute("drop extension pg_stat_statements")
    assert len(objects(db, schema)) == len(install.OBJECTS)
    install.downgrade(db, schema)
    assert everything(db) == empty


@pytest.mark.parametrize("schema", HOSTILE)
def test_any_schema_name_will_do_offline(db: str, schema: str) -> None:
    empty = everything(db)
    psql(db, install.script(schema, "head"))
    assert len(objects(db, schema)) == len(install.OBJECTS)
    psql(db, install.script(schema, "base"))
    assert everything(db) == empty


@pytest.mark.parametrize("schema", ["", "pg_mine", "information_schema", "x" * 64, "zero\0byte"])
def test_a_schema_that_cannot_be_is_refused(schema: str) -> None:
    with pytest.raises(UsageError, match="invalid schema name"):
        install.script(schema, "head")


def test_a_schema_that_others_use_by_now_stays(db: str) -> None:
    install.upgrade(db, "monitoring")
    run(db, "create table monitoring.theirs (a int)")
    install.downgrade(db, "monitoring")
    assert [o[0] for o in objects(db, "monitoring")] == ["monitoring.theirs"]
    state = "select nspacl::text ~ 'pg_monitor', obj_description(oid) from pg_namespace where nspname = 'monitoring'"
    assert rows(db, state) == [(False, None)]


def test_a_schema_that_was_there_stays_as_it_was(db: str) -> None:
    run(db, "create schema monitoring", "comment on schema monitoring is 'of the DBAs'")
    before = everything(db)
    outcome = install.upgrade(db, "monitoring")
    (notice,) = outcome.notices
    assert notice.startswith("pg_monitor may not use schema monitoring")
    assert notice.endswith("(GRANT USAGE ON SCHEMA monitoring TO pg_monitor)")
    install.downgrade(db, "monitoring")
    assert everything(db) == before


def test_installations_in_two_schemas_do_not_meet(db: str) -> None:
    install.upgrade(db, "one")
    install.upgrade(db, "two")
    install.downgrade(db, "one")
    assert len(objects(db, "two")) == len(install.OBJECTS)
    assert rows(db, "select 1 from pg_namespace where nspname = 'one'") == []
    assert len(rows(db, "select * from two.wedsync_performance_summary")) > 20


def test_nothing_of_a_schema_where_others_create_gets_into_the_views(every_db: str) -> None:
    # This operator fits `bigint / numeric` better than PostgreSQL's own.
    run(
        every_db,
        "create function public.mine(bigint, numeric) returns numeric language sql as 'select 42.0'",
        "create operator public./ (function = public.mine, leftarg = bigint, rightarg = numeric)",
        "create operator public.>= (function = public.mine, leftarg = bigint, rightarg = numeric)",
    )
    install.upgrade(every_db, "public")
    depends = """
        select count(*) from pg_depend d
        where d.refobjid = any (array['public.mine(bigint,numeric)'::regprocedure::oid]
            || array(select o.oid from pg_operator o where o.oprnamespace = 'public'::regnamespace))
            and d.classid = 'pg_rewrite'::regclass"""
    assert rows(every_db, depends) == [(0,)]


# Offline.


@pytest.mark.all_versions
def test_the_offline_script_equals_the_online_migration(
    every_pg: servers.Server, every_db: str
) -> None:
    install.upgrade(every_db, "public")
    with every_pg.database() as other:
        empty = everything(other)
        psql(other, install.script("public", "head"))
        assert objects(other) == objects(every_db)
        assert install.upgrade(other, "public").is_changed is False
        psql(other, install.script("public", "base"))
        assert everything(other) == empty


def test_the_offline_script_runs_inside_a_transaction_too(db: str) -> None:
    done = run_psql(db, install.script("monitoring", "head"), "--single-transaction")
    assert done.returncode == 0
    assert len(objects(db, "monitoring")) == len(install.OBJECTS)


def test_the_offline_script_can_be_rolled_back(db: str) -> None:
    before = everything(db)
    text = install.script("monitoring", "head").replace("COMMIT;", "ROLLBACK;")
    psql(db, text)
    assert everything(db) == before


def test_the_offline_script_that_is_refused_changes_nothing(db: str) -> None:
    run(db, "create view public.index_usage_stats as select 1 as theirs")
    before = everything(db)
    done = run_psql(db, install.script("public", "head"))
    assert "was not installed by pgwatch_wed" in done.stderr
    assert everything(db) == before


def test_a_script_for_a_server_holds_what_it_lacks(db: str) -> None:
    assert install.script("public", "head", conninfo=db) == install.script("public", "head")
    migrate(db, "upgrade", "0006")
    script = install.script("public", "head", conninfo=db)
    assert "get_lock_stats, version 1" not in script
    psql(db, script)
    assert len(objects(db)) == len(install.OBJECTS)
    assert install.script("public", "head", conninfo=db) == (
        "-- nothing to do: schema public is at head\n"
    )
    psql(db, install.script("public", "base", conninfo=db))
    assert install.script("public", "base", conninfo=db) == (
        "-- nothing to do: schema public is at base\n"
    )


# What is not ours.


FOREIGN = (
    (
        "create function public.get_table_stats() returns int language sql as 'select 1'",
        "the function public.get_table_stats() exists",
    ),
    (
        "create function public.get_table_stats(a int default 1) returns int language sql as 'select 1'",
        "the function public.get_table_stats(integer) exists",
    ),
    (
        "create function public.get_slow_queries(integer) returns int language sql as 'select 1'",
        "the function public.get_slow_queries(integer) exists",
    ),
    (
        "create function public.get_cache_stats(variadic a int[]) returns int language sql as 'select 1'",
        "the function public.get_cache_stats(integer[]) exists",
    ),
    (
        "create procedure public.get_lock_stats() language sql as 'select 1'",
        "the function public.get_lock_stats() exists",
    ),
    (
        "create view public.index_usage_stats as select 1 as a",
        "the relation public.index_usage_stats exists",
    ),
    (
        "create table public.wedsync_performance_summary (a int)",
        "the relation public.wedsync_performance_summary exists",
    ),
    (
        "create type public.wedsync_performance_summary as enum ('a')",
        "the type public.wedsync_performance_summary exists",
    ),
)


@pytest.mark.parametrize(("theirs", "said"), FOREIGN)
def test_an_object_that_is_not_ours_is_refused_and_left(db: str, theirs: str, said: str) -> None:
    run(db, theirs)
    before = everything(db)
    with pytest.raises(InstallError, match=re.escape(said)) as refused:
        install.upgrade(db, "public")
    assert "--schema NAME" in refused.value.hint
    assert everything(db) == before


def test_overloads_that_no_call_of_ours_can_mean_stay(every_db: str) -> None:
    run(
        every_db,
        "create function public.get_table_stats(text) returns int language sql as 'select 1'",
        "create function public.get_slow_queries(int, int, text) returns int language sql as 'select 1'",
        "create extension pg_stat_statements",
    )
    before = [o for o in objects(every_db) if "pg_stat" not in o[0]]
    install.upgrade(every_db, "public")
    for guide in GUIDE:
        run(every_db, guide)
    install.downgrade(every_db, "public")
    assert [o for o in objects(every_db) if "pg_stat" not in o[0]] == before


def test_an_object_that_a_user_put_in_our_place_survives_the_removal(db: str) -> None:
    install.upgrade(db, "public")
    run(
        db,
        "drop function public.get_lock_stats() cascade",
        "create function public.get_lock_stats() returns int language sql as 'select 1'",
    )
    install.downgrade(db, "public")
    assert [o[0] for o in objects(db)] == ["get_lock_stats()"]


def test_what_others_built_on_ours_keeps_it_from_being_removed(db: str) -> None:
    install.upgrade(db, "public")
    run(db, "create view public.theirs as select relname from public.get_table_stats()")
    before = everything(db)
    with pytest.raises(
        InstallError, match=r"view public\.theirs depends on function public\.get_table_stats"
    ):
        install.downgrade(db, "public")
    assert everything(db) == before


def test_the_application_may_use_alembic_in_the_same_schema(db: str) -> None:
    run(
        db,
        "create table public.alembic_version (version_num varchar(32) primary key)",
        "insert into public.alembic_version values ('c0ffee')",
    )
    install.upgrade(db, "public")
    assert rows(db, "select * from public.alembic_version") == [("c0ffee",)]
    install.downgrade(db, "public")
    assert rows(db, "select * from public.alembic_version") == [("c0ffee",)]


def test_a_database_of_a_newer_version_is_left_alone(db: str) -> None:
    install.upgrade(db, "public")
    run(db, f"update public.{install.VERSION_TABLE} set version_num = '9999'")
    with pytest.raises(InstallError, match="a newer pgwatch_wed"):
        install.upgrade(db, "public")


# Privileges.


def test_nothing_becomes_reachable_on_hosts_that_grant_by_default(
    every_pg: servers.Server, every_db: str
) -> None:
    with every_pg.role() as anon:
        for kind in ("functions", "tables", "sequences", "types"):
            run(
                every_db,
                sql.SQL(
                    "alter default privileges in schema public grant all on {} to {}, public"
                ).format(sql.SQL(kind), sql.Identifier(anon)),
            )
        run(every_db, "alter default privileges grant execute on functions to pg_read_all_stats")
        install.upgrade(every_db, "public")
        reachable = """
            select p.proname from pg_proc p
            where p.pronamespace = 'public'::regnamespace
                and has_function_privilege(%s, p.oid, 'execute')
            union all
            select c.relname from pg_class c
            where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v')
                and has_table_privilege(%s, c.oid, 'select, insert, update, delete, truncate, references, trigger')
        """
        assert rows(every_db, reachable, anon, anon) == []
        grants = """
            select distinct a.grantee::regrole::text, a.privilege_type from pg_class c
            cross join aclexplode(c.relacl) a
            where c.relnamespace = 'public'::regnamespace and a.grantee <> c.relowner
                and c.relkind in ('r', 'v')
            union
            select distinct a.grantee::regrole::text, a.privilege_type from pg_proc p
            cross join aclexplode(p.proacl) a
            where p.pronamespace = 'public'::regnamespace and a.grantee <> p.proowner
            order by 1, 2
        """
        assert rows(every_db, grants) == [("pg_monitor", "EXECUTE"), ("pg_monitor", "SELECT")]
        install.downgrade(every_db, "public")


def test_the_objects_run_with_the_rights_of_the_caller(every_db: str) -> None:
    install.upgrade(every_db, "public")
    functions = """
        select p.proname, p.prosecdef, p.proconfig from pg_proc p
        where p.pronamespace = 'public'::regnamespace"""
    for name, is_definer, settings in rows(every_db, functions):
        assert not is_definer, name
        assert "search_path=pg_catalog, pg_temp" in settings, name
    views = "select relname, reloptions from pg_class where relkind = 'v' and relnamespace = 'public'::regnamespace"
    if int(rows(every_db, "show server_version_num")[0][0]) >= 150000:
        for name, options in rows(every_db, views):
            assert options == ["security_invoker=true"], name


def test_the_owner_of_a_database_may_install_without_being_superuser(
    every_pg: servers.Server, every_db: str
) -> None:
    with every_pg.role() as owner:
        run(
            every_db,
            sql.SQL("grant create, usage on schema public to {}").format(sql.Identifier(owner)),
        )
        theirs = conninfo.make_conninfo(every_db, user=owner, password=every_pg.password)
        install.upgrade(theirs, "public")
        run(every_db, "select * from get_table_stats()")
        with every_pg.role() as other:
            run(
                every_db,
                sql.SQL("grant create, usage on schema public to {}").format(sql.Identifier(other)),
            )
            strange = conninfo.make_conninfo(every_db, user=other, password=every_pg.password)
            with pytest.raises(InstallError, match="permission denied"):
                install.downgrade(strange, "public")
        install.downgrade(theirs, "public")


def test_an_object_of_another_role_is_not_replaced(pg: servers.Server, db: str) -> None:
    install.upgrade(db, "public")
    run(db, f"drop table public.{install.VERSION_TABLE}")
    with pg.role() as other:
        run(db, sql.SQL("grant create on schema public to {}").format(sql.Identifier(other)))
        strange = conninfo.make_conninfo(db, user=other, password=pg.password)
        with pytest.raises(InstallError, match="belongs to role postgres"):
            install.upgrade(strange, "public")


@pytest.mark.parametrize("is_recorded", [False, True])
def test_a_planted_object_that_looks_like_ours_is_refused(
    every_pg: servers.Server, every_db: str, is_recorded: bool
) -> None:
    """A superuser would replace it, and the role that planted it would still own what others call."""
    with every_pg.role() as planter:
        run(
            every_db,
            sql.SQL("grant create, usage on schema public to {}").format(sql.Identifier(planter)),
        )
        theirs = conninfo.make_conninfo(every_db, user=planter, password=every_pg.password)
        if is_recorded:
            install.upgrade(theirs, "public")
        else:
            run(
                theirs,
                "create function public.get_cache_stats() returns int language sql as 'select 1'",
                "comment on function public.get_cache_stats() is 'Installed by pgwatch_wed: get_cache_stats v1.'",
            )
        before = everything(every_db)
        with pytest.raises(InstallError, match=f"belongs to role {planter}, which could") as said:
            install.upgrade(every_db, "public")
        assert "connect as that role" in said.value.hint
        assert everything(every_db) == before
        # the owner of the database may replace anything in it anyway
        name = sql.Identifier(str(conninfo.conninfo_to_dict(every_db)["dbname"]))
        run(
            every_db, sql.SQL("alter database {} owner to {}").format(name, sql.Identifier(planter))
        )
        if is_recorded:
            install.upgrade(every_db, "public")
            install.downgrade(every_db, "public")
        run(every_db, sql.SQL("alter database {} owner to current_user").format(name))


def test_a_role_that_may_not_create_is_told_so(pg: servers.Server, db: str) -> None:
    with pg.role("pg_monitor") as reader:
        theirs = conninfo.make_conninfo(db, user=reader, password=pg.password)
        for schema in ("public", "monitoring"):
            with pytest.raises(InstallError, match="permission denied") as refused:
                install.upgrade(theirs, schema)
            assert "needs CREATE on the schema" in refused.value.hint


# Circumstances.


@pytest.mark.spread(1)
def test_two_installations_at_once_both_end_well(every_db: str) -> None:
    # Alembic keeps its state in module globals: two in one process are never at work at once.
    act = "import sys; from pgwatch_wed import install; install.upgrade(sys.argv[1], 'monitoring')"
    processes = [
        subprocess.Popen([sys.executable, "-c", act, every_db], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [(p.communicate(timeout=60)[1], p.returncode) for p in processes] == [("", 0)] * 3
    assert len(objects(every_db, "monitoring")) == len(install.OBJECTS)
    assert rows(every_db, f"select * from monitoring.{install.VERSION_TABLE}") == [(REVISIONS[-1],)]


def test_an_installation_that_hangs_keeps_others_waiting_ten_seconds(
    db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = (FOLDER / "steps" / "begin.sql").read_text().replace("'10s'", "'200ms'")
    read = assets.text
    monkeypatch.setattr(
        assets, "text", lambda *path: impatient if path[-1] == "begin.sql" else read(*path)
    )
    with psycopg.connect(db) as other:
        other.execute("select pg_advisory_xact_lock(482905679204)")
        with pytest.raises(InstallError, match="another installation of pgwatch_wed is running"):
            install.upgrade(db, "public")


@pytest.mark.spread(1)
@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "EUC_JP"])
def test_databases_of_other_encodings(every_pg: servers.Server, encoding: str) -> None:
    with database_in(every_pg, encoding) as dsn:
        empty = everything(dsn)
        install.upgrade(dsn, "public")
        run(dsn, "select * from wedsync_performance_summary")
        install.downgrade(dsn, "public")
        assert everything(dsn) == empty
        psql(dsn, install.script("public", "head"))


@pytest.mark.pg("< 19")
def test_settings_that_change_what_sql_means(every_pg: servers.Server, every_db: str) -> None:
    name = conninfo.conninfo_to_dict(every_db)["dbname"]
    for setting, value in (
        ("standard_conforming_strings", "off"),
        ("transform_null_equals", "on"),
        ("search_path", ""),
        ("IntervalStyle", "iso_8601"),
        ("DateStyle", "SQL, DMY"),
        ("default_transaction_isolation", "serializable"),
        ("row_security", "off"),
        ("plpgsql.variable_conflict", "error"),
    ):
        run(
            every_db,
            sql.SQL("alter database {} set {} to {}").format(
                sql.Identifier(str(name)), sql.SQL(setting), sql.Literal(value)
            ),
        )
    install.upgrade(every_db, 'back\\slash"')
    for each in install.OBJECTS:
        if each.name not in {"get_slow_queries", "get_statement_stats"}:
            with connect(every_db) as connection:
                connection.execute(call('back\\slash"', each))
    install.downgrade(every_db, 'back\\slash"')


def test_a_standby_is_refused_in_one_line() -> None:
    with (
        embedded.start({"wal_level": "replica"}) as primary,
        standby_of(primary) as follower,
        pytest.raises(InstallError, match="this server is a standby") as refused,
    ):
        install.upgrade(follower.dsn(), "public")
    assert "Install on its primary" in refused.value.hint


# Extension updates, dumps, upgrades.


@pytest.mark.all_versions
def test_the_extension_updates_from_its_oldest_to_its_newest_version(every_db: str) -> None:
    versions = [
        v
        for (v,) in rows(
            every_db,
            "select version from pg_available_extension_versions where name = 'pg_stat_statements'"
            " order by string_to_array(version, '.')::int[]",
        )
    ]
    assert len(versions) >= 5
    run(every_db, f"create extension pg_stat_statements version '{versions[0]}'")
    install.upgrade(every_db, "public")
    for version in versions:
        run(every_db, f"alter extension pg_stat_statements update to '{version}'")
        found = rows(every_db, "select * from get_slow_queries(0)")
        assert found, version
        states = rows(
            every_db,
            "select status from wedsync_performance_summary"
            " where metric in ('slow_queries', 'mean_query_time')",
        )
        assert "unknown" not in {s for (s,) in states}, version
    run(every_db, "drop extension pg_stat_statements")


def test_a_dump_restores_into_another_database(every_pg: servers.Server, every_db: str) -> None:
    install.upgrade(every_db, "public")
    install.upgrade(every_db, "Own Schema")
    script = dump(every_pg, every_db)
    with every_pg.database() as other:
        psql(other, script)
        assert objects(other) == objects(every_db)
        assert objects(other, "Own Schema") == objects(every_db, "Own Schema")
        assert not install.upgrade(other, "public").is_changed
        for schema in ("public", "Own Schema"):
            install.downgrade(other, schema)
        assert objects(other) == []
        assert rows(other, "select 1 from pg_namespace where nspname = 'Own Schema'") == []


@pytest.mark.container
@pytest.mark.slow
@pytest.mark.pg("< 18, != 14, != 16")  # the images that we build of these lack pg_controldata
def test_pg_upgrade_passes_with_everything_installed(every_pg: servers.Server) -> None:
    if every_pg.spec.kind != "container":
        pytest.skip("pg_upgrade needs the old binaries in an image")
    with machine(every_pg.spec.image) as host:
        host.prepare("/tmp/old", host.old_bin)
        host.start("/tmp/old", host.old_bin)
        # 17.12 as packaged by Debian gives every column of a table an option that 18.6 does not know, so
        # that pg_upgrade fails for any table.
        options = rows(
            host.dsn, "select attoptions[1] from pg_attribute where attoptions is not null limit 1"
        )
        if options:
            pytest.skip(f"a new database of this server has the column option {options[0][0]}")
        run(
            host.dsn,
            "create schema extensions",
            "create extension pg_stat_statements schema extensions",
        )
        install.upgrade(host.dsn, "public")
        install.upgrade(host.dsn, "Own Schema")
        before = {
            schema: without_views(objects(host.dsn, schema)) for schema in ("public", "Own Schema")
        }
        host.upgrade("/tmp/old", "/tmp/new")
        assert int(rows(host.dsn, "show server_version_num")[0][0]) >= 180000
        for schema, objects_ in before.items():
            assert without_views(objects(host.dsn, schema)) == objects_
        for update in ("select", "alter extension pg_stat_statements update"):
            run(host.dsn, update)
            for guide in GUIDE:
                run(host.dsn, guide)
        assert not install.upgrade(host.dsn, "public").is_changed
        for schema in before:
            install.downgrade(host.dsn, schema)
        assert objects(host.dsn) == []


# Helpers.


def without_views(found: list[Any]) -> list[Any]:
    """Leave out what another major writes in other words: views, and MAINTAIN of their owners."""
    return [
        (
            name,
            definition if definition.startswith("CREATE") else "view",
            comment,
            acl.replace("tm/", "t/"),
            owner,
        )
        for name, definition, comment, acl, owner in found
    ]


def before_of(revision: str) -> str:
    return "base" if revision == REVISIONS[0] else f"{int(revision) - 1:04}"


def migrate(dsn: str, direction: str, revision: str, schema: str = "public") -> None:
    """Go to one revision, as `alembic upgrade REVISION` does."""
    config = install._config(schema)
    assert ScriptDirectory.from_config(config).get_current_head() == REVISIONS[-1]
    with install.engine(dsn) as connection:
        config.attributes["connection"] = connection
        getattr(command, direction)(config, revision)


def run_psql(dsn: str, script: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(embedded.bindir() / "psql"), "-X", "-q", "-d", dsn, *options],
        input=script,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def database_in(server: servers.Server, encoding: str) -> Iterator[str]:
    name = servers._unique("t")
    create = sql.SQL(
        "create database {} encoding {} lc_collate 'C' lc_ctype 'C' template template0"
    )
    server.execute(create.format(sql.Identifier(name), sql.Literal(encoding)))
    try:
        yield server.dsn(name)
    finally:
        server.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def dump(server: servers.Server, dsn: str) -> str:
    """Dump with the wheel's pg_dump, or where the server is newer with the server's own."""
    if server.version <= servers.embedded_spec().major:
        done = subprocess.run(
            [str(embedded.bindir() / "pg_dump"), "-d", dsn],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        # older servers do not know the newest of the settings that a dump begins with
        return done.stdout.replace("SET transaction_timeout = 0;\n", "")
    name = str(conninfo.conninfo_to_dict(dsn)["dbname"])
    status, output = server.container.exec(["pg_dump", "-U", "postgres", "-d", name])
    assert status == 0, output
    return str(output.decode())
