"""Several databases, standbys and the budget of a run, on real servers."""

from collections.abc import Iterator

import psycopg
import pytest

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config, parse
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.errors import UsageError
from pgwatch_wed.findings import Verdict
from pgwatch_wed.gather.run import gather
from pgwatch_wed.gather.wanted import Wanted
from tests.psql import psql
from tests.servers import Server
from tests.standby import catch_up, standby_of

TABLE = """
create table t (id int primary key, a int, b int);
insert into t select g, g % 100, g from generate_series(1, 50000) g;
create index t_a_idx on t (a);
create index t_b_idx on t (b);
analyze t;
"""


def quiet(_what: str, _share: float) -> None:
    """Show nothing."""


def wanted(**more: object) -> Wanted:
    return Wanted(advise=False, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[embedded.EmbeddedServer, embedded.EmbeddedServer]]:
    with embedded.start({"wal_level": "replica"}) as primary:
        psql(primary.dsn(), TABLE)
        with standby_of(primary) as follower:
            catch_up(primary, follower)
            yield primary, follower


def test_an_index_that_only_a_standby_reads_is_not_unused(
    pair: tuple[embedded.EmbeddedServer, embedded.EmbeddedServer],
) -> None:
    primary, follower = pair
    with psycopg.connect(follower.dsn(), autocommit=True) as reader:
        reader.execute("set enable_seqscan = off")
        reader.execute("select * from t where a = 3").fetchall()
        reader.execute("select pg_stat_force_next_flush()")
        reader.execute("select 1")
    config = parse({"only": ["index-unused"], "window": 0}, "test")
    alone = analyse(gather(primary.dsn(), wanted(), quiet), config)
    both = analyse(gather(primary.dsn(), wanted(standbys=(follower.dsn(),)), quiet), config)
    assert {f.object.name for f in alone.findings} == {"t_a_idx", "t_b_idx"}
    assert {f.object.name for f in both.findings} == {"t_b_idx"}


def test_another_server_is_refused_as_a_standby(
    pair: tuple[embedded.EmbeddedServer, embedded.EmbeddedServer],
) -> None:
    primary, _ = pair
    with embedded.start() as stranger, pytest.raises(UsageError, match="not a standby"):
        gather(primary.dsn(), wanted(standbys=(stranger.dsn(),)), quiet)


def test_a_standby_that_is_down_costs_what_needs_it_and_no_more(
    pair: tuple[embedded.EmbeddedServer, embedded.EmbeddedServer],
) -> None:
    primary, _ = pair
    (snapshot,) = gather(primary.dsn(), wanted(standbys=("host=127.0.0.1 port=1",)), quiet)
    report = analyse(
        [snapshot], parse({"only": ["index-unused", "index-rarely-used"], "window": 0}, "test")
    )
    assert [v.verdict for v in report.verdicts] == [Verdict.UNKNOWN] * 2
    assert all("standby could not be read" in v.reason for v in report.verdicts)
    assert snapshot.tables
    assert snapshot.index_usage


def test_a_standby_that_cannot_be_one_is_refused_at_once(pg: Server) -> None:
    seen: list[str] = []
    with pytest.raises(UsageError, match="invalid connection string"):
        gather(pg.dsn(), wanted(standbys=("postgresql://[",)), lambda what, _: seen.append(what))
    assert seen == []


def test_all_databases_are_read_and_each_is_named(db: str, pg: Server) -> None:
    psql(db, TABLE + "create index t_a_copy on t (a);")
    snapshots = gather(pg.dsn(), wanted(all_databases=True), quiet)
    name = str(psycopg.conninfo.conninfo_to_dict(db)["dbname"])
    assert name in [s.server.database for s in snapshots]
    report = analyse(snapshots, parse({"only": ["index-duplicate"]}, "test"))
    found = [f for f in report.findings if f.object.database == name]
    assert len(found) == 1
    catalogs = [table for s in snapshots for table in s.system_tables]
    assert len({id(table) for table in catalogs}) == len(set(catalogs)) < len(catalogs)


def test_a_database_that_cannot_be_read_is_unknown_and_not_clear(db: str, pg: Server) -> None:
    name = str(psycopg.conninfo.conninfo_to_dict(db)["dbname"])
    with psycopg.connect(pg.dsn(), autocommit=True) as admin:
        admin.execute(
            psycopg.sql.SQL("alter database {} connection limit 0").format(
                psycopg.sql.Identifier(name)
            )
        )
        admin.execute("create role reader login in role pg_monitor")
        try:
            snapshots = gather(pg.dsn(user="reader"), wanted(all_databases=True), quiet)
        finally:
            admin.execute("drop role reader")
    report = analyse(snapshots, parse({"only": ["index-duplicate"]}, "test"))
    (verdict,) = report.verdicts
    # a finding if another database of this server, such as another test's, has a duplicate
    assert verdict.verdict is not Verdict.CLEAR
    assert name in verdict.partial
    assert name in verdict.reason


def test_a_spent_budget_leaves_unknowns_and_no_clear(db: str) -> None:
    psql(db, TABLE)
    snapshots = gather(db, wanted(budget_s=0.001), quiet)
    report = analyse(snapshots, Config())
    judged = {v.rule: v for v in report.verdicts}
    assert judged["index-duplicate"].verdict is Verdict.UNKNOWN
    assert "budget" in judged["index-duplicate"].reason
