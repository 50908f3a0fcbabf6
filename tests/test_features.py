"""A version stands in one place, beside what came with it; no code reads a reason's words."""

import ast
from pathlib import Path

import psycopg
import pytest
from packaging.version import Version

from pgwatch_wed.facts import Cause
from pgwatch_wed.facts.features import Feature, Features
from tests.servers import Server

ROOT = Path(__file__).parent.parent / "pgwatch_wed"
# Where the version is what is judged, or what chooses a query's file or a program.
ABOUT_VERSIONS = {
    "facts/features.py",
    "facts/rows.py",
    "facts/lineage.py",
    "rules/config/version.py",
    "target/queries.py",
    "target/collect.py",
    "whatif/lab/dump.py",
    "whatif/lab/source.py",
}
PROBES = {
    "has_wait_start": "select waitstart from pg_locks",
    "has_connection_checks": "show client_connection_check_interval",
    "has_consistent_statistics": "show stats_fetch_consistency",
    "has_database_collation_version": "select datcollversion from pg_database",
    "has_generic_plans": "explain (generic_plan) select $1::int",
    "has_io_statistics": "select from pg_stat_io",
    "has_transaction_timeout": "show transaction_timeout",
    "has_repack": "create table r (id int primary key); repack r; drop table r",
    "has_read_all_data": "select 'pg_read_all_data'::regrole",
    "has_parameter_grants": "select from pg_parameter_acl",
    "has_maintain": "select 'pg_maintain'::regrole",
    "has_signal_of_autovacuum": "select 'pg_signal_autovacuum_worker'::regrole",
    "has_membership_options": "select inherit_option from pg_auth_members",
    "has_identity_of_partitioned_tables": "create table p (at int) partition by range (at); "
    "create table p_1 partition of p default; "
    "alter table p add column id int generated always as identity",
}


@pytest.mark.all_versions
def test_where_the_planner_infers_a_predicate_from_a_declaration(
    every_db: str, every_pg: Server
) -> None:
    with psycopg.connect(every_db, autocommit=True) as connection:
        connection.execute("create table t (a int not null, b int)")
        connection.execute("insert into t select g, g from generate_series(1, 5000) g")
        connection.execute("create index t_b on t (b) where a is not null")
        connection.execute("analyze t")
        plan = str(connection.execute("explain select * from t where b = 5").fetchall())
    inferred = features(Version(str(every_pg.version)).major)[
        "has_predicates_implied_by_declarations"
    ]
    assert ("t_b" in plan) == bool(inferred)


def features(major: int) -> dict[str, Feature]:
    found = Features(major)
    return {n: getattr(found, n)() for n in dir(Features) if n.startswith("has_")}


def test_a_feature_is_there_from_its_version_on_and_says_why_not_before() -> None:
    for name, feature in features(13).items():
        assert not feature, name
        assert feature.why_not == (
            f"PostgreSQL {feature.since} or later is required for {feature.name}; this server is 13"
        )
    assert all(features(19).values())
    assert {f.why_not for f in features(19).values()} == {""}
    assert Features.of(170_002).major == 17


@pytest.mark.all_versions
def test_each_feature_of_a_server_is_there_exactly_where_we_say(
    every_db: str, every_pg: Server
) -> None:
    for name, feature in features(Version(str(every_pg.version)).major).items():
        if name in PROBES:
            assert works(every_db, PROBES[name]) == bool(feature), name


def works(dsn: str, statements: str) -> bool:
    with psycopg.connect(dsn, autocommit=True) as connection:
        try:
            for statement in statements.split("; "):
                connection.execute(statement.encode())
        except (psycopg.errors.ProgrammingError, psycopg.errors.FeatureNotSupported):
            return False
    return True


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: p.name)
def test_no_code_compares_versions_or_reads_the_words_of_a_reason(path: Path) -> None:
    if path.relative_to(ROOT).as_posix() in ABOUT_VERSIONS:
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    compared = [n for n in ast.walk(tree) if isinstance(n, ast.Compare)]
    names = {a.attr for n in compared for a in ast.walk(n) if isinstance(a, ast.Attribute)}
    assert names & {"major", "version_num", "server_version"} == set()
    calls = [n.func for n in ast.walk(tree) if isinstance(n, ast.Call)]
    read = {
        f.value.attr
        for f in calls
        if isinstance(f, ast.Attribute)
        and f.attr in ("startswith", "endswith", "find")
        and isinstance(f.value, ast.Attribute)
    }
    assert read & {"reason", "mend"} == set()


def test_causes_are_words() -> None:
    assert len(set(Cause)) == len(Cause.__members__)
