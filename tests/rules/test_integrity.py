"""Integrity rules on servers with real damage and real version changes."""

from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import parse
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Grade, Report, Severity, Verdict
from pgwatch_wed.target.collect import collect
from tests.conftest import StartServer
from tests.psql import psql
from tests.servers import Server


def report(snapshot: Snapshot, rule: str) -> Report:
    return analyse([snapshot], parse({"only": [rule]}, "test"))


def test_a_damaged_page_is_found_once_it_was_read(start_pg: StartServer) -> None:
    server = start_pg()
    local = server.local
    assert local is not None
    psql(
        local.dsn(),
        "create table t (a int); insert into t select generate_series(1, 1000); checkpoint;",
    )
    assert report(collect(local.dsn()), "integrity-checksum-failures").findings == ()
    with psycopg.connect(local.dsn(), autocommit=True) as connection:
        row = connection.execute("select pg_relation_filepath('t')").fetchone()
    assert row is not None
    local.halt()
    with (local.data / row[0]).open("r+b") as file:
        file.seek(4000)
        file.write(b"not what PostgreSQL wrote")
    local.adopt()
    with psycopg.connect(local.dsn(), autocommit=True) as connection:
        with pytest.raises(psycopg.errors.DataCorrupted):
            connection.execute("select count(*) from t")
        connection.execute("select pg_stat_force_next_flush()")
    snapshot = collect(local.dsn())
    (finding,) = report(snapshot, "integrity-checksum-failures").findings
    assert (finding.severity, finding.grade) == (Severity.CRITICAL, Grade.A)
    assert finding.object.name == "postgres"
    assert finding.object.database is None
    later = replace(
        snapshot, server=replace(snapshot.server, taken_at=snapshot.now + timedelta(days=90))
    )
    (old,) = report(later, "integrity-checksum-failures").findings
    assert old.severity is Severity.WARNING


def test_without_checksums_nothing_can_be_told(db: str) -> None:
    snapshot = collect(db)
    off = tuple(
        replace(s, setting="off") if s.name == "data_checksums" else s for s in snapshot.settings
    )
    found = report(replace(snapshot, settings=off), "integrity-checksum-failures")
    assert found.verdicts[0].verdict is Verdict.UNKNOWN


@pytest.mark.pg(">= 17")
def test_a_changed_default_collation_names_the_indexes_that_rely_on_it(
    every_pg: Server, every_db: str
) -> None:
    psql(
        every_db,
        """
        create table t (a text primary key, b text, c int);
        create index t_b on t (b);
        create index t_pattern on t (b text_pattern_ops);
        create index t_hash on t using hash (b);
        create index t_c on t (c);
        set allow_system_table_mods = on;
        update pg_database set datlocprovider = 'b', datlocale = 'C.UTF-8', datcollversion = '0'
        where datname = current_database();
        """,
    )
    snapshot = collect(every_db)
    (finding,) = report(snapshot, "integrity-collation-version").findings
    assert finding.severity is Severity.CRITICAL
    assert sorted(o.name for o in finding.related) == ["t_b", "t_pkey"]
    with psycopg.connect(every_db, autocommit=True) as connection:
        for step in finding.remedy:
            for statement in step.sql.splitlines():
                connection.execute(statement.encode())
    assert report(collect(every_db), "integrity-collation-version").findings == ()


@pytest.mark.pg(">= 17")
def test_an_index_for_patterns_does_not_rely_on_a_named_collation(
    every_pg: Server, every_db: str
) -> None:
    psql(
        every_db,
        """
        create table t (a text collate pg_c_utf8, b text collate "C");
        create index t_a on t (a);
        create index t_pattern on t (a text_pattern_ops, b);
        create index t_both on t (a text_pattern_ops, (a || 'x'));
        set allow_system_table_mods = on;
        update pg_collation set collversion = '0' where collname = 'pg_c_utf8';
        """,
    )
    snapshot = collect(every_db)
    (finding,) = report(snapshot, "integrity-collation-version").findings
    assert sorted(o.name for o in finding.related) == ["t_a", "t_both"]
    before = tuple(replace(c, oid=None) for c in snapshot.collation_versions)
    (older,) = report(replace(snapshot, collation_versions=before), finding.rule).findings
    assert sorted(o.name for o in older.related) == ["t_a", "t_both", "t_pattern"]


@pytest.mark.pg(">= 17")
def test_a_changed_collation_that_no_index_uses_is_for_information(
    every_pg: Server, every_db: str
) -> None:
    psql(
        every_db,
        """
        set allow_system_table_mods = on;
        update pg_collation set collversion = '0' where collname = 'pg_c_utf8';
        """,
    )
    (finding,) = report(collect(every_db), "integrity-collation-version").findings
    assert (finding.severity, finding.related) == (Severity.INFO, ())
