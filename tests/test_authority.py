"""Who is said to be able to run a remedy can, and nobody else: every kind of statement as every kind of role."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config
from pgwatch_wed.remedies import authority, sessions
from pgwatch_wed.render import html, json_v1, junit, markdown, sarif, terminal
from pgwatch_wed.target.collect import collect
from pgwatch_wed.whatif import output
from pgwatch_wed.whatif.choose.advise import AdviceOptions
from pgwatch_wed.whatif.engines import advise_target
from pgwatch_wed.whatif.lab import dump
from tests.conftest import StartServer
from tests.psql import psql
from tests.servers import Server

SCHEMA = """
create schema app authorization OWNER;
set role OWNER;
create table app.orders (id int, tenant int, note text);
insert into app.orders select g, g % 7, 'a' from generate_series(1, 100) g;
create index orders_tenant on app.orders (tenant);
create table app.customers (id int primary key);
create materialized view app.totals as select count(*) from app.orders;
create table app.events (id int, at int) partition by range (at);
create table app.events_1 partition of app.events for values from (0) to (10);
create sequence app.numbers as int;
reset role;
create schema narrow;
create table narrow.things (id int, a int);
alter table narrow.things owner to OWNER;
grant usage on schema narrow to OWNER;
create role ALIEN;
create table app.mixed (id int, at int) partition by range (at);
create table app.mixed_1 partition of app.mixed for values from (0) to (10);
create index on app.mixed (at);
alter table app.mixed owner to OWNER;
alter table app.mixed_1 owner to ALIEN;
create extension pg_stat_statements;
"""
# What each remedy is made of, and what brings back the state before it.
STATEMENTS = {
    "vacuum (analyze) app.orders": "",
    "analyze app.orders": "",
    "vacuum (freeze) pg_catalog.pg_class": "",
    "vacuum (freeze) pg_catalog.pg_database": "",
    "vacuum app.totals": "",
    "reindex index concurrently app.orders_tenant": "",
    "refresh materialized view app.totals": "",
    "create index concurrently new on app.orders (note)": "drop index app.new",
    "create index concurrently new on narrow.things (a)": "drop index narrow.new",
    "create index on app.events (id)": "drop index app.events_id_idx",
    "create index on app.mixed (id)": "drop index app.mixed_id_idx",
    "reindex index app.mixed_at_idx": "",
    "reindex index concurrently app.mixed_at_idx": "",
    "drop index app.mixed_at_idx": "create index on app.mixed (at)",
    "analyze app.mixed": "",
    "vacuum app.mixed": "",
    "alter table app.mixed alter column at set statistics 100": "",
    "alter table app.mixed replica identity full": "",
    "alter table app.mixed add constraint c check (at < 100) not valid": "alter table app.mixed drop constraint c",
    "alter table app.mixed add primary key (at)": "alter table app.mixed drop constraint mixed_pkey",
    "drop index concurrently app.orders_tenant": "create index orders_tenant on app.orders (tenant)",
    "create statistics app.s (dependencies) on id, tenant from app.orders": "drop statistics app.s",
    "alter table app.orders set (autovacuum_vacuum_scale_factor = 0.1)": "alter table app.orders reset (autovacuum_vacuum_scale_factor)",
    "alter table app.orders alter column tenant set statistics 1000": "alter table app.orders alter column tenant set statistics -1",
    "alter table app.orders add primary key (id)": "alter table app.orders drop constraint orders_pkey",
    "alter table narrow.things add primary key (id)": "alter table narrow.things drop constraint things_pkey",
    "alter table app.orders alter column id type bigint": "alter table app.orders alter column id type int",
    "alter sequence app.numbers as bigint": "alter sequence app.numbers as int",
    "alter table app.orders replica identity full": "alter table app.orders replica identity default",
    "alter system set work_mem = '5MB'": "alter system reset work_mem",
    "alter system set shared_buffers = '128MB'": "alter system reset shared_buffers",
    "select pg_reload_conf()": "",
    "alter role OWNER set jit = off": "alter role OWNER reset jit",
    "alter role OWNER set log_min_duration_statement = 100": "alter role OWNER reset log_min_duration_statement",
    "alter role OWNER connection limit 50": "alter role OWNER connection limit -1",
    "alter role all set jit = off": "alter role all reset jit",
    "alter database DATABASE set jit = off": "alter database DATABASE reset jit",
    "alter database DATABASE connection limit 50": "alter database DATABASE connection limit -1",
    "select pg_create_physical_replication_slot('SLOT')": "select pg_drop_replication_slot('SLOT')",
    "alter extension pg_stat_statements update": "",
    "grant pg_read_all_stats to OWNER": "revoke pg_read_all_stats from OWNER",
    "grant usage on schema app to ALIEN": "revoke usage on schema app from ALIEN",
    "grant select on app.orders to ALIEN": "revoke select on app.orders from ALIEN",
    "grant select (stanullfrac) on pg_statistic to ALIEN": "revoke select (stanullfrac) on pg_statistic from ALIEN",
    "grant execute on function pg_stat_file(text) to ALIEN": "revoke execute on function pg_stat_file(text) from ALIEN",
    "select count(*) from app.orders": "",
    "reindex database concurrently DATABASE": "",
}


# 13 does not rebuild partitioned indexes.
SINCE = {"reindex index app.mixed_at_idx": 14, "reindex index concurrently app.mixed_at_idx": 14}


@dataclass(frozen=True)
class Kind:
    """A kind of role: how it is made, and from which version on there is one."""

    script: str = ""
    groups: tuple[str, ...] = ()
    since: int = 13


KINDS = {
    "nobody": Kind(),
    "monitor": Kind(groups=("pg_monitor",)),
    "reader": Kind("grant usage on schema app to ROLE; grant select on app.orders to ROLE"),
    "member of the owner": Kind("grant OWNER to ROLE"),
    "owner of the database": Kind("alter database DATABASE owner to ROLE"),
    "creator of roles": Kind("alter role ROLE createrole"),
    "administrator of the owner": Kind(
        "alter role ROLE createrole noinherit; grant OWNER to ROLE with admin option", since=16
    ),
    "replicator": Kind("alter role ROLE replication"),
    "granter": Kind("grant pg_read_all_stats to ROLE with admin option"),
    "setter": Kind(
        "grant alter system on parameter work_mem to ROLE;"
        " grant execute on function pg_reload_conf() to ROLE",
        since=15,
    ),
    "maintainer": Kind("grant usage on schema app to ROLE", ("pg_maintain",), since=17),
    "maintainer of nothing that it can name": Kind(groups=("pg_maintain",), since=17),
    "maintainer of one": Kind(
        "grant usage on schema app to ROLE; grant maintain on app.orders to ROLE", since=17
    ),
    "superuser": Kind("alter role ROLE superuser"),
}


@dataclass
class World:
    """A database of an owner, and the words in statements."""

    server: Server
    dsn: str
    words: dict[str, str] = field(default_factory=dict)

    def filled(self, script: str) -> str:
        for word, name in self.words.items():
            script = script.replace(word, name)
        return script

    def run(self, script: str) -> None:
        psql(self.dsn, self.filled(script))


@pytest.fixture
def world(every_pg: Server) -> Iterator[World]:
    with ExitStack() as stack:
        dsn = stack.enter_context(every_pg.database())
        owner = stack.enter_context(every_pg.role())
        database = str(conninfo_to_dict(dsn)["dbname"])
        words = {
            "OWNER": owner,
            "DATABASE": database,
            "ALIEN": f"{owner}_alien",
            "SLOT": f"slot_{owner}",
        }
        made = World(every_pg, dsn, words)
        made.run(SCHEMA)
        yield made
        made.run(
            "drop schema app cascade; drop schema narrow cascade;"
            " alter database DATABASE owner to current_user; drop owned by ALIEN; drop role ALIEN"
        )


# With these, PostgreSQL warns that it did nothing.
REFUSALS = ("permission denied", 'skipping "', "no privileges were granted")


def succeeds(dsn: str, statement: str) -> bool:
    """Run as a role: an error, or a warning that a table was skipped for want of a right, is a refusal."""
    notices: list[str] = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.add_notice_handler(lambda n: notices.append(str(n.message_primary)))
        try:
            connection.execute(statement.encode())
        except psycopg.errors.InsufficientPrivilege:
            return False
    return not any(text.startswith(REFUSALS) for text in notices)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_who_is_said_to_be_allowed_is_and_nobody_else(world: World, kind: str) -> None:
    made = KINDS[kind]
    if world.server.version < made.since:
        pytest.skip("there is no such role in this version")
    with world.server.role(*made.groups) as name:
        world.words["ROLE"] = name
        world.run(made.script)
        snapshot = collect(make_conninfo(world.dsn, user=name))
        wrong = []
        for template, back in STATEMENTS.items():
            if world.server.version < SINCE.get(template, 13):
                continue
            statement = world.filled(template)
            may = all(r.is_met for r in authority.requirements(snapshot, statement))
            can = succeeds(make_conninfo(world.dsn, user=name), statement)
            if can and back:
                world.run(back)
            if may != can:
                said = [r.who for r in authority.requirements(snapshot, statement)]
                wrong.append((statement, "may" if may else "may not", said))
        if "owner" in made.script and "database" in made.script:
            world.run("alter database DATABASE owner to current_user")
        assert not wrong, "\n".join(map(str, wrong))


# Sessions and prepared transactions

ENDING = {
    "nobody": Kind(),
    "monitor": Kind(groups=("pg_monitor",)),
    "signaler that does not see when a session began": Kind(groups=("pg_signal_backend",)),
    "signaler": Kind(groups=("pg_signal_backend", "pg_read_all_stats")),
    "member of the owner": Kind("grant OWNER to ROLE"),
    "superuser": Kind("alter role ROLE superuser"),
}


@pytest.mark.spread(1)
@pytest.mark.parametrize("kind", ENDING)
@pytest.mark.parametrize("whose", ["OWNER", "CHIEF"])
def test_who_may_end_a_session_ends_it(world: World, kind: str, whose: str) -> None:
    chief = str(conninfo_to_dict(world.dsn)["user"])
    user = world.filled(whose).replace("CHIEF", chief)
    with world.server.role(*ENDING[kind].groups) as name:
        world.words["ROLE"] = name
        world.run(ENDING[kind].script)
        as_role = make_conninfo(world.dsn, user=name)
        with psycopg.connect(make_conninfo(world.dsn, user=user)) as victim:
            facts = collect(as_role)
            session = collect(world.dsn).session_by_pid[victim.info.backend_pid]
            script = sessions.cancel(session).sql
            (said,) = authority.requirements(facts, script)
            with psycopg.connect(as_role, autocommit=True) as connection:
                try:
                    done = connection.execute(script.encode()).fetchall() == [(True,)]
                except psycopg.errors.InsufficientPrivilege:
                    done = False
        assert said.is_met is done, said
        assert said.needs == ("pg_signal_backend" if whose == "OWNER" else "superuser")


@pytest.mark.parametrize("kind", ["nobody", "member of the owner", "superuser", "the owner itself"])
def test_only_who_prepared_a_transaction_ends_it(world: World, kind: str) -> None:
    gid = f"of {world.words['OWNER']}"
    as_owner = make_conninfo(world.dsn, user=world.words["OWNER"])
    with psycopg.connect(as_owner, autocommit=True) as connection:
        connection.execute("begin; update app.orders set id = id")
        connection.execute(f"prepare transaction '{gid}'".encode())
    with world.server.role() as name:
        world.words["ROLE"] = name
        world.run(ENDING.get(kind, Kind()).script)
        as_role = as_owner if kind == "the owner itself" else make_conninfo(world.dsn, user=name)
        script = f"rollback prepared '{gid}'"
        (said,) = authority.requirements(collect(as_role), script)
        done = succeeds(as_role, script)
    if not done:
        psql(world.dsn, script)
    assert said.is_met is done
    assert world.words["OWNER"] in said.who


# What is said


def plainly(document: str | bytes) -> str:
    text = document.decode() if isinstance(document, bytes) else document
    return text.replace("\\", "")


def test_every_format_says_who_may_run_what_the_role_may_not(world: World) -> None:
    world.run("set role OWNER; create index copy on app.orders (tenant)")
    with world.server.role("pg_monitor") as name:
        as_role = make_conninfo(world.dsn, user=name)
        config = Config(only=("index-duplicate",), window_days=0)
        blind = analyse([collect(as_role)], config)
        run_as = f"{world.words['OWNER']}, the owner of app.orders"
        assert {(r.needs, r.run_as) for f in blind.findings for r in f.remedy} == {
            ("owner", run_as)
        }
        for form in (json_v1, markdown, html, sarif, junit):
            assert run_as in plainly(form.render(blind, ())), form.__name__
        assert f"run as: {run_as}" in terminal.text(blind)
        world.run(f"grant OWNER to {name}")
        assert {
            r.run_as for f in analyse([collect(as_role)], config).findings for r in f.remedy
        } == {""}


@pytest.mark.pg(f"<= {dump.major()}")  # the lab's own
@pytest.mark.spread(1)
def test_recommended_indexes_say_who_may_create_them(world: World, tmp_path: Path) -> None:
    world.run(
        "insert into app.orders select g, g % 7 from generate_series(1, 50000) g; analyze app.orders"
    )
    options = AdviceOptions(budget_bytes=100_000_000)
    (tmp_path / "query.sql").write_text("select note from app.orders where id = 7")
    with world.server.role("pg_monitor") as name:
        world.run(f"grant usage on schema app, narrow, public to {name}")
        world.run(f"grant select on all tables in schema app, narrow to {name}")
        world.run(f"grant select on all sequences in schema app to {name}")
        advice = advise_target(make_conninfo(world.dsn, user=name), tmp_path, options, engine="lab")
    said = f"run as: {world.words['OWNER']}, the owner of app.orders"
    assert f"  {said}\n" in output.FORMATS["text"](advice)
    assert f"-- {said}\nCREATE INDEX" in output.as_sql(advice)
    assert {f"run as: {d['run_as']}" for d in output.as_dict(advice)["details"]} == {said}


def test_a_script_for_many_tables_of_one_owner_names_it_once(world: World) -> None:
    tables = ("app.orders", "app.customers", "app.events", "app.totals")
    script = "".join(f"reindex table {name};" for name in tables)
    with world.server.role("pg_monitor") as name:
        snapshot = collect(make_conninfo(world.dsn, user=name))
    owner = world.words["OWNER"]
    said = authority.run_as(snapshot, script)
    assert said == f"{owner}, the owner of app.orders, app.customers and 2 more"


def test_nobody_may_alter_the_system_of_a_managed_service(pg: Server) -> None:
    real = collect(pg.dsn())
    managed = replace(real, server=replace(real.server, provider="Amazon RDS", is_superuser=False))
    (said,) = authority.requirements(managed, "ALTER SYSTEM SET work_mem = '8MB'")
    assert not said.is_met
    assert "change work_mem in its parameter group" in said.who


@pytest.mark.pg(">= 17")
def test_a_server_that_does_not_allow_alter_system_is_configured_elsewhere(
    start_pg: StartServer,
) -> None:
    server = start_pg({"allow_alter_system": "off"})
    script = "ALTER SYSTEM SET work_mem = '8MB'"
    with psycopg.connect(server.dsn(), autocommit=True) as connection, pytest.raises(psycopg.Error):
        connection.execute(script)
    (said,) = authority.requirements(collect(server.dsn()), script)
    assert not said.is_met
    assert "allow_alter_system is off" in said.who
