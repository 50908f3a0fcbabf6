"""coverage-privileges on roles that lack one thing: its GRANTs show it, and its undo leaves what was there before."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pgwatch_wed.cli.check import check
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.facts import Cause, Snapshot
from pgwatch_wed.findings import Severity, Verdict
from pgwatch_wed.postgres import privileges
from pgwatch_wed.remedies import authority
from pgwatch_wed.target.collect import collect
from tests.psql import psql
from tests.rules.judging import apply, found, judged, run, undo
from tests.servers import Server

RULE = "coverage-privileges"
# All that a role may do because of a GRANT, apart from its own objects.
RIGHTS = """
select 'schema', n.nspname, a.privilege_type, a.is_grantable from pg_namespace n,
    aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a where a.grantee = %(oid)s
union all
select 'relation', c.oid::regclass::text, a.privilege_type, a.is_grantable from pg_class c,
    aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a where a.grantee = %(oid)s
union all
select 'column', t.attrelid::regclass || '.' || t.attname, a.privilege_type, a.is_grantable from pg_attribute t,
    aclexplode(t.attacl) a where a.grantee = %(oid)s
union all
select 'function', p.oid::regprocedure::text, a.privilege_type, a.is_grantable from pg_proc p,
    aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = %(oid)s
union all
select 'role', r.rolname, to_jsonb(m) ->> 'inherit_option', m.admin_option
from pg_auth_members m join pg_roles r on r.oid = m.roleid where m.member = %(oid)s
union all
select 'itself', rolname, rolinherit::text, rolbypassrls from pg_roles where oid = %(oid)s
"""
TABLE = """
create schema app;
create table app.orders (id int primary key, tenant int, note text);
insert into app.orders select g, g % 7, 'a' from generate_series(1, 5000) g;
create table app.plain (a int);
insert into app.plain select g % 10 from generate_series(1, 5000) g;
analyze app.orders, app.plain;
"""
POLICY = "alter table app.orders enable row level security; create policy p on app.orders using (tenant = 1);"


def rights(dsn: str, role: str) -> set[tuple[object, ...]]:
    with psycopg.connect(dsn) as connection:
        oid = connection.execute("select %s::regrole::oid", [sql.Identifier(role).as_string()])
        (row,) = oid.fetchall()
        return set(connection.execute(RIGHTS, {"oid": row[0]}).fetchall())


def denied(snapshot: Snapshot) -> set[str]:
    return {n for n, m in snapshot.missing.items() if m.cause is Cause.DENIED}


def statements(script: str) -> list[str]:
    return [line for line in script.splitlines() if line]


@contextmanager
def world(server: Server, script: str = "", *groups: str) -> Iterator[tuple[str, str, str]]:
    """Yield the conninfo of a new database, that of a role in it, and the role's name."""
    with server.database() as dsn:
        run(dsn, "create schema ext", "create extension pg_stat_statements schema ext")
        with server.role(*groups) as name:
            psql(dsn, script.replace("ROLE", name))
            yield dsn, make_conninfo(dsn, user=name), name


def test_two_grants_are_undone_by_two_revokes(every_pg: Server) -> None:
    with world(every_pg, TABLE) as (dsn, as_role, name):
        before = rights(dsn, name)
        (finding,) = found(as_role, RULE)
        assert finding.severity is Severity.WARNING
        (step,) = finding.remedy
        assert len(statements(step.sql)) >= 4  # the schema, the activity, two of the file settings
        assert not [s for s in statements(step.undo) if not s.startswith("REVOKE")]
        assert len(statements(step.undo)) == len(statements(step.sql))
        apply(dsn, [finding])
        assert rights(dsn, name) > before
        after = collect(as_role)
        assert denied(after) == set()
        assert not judged(after, RULE).findings
        undo(dsn, [finding])
        assert rights(dsn, name) == before
        assert denied(collect(as_role))


# What is closed to a role, and what it is told to be granted. It is a member of pg_monitor in each case.
CLOSED = {
    "the schema of the extension": (
        "revoke all on schema ext from public",
        "GRANT USAGE ON SCHEMA ext TO ROLE;",
    ),
    "the extension's function": (
        (
            "grant usage on schema ext to ROLE;"
            " revoke all on function ext.pg_stat_statements(boolean) from public"
        ),
        "GRANT EXECUTE ON FUNCTION ext.pg_stat_statements(boolean) TO ROLE;",
    ),
    "a view of the system": (
        "grant usage on schema ext to ROLE; revoke all on pg_stat_archiver from public",
        "GRANT SELECT ON pg_catalog.pg_stat_archiver TO ROLE;",
    ),
    "the function of a view of the system": (
        "grant usage on schema ext to ROLE; revoke all on function pg_prepared_xact() from public",
        "GRANT EXECUTE ON FUNCTION pg_catalog.pg_prepared_xact() TO ROLE;",
    ),
}


@pytest.mark.parametrize("case", CLOSED)
def test_only_what_is_lacking_is_granted_and_only_that_is_taken_away(
    every_pg: Server, case: str
) -> None:
    script, grant = CLOSED[case]
    with world(every_pg, TABLE + script, "pg_monitor") as (dsn, as_role, name):
        before = rights(dsn, name)
        (finding,) = found(as_role, RULE)
        (step,) = finding.remedy
        assert grant.replace("ROLE", name) in statements(step.sql)
        assert "pg_monitor" not in step.sql
        assert "pg_read_all_stats" not in step.sql
        printed = CliRunner().invoke(check, [as_role]).output
        assert grant.replace("ROLE", name) in printed
        assert "GRANT pg_monitor" not in printed
        apply(dsn, [finding])
        assert denied(collect(as_role)) == set()
        undo(dsn, [finding])
        assert rights(dsn, name) == before
        assert ("role", "pg_monitor") in {r[:2] for r in rights(dsn, name)}


def test_a_role_that_does_not_inherit_is_told_so_and_stays_a_member(every_pg: Server) -> None:
    script = "alter role ROLE noinherit; revoke pg_monitor from ROLE; grant pg_monitor to ROLE"
    with world(every_pg, f"{script}; grant usage on schema ext to ROLE", "pg_monitor") as names:
        dsn, as_role, name = names
        before = rights(dsn, name)
        with psycopg.connect(dsn):
            (finding,) = found(as_role, RULE)
            apply(dsn, [finding])
            assert not found(as_role, RULE)
            undo(dsn, [finding])
            assert rights(dsn, name) == before
            assert found(as_role, RULE)


@pytest.mark.pg(">= 16")
def test_a_membership_without_inheritance_gets_it_and_loses_it_again(every_pg: Server) -> None:
    script = "grant pg_read_all_stats to ROLE with inherit false; grant usage on schema ext to ROLE"
    with world(every_pg, script) as (dsn, as_role, name):
        before = rights(dsn, name)
        with psycopg.connect(dsn):
            (finding,) = found(as_role, RULE)
            assert f"GRANT pg_read_all_stats TO {name} WITH INHERIT TRUE;" in finding.remedy[0].sql
            apply(dsn, [finding])
            assert not found(as_role, RULE)
            undo(dsn, [finding])
            assert rights(dsn, name) == before


def test_check_is_content_when_what_it_lists_was_granted(every_pg: Server) -> None:
    with world(every_pg, TABLE) as (dsn, as_role, name):
        printed = CliRunner().invoke(check, [as_role]).output
        told = " ".join(printed.split())
        assert "index advice requires" in told
        assert "allows the role to read their rows" in told
        grants = [line.strip() for line in printed.splitlines() if line.startswith("  GRANT")]
        assert f"GRANT SELECT ON ALL TABLES IN SCHEMA app TO {name};" in grants
        run(dsn, *grants)
        for conninfo in (as_role, dsn):
            printed = CliRunner().invoke(check, [conninfo]).output
            lacks = "requires PostgreSQL" in printed  # an older server has less to read
            assert lacks or "Everything can be read" in printed
            assert "GRANT" not in printed


# Who is named in what is said of a GRANT, and how a role becomes one of them.
NAMED = {
    "the owner of schema ext": ("alter schema ext owner to ROLE", "GRANT USAGE ON SCHEMA ext"),
    "ADMIN OPTION on pg_read_all_stats": (
        "grant pg_read_all_stats to ROLE with admin option",
        "GRANT pg_read_all_stats TO",
    ),
    "a superuser": ("alter role ROLE superuser", "GRANT SELECT"),
}


@pytest.mark.parametrize("who", NAMED)
def test_a_grant_and_its_undo_run_as_the_role_that_is_named(every_pg: Server, who: str) -> None:
    makes, begins = NAMED[who]
    with world(every_pg, TABLE) as (dsn, as_role, name), every_pg.role() as named:
        before = rights(dsn, name)
        snapshot = collect(as_role)
        with psycopg.connect(dsn):
            (finding,) = judged(collect(as_role), RULE).findings
        grant = next(s for s in statements(finding.remedy[0].sql) if s.startswith(begins))
        assert who in authority.run_as(snapshot, grant)
        assert grant in (printed := CliRunner().invoke(check, [as_role]).output)
        assert who in printed
        assert tried(dsn, named, grant) is False
        assert rights(dsn, name) == before
        psql(dsn, makes.replace("ROLE", named))
        assert tried(dsn, named, grant) is True
        assert rights(dsn, name) > before
        assert tried(dsn, named, privileges.undo(snapshot.server, grant)) is True
        assert rights(dsn, name) == before
        psql(dsn, "alter schema ext owner to current_user")


def tried(dsn: str, role: str, statement: str) -> bool:
    with psycopg.connect(dsn, user=role, autocommit=True) as connection:
        try:
            connection.execute(statement.encode())
        except psycopg.errors.InsufficientPrivilege:
            return False
    return True


# --- statistics on columns ------------------------------------------------------------------------


def test_statistics_are_shown_without_a_row_and_without_a_value(every_pg: Server) -> None:
    with world(every_pg, TABLE + POLICY, "pg_monitor") as (dsn, as_role, name):
        (finding,) = found(as_role, RULE)
        grants = [s for s in statements(finding.remedy[0].sql) if "pg_statistic" in s]
        assert len(grants) == 1
        assert "pg_read_all_data" not in finding.remedy[0].sql
        apply(dsn, [finding])
        assert collect(as_role).column_statistics == collect(dsn).column_statistics
        with psycopg.connect(as_role, autocommit=True) as connection:
            for closed in ("table app.plain", "select stavalues1 from pg_statistic"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(closed.encode())
        undo(dsn, [finding])
        assert "column_statistics" in denied(collect(as_role))
        run(dsn, f"grant select (staattnum) on pg_statistic to {name}")
        held = rights(dsn, name)
        again = found(as_role, RULE)
        apply(dsn, again)
        undo(dsn, again)
        assert rights(dsn, name) == held


def test_tables_with_row_level_security_are_hidden_and_said_to_be(every_pg: Server) -> None:
    grants = "grant select on all tables in schema app to ROLE; grant usage on schema app to ROLE;"
    with world(every_pg, TABLE + POLICY + grants, "pg_monitor") as (dsn, as_role, name):
        run(dsn, f"grant usage on schema ext to {name}")
        snapshot = collect(as_role)
        assert {s.table_oid for s in snapshot.column_statistics} == {
            t.oid for t in snapshot.tables if t.name == "plain"
        }
        assert "statistics of 1 table are hidden" in (
            snapshot.missing["column_statistics:left-out"].reason
        )
        (finding,) = judged(snapshot, RULE).findings
        assert finding.severity is Severity.INFO
        (verdict,) = judged(snapshot, "index-null-heavy").verdicts
        assert verdict.verdict is Verdict.UNKNOWN
        assert "row-level security" in verdict.reason
        apply(dsn, [finding])
        assert collect(as_role).column_statistics == collect(dsn).column_statistics


@pytest.mark.pg(">= 14")
def test_who_may_read_all_data_sees_them_though_a_policy_binds_it(every_pg: Server) -> None:
    with world(every_pg, TABLE + POLICY, "pg_monitor", "pg_read_all_data") as (dsn, as_role, _):
        with psycopg.connect(as_role) as connection:
            (row,) = connection.execute("select count(*) from app.orders").fetchall()
            assert row[0] < 1000  # only those of its tenant
            hidden = "select from pg_stats where tablename = 'orders'"
            assert not connection.execute(hidden.encode()).fetchall()
        snapshot = collect(as_role)
        assert snapshot.column_statistics == collect(dsn).column_statistics
        run(dsn, "select pg_stat_reset()")
        assert not judged(collect(as_role), "analyze-never").findings


# --- managed services -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rds() -> Iterator[embedded.EmbeddedServer]:
    """A server whose first superuser is the provider's, and where customers have another role."""
    with embedded.start({"shared_preload_libraries": "pg_stat_statements"}) as server:
        psql(
            server.dsn(),
            "create role chief superuser login; create role monitor login;"
            " grant pg_monitor, pg_read_all_data to monitor; create role poor login;"
            " create extension pg_stat_statements;" + TABLE,
        )
        psql(server.dsn(user="chief"), "alter role postgres rename to rdsadmin")
        yield server
        psql(server.dsn(user="chief"), "alter role rdsadmin rename to postgres")


def test_what_a_provider_does_not_allow_is_no_warning(rds: embedded.EmbeddedServer) -> None:
    as_role = rds.dsn(user="monitor")
    snapshot = collect(as_role)
    assert snapshot.server.provider == "Amazon RDS"
    assert snapshot.missing["file_settings"].cause is Cause.CLOSED
    report = judged(snapshot, RULE)
    assert report.findings == ()
    (verdict,) = report.verdicts
    assert verdict.verdict is Verdict.UNKNOWN
    assert "the provider, Amazon RDS, does not allow it" in verdict.reason
    assert "GRANT" not in verdict.mend
    printed = CliRunner().invoke(check, [as_role]).output
    assert "does not allow it" in " ".join(printed.split())
    assert "pg_show_all_file_settings() TO" not in printed


def test_where_only_reading_everything_helps_it_is_said_plainly(
    rds: embedded.EmbeddedServer,
) -> None:
    (finding,) = found(rds.dsn(user="poor"), RULE)
    assert "GRANT pg_read_all_data TO poor;" in finding.remedy[0].sql
    assert any("every row of every table" in c for c in finding.caveats)
    assert any("GRANT SELECT only on the tables" in c for c in finding.caveats)
    printed = CliRunner().invoke(check, [rds.dsn(user="poor")]).output
    assert "every row of every table" in " ".join(printed.split())


def test_on_a_server_of_ones_own_errors_in_files_are_no_warning(every_pg: Server) -> None:
    groups = ("pg_monitor", "pg_read_all_data") if every_pg.version >= 14 else ("pg_monitor",)
    with world(every_pg, "grant usage on schema ext to ROLE", *groups) as (dsn, as_role, _):
        (finding,) = found(as_role, RULE)
        assert finding.severity is Severity.INFO
        apply(dsn, [finding])
        assert not found(as_role, RULE)
