"""Every query on every server: columns equal fields, values fit them, for every kind of role."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pgwatch_wed import facts
from pgwatch_wed.analyse import analyse
from pgwatch_wed.cli.explain import explain
from pgwatch_wed.config import Config
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts import file as snapshot_file
from pgwatch_wed.facts.fields import fact_types, field_types
from pgwatch_wed.facts.snapshot import FROM_HISTORY
from pgwatch_wed.findings import Verdict
from pgwatch_wed.postgres.statements import of_users
from pgwatch_wed.rules import all_rules
from pgwatch_wed.sqltext import text as sql_text
from pgwatch_wed.target import collect as collecting
from pgwatch_wed.target import queries
from pgwatch_wed.target.capabilities import UNEXPECTED, Capabilities
from pgwatch_wed.target.collect import DERIVED, ORDER, collect
from pgwatch_wed.target.session import CollectLimits, Reader, ServerText, prepare
from tests.servers import MAJORS, Server
from tests.zoo import in_motion, zoo

# What is read before the facts, or to complete one.
pytestmark = pytest.mark.all_versions

HELPERS = {
    *("server", "system", "birth", "extensions", "installed_extensions", "sequence_names"),
    *(
        "sequence_grants",
        "index_definitions",
        "statement_texts",
        "all_column_statistics",
        "activity",
    ),
}
PGSS = ("1.8", "1.9", "1.10", "1.11", "1.12", "1.13")
# Empty in a zoo that moves: a standby's, a cascade's, what nobody broke, what only standbys add.
ALWAYS_EMPTY = {"recovery", "replicas", "file_settings", "collation_versions", "nodes"}


@pytest.fixture(scope="module")
def animals(every_pg: Server) -> Iterator[str]:
    with zoo(every_pg) as dsn:
        yield dsn


# What a run adds to what was read where it is told to.
ADDED = frozenset({"missing_indexes", "index_drop_trials", "statement_plans", "exact_bloat"})


def lacking(snapshot: Snapshot) -> dict[str, str]:
    """What is missing, but for what nobody asked for and what this version does not have."""
    return {
        name: missing.reason
        for name, missing in snapshot.missing.items()
        if name not in DERIVED and not missing.reason.startswith("it requires PostgreSQL")
    }


# The choice of files


def test_every_fact_has_a_query_and_every_query_states_a_fact() -> None:
    assert set(queries.facts()) - HELPERS == set(ORDER) - HELPERS
    assert set(ORDER) | set(DERIVED) | {
        "extensions",
        "nodes",
        "query_costs",
        "delta_coverage",
        "history_coverage",
        *FROM_HISTORY,
    } == set(facts.fact_names())


def test_every_file_is_chosen_by_some_supported_server() -> None:
    chosen = {
        queries.choose(fact, major, {"pg_stat_statements": version})
        for fact in queries.facts()
        for major in MAJORS
        for version in PGSS
    }
    assert set(queries.all_queries()) <= chosen


def test_a_server_of_the_future_gets_the_newest_query() -> None:
    newest = {"pg_stat_statements": "2.0"}
    for fact in queries.facts():
        ours = [q for q in queries.all_queries() if q.fact == fact]
        assert queries.choose(fact, 99, newest) == max(ours, key=lambda q: (bool(q.of), q.version))


@pytest.mark.parametrize(
    ("installed", "file"),
    [
        ("1.7", None),
        ("1.8", "statements.pg_stat_statements-1.8.sql"),
        ("1.10", "statements.pg_stat_statements-1.10.sql"),
        ("1.14", "statements.pg_stat_statements-1.13.sql"),
    ],
)
def test_the_extensions_version_decides_and_not_the_servers(
    installed: str, file: str | None
) -> None:
    query = queries.choose("statements", 19, {"pg_stat_statements": installed})
    assert (query.file if query else None) == file


def test_every_query_says_what_a_row_is_and_is_marked_as_ours() -> None:
    for query in queries.all_queries():
        assert query.sql.startswith("-- A row is "), query.file
        text = query.render(filled(query))
        assert "@" not in text, query.file
        sent = sql_text.marked(text, query.fact)
        assert sql_text.is_own(sent), query.file
        assert f"/* pgwatch_wed:{query.fact} */" in sent


# On servers


def test_columns_equal_fields_in_every_variant_that_runs(every_pg: Server, animals: str) -> None:
    """Older variants that still run on this server must give the same columns as well."""
    with psycopg.connect(animals, autocommit=True) as connection:
        prepare(connection)
        rows = connection.execute("select extname, extversion from pg_extension")
        version = {str(name): str(number) for name, number in rows}
        for query in queries.all_queries():
            kind = facts.Server if query.fact == "server" else fact_types().get(query.fact)
            if kind is None or not queries._fits(query, every_pg.version, version):
                continue
            text = query.render(filled(query))
            try:
                described = connection.execute(text.encode()).description
            except (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedFunction):
                assert query != queries.choose(query.fact, every_pg.version, version), query.file
            else:
                assert {c.name for c in described or ()} == set(field_types(kind)), query.file


def test_explain_prints_every_query_that_is_run_for_a_fact(animals: str) -> None:
    before = {c.name for c in collect(animals, only=[]).query_costs}
    for fact in ORDER:
        run = {c.name for c in collect(animals, only=[fact]).query_costs} - before
        assert run <= {*queries.behind(fact), "sequence_values"}, "its text has every name in it"
    rule = next(r for r in all_rules() if r.id == "query-top-time")
    printed = CliRunner().invoke(explain, [rule.id, "--sql"]).output
    for query in queries.all_queries():
        if query.fact in ("statements", "statement_texts"):
            assert query.sql in printed, query.file


def filled(query: queries.QueryFile) -> dict[str, str]:
    """Fill in every token of a query."""
    known = {"extschema": "public"}
    return {name: known.get(name, "1") for name in queries.tokens(query)}


def test_a_superuser_lacks_nothing_and_every_value_fits_its_field(
    every_pg: Server, animals: str
) -> None:
    with in_motion(every_pg, animals):
        snapshot = collect(animals)
    assert lacking(snapshot) == {}
    empty = {n for n in ORDER if not getattr(snapshot, n) and n not in snapshot.missing}
    assert empty <= ALWAYS_EMPTY
    assert snapshot_file.loads(snapshot_file.dumps(snapshot)) == snapshot


@pytest.mark.parametrize("group", ["pg_monitor", "pg_read_all_stats", None])
def test_a_role_lacks_only_what_it_may_not_see(
    every_pg: Server, animals: str, group: str | None
) -> None:
    with every_pg.role(*([group] if group else [])) as role, in_motion(every_pg, animals):
        snapshot = collect(make_conninfo(animals, user=role))
    expected = {"file_settings", "column_statistics", "sequences:left-out"}
    if every_pg.version < 14:
        expected.add("subscriptions")
    if group is None:
        expected |= {"sessions", "statements", "vacuums", "index_builds"}
    assert set(lacking(snapshot)) == expected
    assert all(snapshot.missing[n].mend for n in expected)
    assert snapshot_file.loads(snapshot_file.dumps(snapshot)) == snapshot
    assert len(snapshot.tables) == 12
    assert snapshot.indexes
    assert len(snapshot.index_definitions) == len(snapshot.indexes)


def test_what_is_said_to_mend_a_lack_does(every_pg: Server, animals: str) -> None:
    with every_pg.role() as role:
        dsn = make_conninfo(animals, user=role)
        with psycopg.connect(animals, autocommit=True) as admin:
            for missing in collect(dsn).missing.values():
                if "GRANT" in missing.mend:
                    admin.execute(missing.mend.encode())
        # the values of sequences take a right to each of them
        assert set(lacking(collect(dsn))) <= {"sequences:left-out"}


def test_what_is_known_of_columns_is_the_same_from_either_source(animals: str) -> None:
    """pg_stats and the catalog behind it, read by a superuser."""
    found = []
    with psycopg.connect(animals, autocommit=True) as connection:
        prepare(connection)
        for query in queries.all_queries():
            if query.fact in ("column_statistics", "all_column_statistics"):
                values = dict.fromkeys(queries.tokens(query), "1000000")
                cursor = connection.execute(query.render(values).encode())
                names = [c.name for c in cursor.description or ()]
                found.append((names, sorted(map(str, cursor.fetchall()))))
    catalog, view = found
    assert catalog == view
    assert len(view[1]) >= 10


def test_the_owner_of_a_database_sees_her_own_objects_statistics(every_pg: Server, db: str) -> None:
    with every_pg.database() as dsn, every_pg.role() as owner:
        with psycopg.connect(dsn, autocommit=True) as admin:
            name = sql.Identifier(admin.info.dbname)
            admin.execute(
                sql.SQL("alter database {} owner to {}").format(name, sql.Identifier(owner))
            )
            admin.execute(
                sql.SQL("create schema app authorization {}").format(sql.Identifier(owner))
            )
        with psycopg.connect(dsn, user=owner, autocommit=True) as hers:
            hers.execute("create table app.t (id bigserial primary key, a int)")
            hers.execute("insert into app.t (a) select g from generate_series(1, 100) g")
            hers.execute("analyze app.t")
        snapshot = collect(make_conninfo(dsn, user=owner))
        assert len(snapshot.column_statistics) == 2
        assert [s.last_value for s in snapshot.sequences] == [100]
        assert "sequences:left-out" not in snapshot.missing
        with psycopg.connect(dsn, autocommit=True) as admin:
            admin.execute("drop schema app cascade")
            admin.execute(sql.SQL("alter database {} owner to postgres").format(name))


@pytest.mark.parametrize("version", PGSS)
@pytest.mark.pg(">= 18")
def test_an_old_extension_on_a_new_server(every_pg: Server, every_db: str, version: str) -> None:
    with psycopg.connect(every_db, autocommit=True) as admin:
        offered = {
            row[0]
            for row in admin.execute(
                "select version from pg_available_extension_versions"
                " where name = 'pg_stat_statements'"
            )
        } | {"1.4", "1.5", "1.6", "1.7", "1.8", "1.9", "1.10", "1.11", "1.12"}
        if version not in offered:
            version = "1.12"
        admin.execute('create schema "Odd "" schema"')
        admin.execute(
            sql.SQL('create extension pg_stat_statements schema "Odd "" schema" version {}').format(
                sql.Literal(version)
            )
        )
        admin.execute("select 1 as a_statement_to_find")
    snapshot = collect(every_db, only=["statements", "statements_info"])
    assert lacking(snapshot) == {}
    texts = {s.text for s in snapshot.statements}
    assert "select $1 as a_statement_to_find" in texts
    extension = snapshot.extension("pg_stat_statements")
    assert extension is not None
    assert extension.installed_version == version
    assert extension.schema == 'Odd " schema'


def test_a_statement_that_is_evicted_between_the_readings_keeps_its_counters(
    every_pg: Server, every_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = collecting._newest
    with psycopg.connect(every_db, autocommit=True) as admin:
        admin.execute("create extension pg_stat_statements")
        admin.execute("select 1 as a_statement_that_stays")
        admin.execute("select 1, 2 as a_statement_that_goes")

        def evicting(reader: Reader, name: str, capabilities: Capabilities, **values: str) -> Any:
            if name == "statement_texts":
                admin.execute(
                    "select pg_stat_statements_reset(0, 0, queryid) from pg_stat_statements"
                    " where query like '%that_goes%' and query not like '%pgwatch_wed%'"
                )
            return read(reader, name, capabilities, **values)

        monkeypatch.setattr(collecting, "_newest", evicting)
        snapshot = collect(every_db, only=["statements"])
    assert lacking(snapshot) == {}
    texts = [s.text for s in snapshot.statements]
    assert "select $1 as a_statement_that_stays" in texts
    assert None in texts
    assert not [t for t in texts if t and "that_goes" in t and "reset" not in t]


def test_only_statements_that_stand_out_have_a_text(every_pg: Server, every_db: str) -> None:
    with psycopg.connect(every_db, autocommit=True) as admin:
        admin.execute("create extension pg_stat_statements")
        for columns in range(2, 30):
            admin.execute(f"select {', '.join(['1'] * columns)} as many".encode())
        for _ in range(50):
            admin.execute("select 1 as often")
    all_texts = collect(every_db, only=["statements"]).statements
    assert all(s.text for s in all_texts)
    snapshot = collect(every_db, only=["statements"], limits=CollectLimits(max_texts=1))
    assert len(snapshot.statements) >= len(all_texts)
    texts = [s.text for s in snapshot.statements if s.text is not None]
    assert len(texts) <= 6 + 10
    assert "select $1 as often" in texts


def test_texts_are_read_of_nearly_all_the_load_even_if_nothing_stands_out(
    every_pg: Server, every_db: str
) -> None:
    with psycopg.connect(every_db, autocommit=True) as admin:
        admin.execute("create extension pg_stat_statements")
        for columns in range(1, 200):
            admin.execute(f"select {', '.join(['1'] * columns)}".encode())
    collect(every_db)  # takes more time than all of them
    snapshot = collect(every_db, only=["statements"], limits=CollectLimits(max_texts=20))
    theirs = of_users(snapshot)
    read = [s for s in theirs if s.text is not None]
    assert len(theirs) > 6 * 20
    assert sum(s.total_exec_ms for s in read) >= 0.9 * sum(s.total_exec_ms for s in theirs)
    assert len(read) < len(theirs)


@pytest.mark.pg(">= 18")
def test_an_extension_older_than_any_query_says_how_to_update_it(every_db: str) -> None:
    with psycopg.connect(every_db, autocommit=True) as admin:
        admin.execute("create extension pg_stat_statements version '1.7'")
    missing = collect(every_db, only=["statements"]).missing["statements"]
    assert "1.7 is too old" in missing.reason
    assert missing.mend == "ALTER EXTENSION pg_stat_statements UPDATE;"


def test_the_loader_gives_text_whatever_the_bytes_are() -> None:
    loader = ServerText(25)
    assert loader.load(memoryview(b"caf\xe9")) == "caf�"
    assert loader.load("Löwe".encode()) == "Löwe"


def test_no_reason_is_an_unexpected_error(every_pg: Server, animals: str) -> None:
    with every_pg.role() as nobody:
        for dsn in (animals, make_conninfo(animals, user=nobody)):
            reasons = [m.reason for m in collect(dsn).missing.values()]
            assert not [r for r in reasons if UNEXPECTED in r]


def test_sequences_that_the_role_may_not_read_are_unknown_until_the_grant(
    every_pg: Server, every_db: str
) -> None:
    """Neither clear nor a matter of reading the users' rows: SELECT on sequences is enough."""
    with every_pg.role("pg_monitor") as role, psycopg.connect(every_db, autocommit=True) as admin:
        admin.execute("create table secret (id serial primary key, what text)")
        admin.execute("select setval('secret_id_seq', 2000000000)")
        admin.execute('create schema "S b"; create sequence "S b"."n O"')
        hers = make_conninfo(every_db, user=role)
        rules = ("schema-int-overflow", "schema-sequence-exhaustion")
        for verdict in analyse([collect(hers)], Config(only=rules)).verdicts:
            assert verdict.verdict is Verdict.UNKNOWN
            assert f"2 sequence values not read: {role} may not read them" in verdict.reason
            assert 'GRANT USAGE ON SCHEMA "S b"' in verdict.mend
        admin.execute(collect(hers).missing["sequences:left-out"].mend.encode())
        after = collect(hers)
        assert "sequences:left-out" not in after.missing
        seen = {f.rule for f in analyse([after], Config(only=rules)).findings}
        assert seen == {"schema-int-overflow"}
        with psycopg.connect(hers) as connection, pytest.raises(psycopg.Error):
            connection.execute("select * from secret")
        admin.execute(sql.SQL("drop owned by {}").format(sql.Identifier(role)))
