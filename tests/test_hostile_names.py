"""Names and texts that would break quoting, decoding or a search path; nothing is changed by reading."""

from collections.abc import Iterator

import pglast
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pgwatch_wed import install
from pgwatch_wed.analyse import analyse, analyse_redacted
from pgwatch_wed.config import Config
from pgwatch_wed.facts import Missing, Snapshot
from pgwatch_wed.facts import file as snapshot_file
from pgwatch_wed.gather.run import gather
from pgwatch_wed.gather.wanted import Wanted
from pgwatch_wed.render import rendering as render
from pgwatch_wed.target import plans
from pgwatch_wed.target.collect import collect
from tests.formats import TEXTUAL
from tests.servers import Server
from tests.test_queries import ADDED, lacking
from tests.zoo import zoo

HOSTILE = (
    'x"; drop table victim; --',
    "x'; drop table victim; --",
    "new\nline\r\ttab",
    "ünïcödé 名前 🐘",
    "a" * 63,
    "名" * 21,
    "%s %(name)s {} {0} $1 :name @max_relations@ @extschema@",
    "\\'; \\",
    "select",
    "Upper Case",
    "<script>alert(1)</script>",
    "..",
    "/etc/passwd",
)


def build(admin: psycopg.Connection[tuple[object, ...]], name: str, other: str, third: str) -> None:
    """Give this name to everything that can have one, beside relations of two other names."""
    values = {
        "n": sql.Identifier(name),
        "o": sql.Identifier(other),
        "t": sql.Identifier(third),
        "l": sql.Literal(name),
    }
    for statement in (
        "create schema {n}",
        "create table {n}.{n} ({n} bigserial primary key, {o} text)",
        "create index {o} on {n}.{n} (lower({o})) where {o} <> {l}",
        "create index on {n}.{n} (lower({o})) where {o} <> {l}",  # a fault, to have a remedy
        "create table {n}.{t} (like {n}.{n} including all)",
        "alter table {n}.{t} add constraint {n} foreign key ({n}) references {n}.{n}",
        "create statistics {n}.{n} on {n}, {o} from {n}.{n}",
        "create publication {n} for table {n}.{n}",
        "insert into {n}.{n} ({o}) select {l} from generate_series(1, 10)",
        "select {o} as {n} from {n}.{n} where {o} = {l}",
        "analyze {n}.{n}",
    ):
        admin.execute(sql.SQL(statement).format(**values))


@pytest.fixture(scope="module")
def hostile(pg: Server) -> Iterator[str]:
    with pg.database() as dsn, psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute('create schema "x"" y"; create extension pg_stat_statements schema "x"" y"')
        admin.execute('create extension pgstattuple schema "x"" y"')
        admin.execute("create table victim (id int)")
        for number, name in enumerate(HOSTILE):
            build(admin, name, HOSTILE[number - 1], HOSTILE[number - 2])
        yield dsn


def test_every_name_comes_back_as_it_is(hostile: str) -> None:
    snapshot = collect(hostile)
    assert lacking(snapshot) == {}
    assert {t.name for t in snapshot.tables if t.schema == t.name} == set(HOSTILE)
    assert {c.name for c in snapshot.columns} >= set(HOSTILE)
    assert {i.name for i in snapshot.indexes} >= set(HOSTILE)
    assert {c.name for c in snapshot.constraints} >= set(HOSTILE)
    assert {e.name for e in snapshot.extended_statistics} >= set(HOSTILE)
    assert {p.name for p in snapshot.publications} >= set(HOSTILE)
    assert {s.last_value for s in snapshot.sequences if s.is_readable} == {10}
    assert all(s.is_readable for s in snapshot.sequences)
    assert len(snapshot.index_definitions) == len(snapshot.indexes)
    assert len(snapshot.column_statistics) == 2 * len(HOSTILE)
    assert snapshot_file.loads(snapshot_file.dumps(snapshot)) == snapshot


def test_a_database_and_a_role_of_such_a_name(pg: Server) -> None:
    for name in HOSTILE:
        values = {"n": sql.Identifier(name), "p": sql.Literal(pg.password)}
        pg.execute(sql.SQL("create database {n} template template0").format(**values))
        pg.execute(
            sql.SQL("create role {n} login password {p} in role pg_monitor").format(**values)
        )
        try:
            snapshot = collect(pg.dsn(name, name))
            assert snapshot.server.database == name
            assert snapshot.server.role == name
            assert name in {d.name for d in snapshot.databases}
            with psycopg.connect(pg.dsn(name), autocommit=True) as admin:
                for missing in snapshot.missing.values():  # advice quotes the role
                    if "GRANT" in missing.mend:
                        admin.execute(missing.mend.encode())
            assert lacking(collect(pg.dsn(name, name), only=["column_statistics"])) == {}
        finally:
            pg.execute(sql.SQL("drop database {n} with (force)").format(**values))
            pg.execute(sql.SQL("drop role {n}").format(**values))


# What is left behind: nothing

CATALOGS = """
    select c.relname from pg_class c
    where c.relnamespace = 'pg_catalog'::regnamespace and c.relkind = 'r'
        and c.relname not in ('pg_statistic', 'pg_statistic_ext_data')
    order by 1
"""
ROWS = "select count(*), md5(string_agg(t::text, ',' order by t::text)) from pg_catalog.{} t"


def catalog_of(admin: psycopg.Connection[tuple[object, ...]]) -> dict[object, object]:
    """Return a fingerprint of every catalog."""
    names = [str(name) for (name,) in admin.execute(CATALOGS).fetchall()]
    return {
        name: admin.execute(sql.SQL(ROWS).format(sql.Identifier(name))).fetchone() for name in names
    }


COUNTERS = """
    select
        pg_current_xact_id_if_assigned() is null as no_xid,
        pg_current_wal_insert_lsn() as lsn,
        pg_snapshot_xmax(pg_current_snapshot())::text as next_xid,
        (select sum(temp_files) from pg_stat_database) as temp_files,
        (select max(stats_reset) from pg_stat_database) as stats_reset,
        (select stats_reset from "x"" y".pg_stat_statements_info) as statements_reset
"""


def test_a_superusers_run_changes_nothing(hostile: str) -> None:
    """No catalog row, no transaction id, no WAL, no temporary file, no counter reset."""
    with psycopg.connect(hostile, autocommit=True) as admin:
        admin.execute("set search_path = pg_catalog")
        admin.execute("checkpoint")
        catalog = catalog_of(admin)
        for _ in range(3):  # another process of the server may write in between
            before = admin.execute(COUNTERS).fetchone()
            snapshot = collect(hostile)
            after = admin.execute(COUNTERS).fetchone()
            if before == after:
                break
        assert before == after
        assert snapshot.server.is_superuser
        assert catalog_of(admin) == catalog


def test_whatever_a_run_can_do_changes_nothing_and_every_remedy_can_be_pasted(hostile: str) -> None:
    """The lab's dump, plans of the server itself, measured bloat, the check: all take those names."""
    with psycopg.connect(hostile, autocommit=True) as admin:
        admin.execute("set search_path = pg_catalog")
        admin.execute("checkpoint")
        catalog = catalog_of(admin)
        (snapshot,) = gather(hostile, Wanted(exact_bloat=50), lambda _what, _share: None)
        there = plans.statement_plans(hostile, snapshot, 30)
        assert catalog_of(admin) == catalog
    assert lacking(snapshot) == {}
    assert not ADDED & snapshot.missing.keys()
    assert len(snapshot.exact_bloat) > 2 * len(HOSTILE)
    for planned in (snapshot.statement_plans, there):
        assert not isinstance(planned, Missing)
        assert sum(not p.refused for p in planned) >= len(HOSTILE)
    report = analyse([snapshot], Config(window_days=0))
    steps = [step for finding in report.findings for step in finding.remedy]
    assert len(steps) > len(HOSTILE)
    for step in steps:
        assert pglast.parse_sql(step.sql)
        assert step.undo.startswith("--") or pglast.parse_sql(step.undo)
    clean, snapshots = analyse_redacted([snapshot], Config(window_days=0))
    for document in TEXTUAL:
        assert render.document(document, report, (snapshot,))
        hidden = render.document(document, clean, snapshots).decode()
        assert not [n for n in HOSTILE if len(n) > 20 and n in hidden]


@pytest.mark.parametrize("name", HOSTILE)
def test_the_functions_install_into_a_schema_of_such_a_name(db: str, name: str) -> None:
    with psycopg.connect(db, autocommit=True) as admin:
        admin.execute("create table victim (id int)")
        before = catalog_of(admin)
        install.upgrade(db, name)
        call = sql.SQL("select count(*) from {}.get_table_stats()")
        assert admin.execute(call.format(sql.Identifier(name))).fetchone() == (1,)
        install.downgrade(db, name)
        admin.execute(sql.SQL("drop schema if exists {}").format(sql.Identifier(name)))
        after = catalog_of(admin)
    changed = {c for c in before if before[c] != after[c]}
    assert changed <= {"pg_class", "pg_type", "pg_attribute"}, changed
    assert before["pg_proc"] == after["pg_proc"]


def test_a_transaction_of_ours_could_not_write_if_it_wanted_to(hostile: str) -> None:
    from pgwatch_wed.target.session import CollectLimits, reading

    with reading(hostile, CollectLimits(), None) as reader:
        for statement in (
            b"create table t (id int)",
            b"insert into public.victim values (1)",
            b"select nextval('public.victim_seq')",
            b"vacuum public.victim",
        ):
            with pytest.raises(psycopg.Error):
                reader.run("server", statement)


# Objects that stand in the way of PostgreSQL's own

SHADOWS = """
create schema evil;
create table {0}.pg_class (oid oid, relname text, trap int default 1 / 0);
create view {0}.pg_stat_activity as select 1 / 0 as pid;
create view {0}.pg_settings as select 1 / 0 as name;
create function {0}.current_setting(text) returns text language plpgsql as
    $$ begin raise exception 'trapped'; end $$;
create function {0}.age(xid) returns int language plpgsql as
    $$ begin raise exception 'trapped'; end $$;
create function {0}.count(anyelement) returns int8 language plpgsql as
    $$ begin raise exception 'trapped'; end $$;
create function {0}.coalesced(int, int) returns bool language plpgsql as
    $$ begin raise exception 'trapped'; end $$;
create function {0}.trap(oid, oid) returns bool language plpgsql as
    $$ begin raise exception 'trapped'; end $$;
create operator {0}.= (leftarg = oid, rightarg = oid, function = {0}.trap);
create function {0}.set_config(text, text, bool) returns text language plpgsql as
    $$ begin raise exception 'trapped'; end $$;
"""


@pytest.mark.parametrize("path", ["public, pg_catalog", "evil, public, pg_catalog", '"$user"'])
def test_objects_that_shadow_the_catalogs_are_not_used(pg: Server, path: str) -> None:
    with zoo(pg) as dsn, psycopg.connect(dsn, autocommit=True) as admin:
        before = collect(dsn)
        schema = "evil" if "evil" in path else "public"
        admin.execute(SHADOWS.format(schema).encode())
        if schema == "evil":  # the extension's own is in public
            admin.execute(
                "create function evil.pg_stat_statements(bool) returns int language plpgsql as"
                " $$ begin raise exception 'trapped'; end $$"
            )
        admin.execute(
            sql.SQL("alter database {} set search_path = {}").format(
                sql.Identifier(admin.info.dbname), sql.SQL(path)
            )
        )
        snapshot = collect(dsn)
    assert lacking(snapshot) == {}
    assert {t.oid for t in before.tables} < {t.oid for t in snapshot.tables}
    assert snapshot.settings
    assert snapshot.statements


def test_temporary_objects_are_not_ours_to_see_and_cannot_shadow(hostile: str) -> None:
    with psycopg.connect(hostile, autocommit=True) as other:
        other.execute("create temp table pg_class (oid oid); create temp sequence s")
        snapshot = collect(hostile)
    assert "pg_class" not in {t.name for t in snapshot.tables}
    assert "s" not in {s.name for s in snapshot.sequences}


# Bytes that are no text


def strange(pg: Server, encoding: str) -> str:
    return f"create database {{}} template template0 encoding '{encoding}' locale 'C'"


@pytest.fixture(params=["SQL_ASCII", "LATIN1", "EUC_JP", "WIN1251", "UTF8"])
def encoded(pg: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of this encoding beside one that is full of other bytes."""
    name = f"enc_{request.param.lower()}"
    create = sql.SQL("create database {} template template0 encoding {} locale 'C'")
    pg.execute(create.format(sql.Identifier(name), sql.Literal(request.param)))
    pg.execute(create.format(sql.Identifier("enc_other"), sql.Literal("SQL_ASCII")))
    try:
        yield pg.dsn(name)
    finally:
        _forget(pg, name)
        for each in (name, "enc_other"):
            pg.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(each)))


def _forget(pg: Server, name: str) -> None:
    """Take both databases' statements out: they outlive them, and stand in the way of all others."""
    with psycopg.connect(pg.dsn(name), autocommit=True) as admin:
        admin.execute("create extension if not exists pg_stat_statements")
        admin.execute(
            "select pg_stat_statements_reset(0, oid, 0) from pg_database where datname in (%s, %s)",
            (name, "enc_other"),
        )


def raw(dsn: str, *statements: bytes) -> None:
    """Send bytes as they are."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            result = connection.pgconn.exec_(statement)
            assert not result.error_message, result.error_message


BYTES = {
    "SQL_ASCII": (b"caf\xe9\xff", "caf��"),
    "LATIN1": (b"caf\xe9", "café"),
    "EUC_JP": (b"\xcc\xbe\xc1\xb0", "名前"),
    "WIN1251": (b"\xe8\xec\xff", "имя"),
    "UTF8": ("名前 🐘".encode(), "名前 🐘"),
}


def test_bytes_of_any_encoding_cost_no_row(pg: Server, encoded: str) -> None:
    encoding = psycopg.conninfo.conninfo_to_dict(encoded)["dbname"]
    assert isinstance(encoding, str)
    name, text = BYTES[encoding.removeprefix("enc_").upper()]
    client = b"set client_encoding = sql_ascii"
    raw(
        encoded,
        client,
        b"create extension pg_stat_statements",
        b'create table "' + name + b'" ("' + name + b'" serial primary key)',
        b'select 1 as "' + name + b'"',
        b'comment on table "' + name + b"\" is '" + name + b"'",
    )
    raw(
        pg.dsn("enc_other"),
        client,
        b"create extension pg_stat_statements",
        *(b'select 1 as "other\xff\xfe%d"' % n for n in range(5)),
        b"set application_name = 'bad \xff'",
    )
    with psycopg.connect(pg.dsn("enc_other"), autocommit=True) as other:
        other.pgconn.exec_(b"set client_encoding = sql_ascii")
        other.pgconn.exec_(b"select 'here \xff\xfe'")
        snapshot = collect(encoded)
    left_out = {"sequences:left-out"} if "�" in text else set()
    lost = {"statements:left-out"} & lacking(snapshot).keys()
    assert lacking(snapshot).keys() == left_out | lost, lacking(snapshot)
    assert [t.name for t in snapshot.tables] == [text]
    assert [c.name for c in snapshot.columns] == [text]
    # pg_stat_statements converts the texts of the whole server, and one that it cannot costs all
    assert snapshot.statements
    assert lost or any(text in (s.text or "") for s in snapshot.statements)
    assert any("here" in (s.query or "") or "?" in (s.query or "") for s in snapshot.sessions)
    assert snapshot_file.loads(snapshot_file.dumps(snapshot)) == snapshot


def test_a_monitor_sees_the_statements_of_a_database_beside_a_strange_one(
    pg: Server, encoded: str
) -> None:
    raw(
        pg.dsn("enc_other"),
        b"set client_encoding = sql_ascii",
        *(b'select 1 as "strange\xff\xfe%d"' % n for n in range(20)),
    )
    raw(encoded, b"create extension pg_stat_statements", b"select 2 as plain")
    with pg.role("pg_monitor") as role:
        snapshot: Snapshot = collect(make_conninfo(encoded, user=role))
    lost = snapshot.missing.get("statements:left-out")
    assert snapshot.statements, "their counters are there"
    assert lost or any(s.text == "select $1 as plain" for s in snapshot.statements)
    assert lost is None or "encoding" in lost.reason
