"""--exact-bloat: measured by pgstattuple instead of estimated."""

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pgwatch_wed.facts import Missing, Snapshot
from pgwatch_wed.findings import Grade, Verdict
from pgwatch_wed.gather.enrichment import put
from pgwatch_wed.target import exact_bloat
from pgwatch_wed.target.collect import collect
from tests.psql import psql
from tests.rules.judging import apply, judged
from tests.servers import Server

BLOATED = """
create extension pgstattuple;
create table "Half Empty" (id int primary key, doc text) with (autovacuum_enabled = off);
insert into "Half Empty" select g, repeat('x', 100) from generate_series(1, 60000) g;
create table full_one (id int primary key, doc text) with (autovacuum_enabled = off);
insert into full_one select g, repeat('x', 100) from generate_series(1, 60000) g;
delete from "Half Empty" where id % 10 <> 0;
vacuum "Half Empty", full_one;
"""


def measured(dsn: str, most: int = 10) -> Snapshot:
    snapshot = collect(dsn)
    return put(snapshot, exact_bloat=exact_bloat.measure(dsn, snapshot, most, 30))


@pytest.fixture
def bloated(every_db: str) -> str:
    psql(every_db, BLOATED)
    return every_db


def test_what_no_statistics_tell_is_measured(bloated: str) -> None:
    estimated = judged(collect(bloated), "table-bloat")
    assert estimated.verdicts[0].verdict is Verdict.UNKNOWN, "it was never analysed"
    assert "--exact-bloat" in estimated.verdicts[0].mend
    (finding,) = judged(measured(bloated), "table-bloat").findings
    assert finding.object.name == "Half Empty"
    assert finding.grade is Grade.A
    assert finding.evidence["is_exact"] is True
    assert 0.75 < finding.evidence["wasted_share"] < 0.95


def test_an_index_is_measured_too_and_rebuilt(bloated: str) -> None:
    (finding,) = judged(measured(bloated), "index-bloat", min_wasted_bytes=100_000).findings
    assert finding.object.name == "Half Empty_pkey"
    assert finding.grade is Grade.A
    apply(bloated, [finding])
    assert not judged(measured(bloated), "index-bloat", min_wasted_bytes=100_000).findings


def test_only_the_largest_are_measured(bloated: str) -> None:
    assert {e.kind for e in measured(bloated, 1).exact_bloat} <= {"table", "index"}
    assert len(measured(bloated, 1).exact_bloat) < len(measured(bloated, 10).exact_bloat)


def test_a_locked_table_is_left_out_and_not_waited_for(bloated: str) -> None:
    with psycopg.connect(bloated) as holder:
        holder.execute('lock table "Half Empty" in access exclusive mode')
        found = measured(bloated).exact_bloat
    snapshot = collect(bloated)
    names = {t.oid: t.name for t in snapshot.tables}
    assert {names[e.oid] for e in found if e.kind == "table"} == {"full_one"}


def test_what_is_lacking_is_said_with_its_mend(every_pg: Server, every_db: str) -> None:
    without = exact_bloat.measure(every_db, collect(every_db), 5, 10)
    assert isinstance(without, Missing)
    assert without.mend == "CREATE EXTENSION pgstattuple;"
    psql(every_db, BLOATED)
    with every_pg.role() as role:
        dsn = make_conninfo(every_db, user=role)
        refused = exact_bloat.measure(dsn, collect(dsn), 5, 10)
        assert isinstance(refused, Missing)
        with psycopg.connect(every_db, autocommit=True) as admin:
            admin.execute(refused.mend.encode())
        assert exact_bloat.measure(dsn, collect(dsn), 5, 10)
        with psycopg.connect(every_db, autocommit=True) as admin:
            revoke = sql.SQL("revoke pg_stat_scan_tables from {}")
            admin.execute(revoke.format(sql.Identifier(role)))


def test_statistics_that_a_role_may_not_see_take_a_grant_and_no_analyze(
    db: str, pg: Server
) -> None:
    psql(
        db,
        """
        create table logs (id int, who int);
        insert into logs select g, g % 7 from generate_series(1, 60000) g;
        create index on logs (id);
        create table seen as select 1 as one;
        """,
    )
    psql(db, "vacuum analyze logs, seen")  # a session counts its changes when it ends
    with pg.role("pg_monitor") as role:
        sees_none = collect(make_conninfo(db, user=role))
        psql(db, f'grant select on seen to "{role}"')
        sees_another = collect(make_conninfo(db, user=role))
    for snapshot in (sees_none, sees_another):
        (verdict,) = judged(snapshot, "index-bloat", min_wasted_bytes=100_000).verdicts
        assert "may not see" in verdict.reason or "sees no rows in pg_stats" in verdict.reason
        assert "GRANT" in str(verdict.mend)
        assert "ANALYZE" not in str(verdict.mend)
