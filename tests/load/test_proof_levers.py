"""What probes change on a real server, and that all of it is put back, also after kill -9."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.embedded.server import EmbeddedServer
from pgwatch_wed.errors import CollectError, UsageError
from pgwatch_wed.load.load_model import Ground, LoadScript, Order
from pgwatch_wed.load.proof import undo_journal
from pgwatch_wed.load.proof.hot_rows import spreading
from pgwatch_wed.load.proof.index_levers import absent_index_lever, index_lever
from pgwatch_wed.load.proof.load_probes import LoadProbe, LoadProbeKind, NotTriedError, ProbeLever
from pgwatch_wed.load.proof.proof_bench import ProofBench, proving
from pgwatch_wed.load.proof.setting_levers import cache, checkpoints, no_flush, work_mem
from pgwatch_wed.load.proof.table_levers import rebuild_lever, statistics_lever
from tests.load.proof_blocks import ORDER, SimulatedLoad, block

SCHEMA = """
create table item (id bigint generated always as identity primary key, kind int not null, "a b" text);
insert into item (kind, "a b") select g % 10, repeat('x', 100) from generate_series(1, 5000) g;
create index item_kind on item (kind);
comment on index item_kind is 'by ''kind''';
create statistics item_both on kind, "a b" from item;
analyze item;
update item set kind = 77 where id <= 2500;
create table counter (id int primary key, n bigint not null default 0, said text);
insert into counter values (1, 0, 'one'), (2, 0, 'two');
create table child (id int references counter);
create view counted as select n from counter;
"""
# what must be as before: everything but where the rows and indexes are stored
STATE = """
select jsonb_build_object(
    'relations', (select jsonb_object_agg(relname, jsonb_build_array(relkind, reltuples, relpages, relallvisible,
        reloptions, relacl)) from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'm')),
    'indexes', (select jsonb_object_agg(indexrelid::regclass, jsonb_build_array(pg_get_indexdef(indexrelid),
        obj_description(indexrelid))) from pg_index where indrelid in (select oid from pg_class
        where relnamespace = 'public'::regnamespace)),
    'statistics', (select jsonb_agg(to_jsonb(s) order by tablename, attname) from pg_stats s where schemaname = 'public'),
    'extended', (select jsonb_agg(to_jsonb(s) order by statistics_name) from pg_stats_ext s),
    'rows', (select jsonb_build_array((select count(*) from item), (select sum(kind) from item),
        (select jsonb_agg(c order by id) from counter c))),
    'schemas', (select jsonb_agg(nspname order by nspname) from pg_namespace where nspname !~ '^pg_'),
    'parked', (select count(*) from pg_statistic where starelid > 2147483648::oid)
)
"""


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    with embedded.running({"fsync": "on", "autovacuum": "off", "max_wal_size": "64MB"}) as running:
        yield running


@pytest.fixture
def ground(server: EmbeddedServer) -> Iterator[Ground]:
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute("drop database if exists proof with (force)")
        admin.execute("create database proof")
        conninfo = make_conninfo(server.dsn(), dbname="proof")
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(SCHEMA)
        yield Ground(
            conninfo=conninfo,
            shown="socket/proof",
            database="proof",
            server_version=admin.info.server_version,
            is_embedded=True,
        )


def asked(ground: Ground, query: str) -> Any:
    with psycopg.connect(ground.conninfo, autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def probe(lever: Any) -> LoadProbe:
    return LoadProbe(kind=LoadProbeKind.INDEX, about="", tried="", cause="", lever=lever)


SPREAD = Order(
    scripts=(LoadScript(name="hot", text="update counter set n = n + 1 where id = 1;"),),
    clients=3,
    rate=None,
)
SQL_LEVERS = {
    "index": (
        index_lever(("create index pgwatch_wed_proof_0 on public.item (id, kind)",)),
        "select to_regclass('public.pgwatch_wed_proof_0') is not null",
    ),
    "absent": (
        absent_index_lever("public", "item_kind"),
        "select to_regclass('public.item_kind') is null",
    ),
    "statistics": (
        statistics_lever("public", "item"),
        "select '77' = (most_common_vals::text::text[])[1] from pg_stats where tablename = 'item' and attname = 'kind'",
    ),
    "rebuild": (
        rebuild_lever("public", "item"),
        (
            "select coalesce(pg_relation_size('public.item') < 0.8 * pg_relation_size(to_regclass("
            "(select format('public.pgwatch_wed_proof_old_%s', oid) from pg_class where relname ~ '^pgwatch_wed_proof_old'))), false)"
        ),
    ),
    "spreading": (spreading, "select count(*) = 5 from counter"),
}


@pytest.mark.parametrize("name", SQL_LEVERS)
@pytest.mark.parametrize("end", ["taken down", "kept", "killed while away", "killed while back"])
def test_whatever_was_taken_away_is_put_back(ground: Ground, name: str, end: str) -> None:
    lever, shows = SQL_LEVERS[name]
    before = asked(ground, STATE)
    bench = ProofBench(ground, SimulatedLoad(lambda _order: 1.0))
    assert bench.open() == 0
    arm = bench.set_up(probe(lever), SPREAD)
    for _ in range(2):
        bench.switch(arm, away=True)
        assert asked(ground, shows) is True
        bench.switch(arm, away=False)
        assert asked(ground, shows) is (name == "spreading")
    if end == "taken down":
        bench.take_down(arm)
        bench.close()
    elif end == "kept":
        bench.keep(arm)
        assert asked(ground, shows) is True
        bench.close()
    else:  # nobody closes it; the next bench finds the journal
        bench.switch(arm, away=end == "killed while away")
        following = ProofBench(ground, SimulatedLoad(lambda _order: 1.0))
        assert following.open() >= 1 or end == "killed while back"
        following.close()
        assert following.left_behind == []
    assert bench.left_behind == []
    assert asked(ground, STATE) == before


def test_a_table_whose_statistics_stay_new_can_still_be_rebuilt(ground: Ground) -> None:
    before = asked(ground, STATE)
    with proving(ground, SimulatedLoad(lambda _order: 1.0)) as bench:
        statistics, rebuild = SQL_LEVERS["statistics"][0], SQL_LEVERS["rebuild"][0]
        bench.keep(bench.set_up(probe(statistics), ORDER))
        with pytest.raises(NotTriedError, match="new already"):
            bench.set_up(probe(statistics), ORDER)
        arm = bench.set_up(probe(rebuild), ORDER)
        bench.switch(arm, away=True)
        bench.take_down(arm)
        bench.keep(bench.set_up(probe(rebuild), ORDER))
    assert bench.left_behind == []
    assert asked(ground, STATE) == before


def test_a_table_that_others_depend_on_is_not_replaced(ground: Ground) -> None:
    with proving(ground, SimulatedLoad(lambda _order: 1.0)) as bench:
        with pytest.raises(NotTriedError, match="other tables refer to it"):
            bench.set_up(probe(rebuild_lever("public", "counter")), ORDER)
        with pytest.raises(NotTriedError, match="does not exist"):
            bench.set_up(probe(rebuild_lever("public", "nothing")), ORDER)
        with pytest.raises(NotTriedError, match="enforces"):
            bench.set_up(probe(absent_index_lever("public", "counter_pkey")), ORDER)


def test_rows_are_spread_by_client_in_the_script_alone(ground: Ground) -> None:
    with proving(ground, SimulatedLoad(lambda _order: 1.0)) as bench:
        arm = bench.set_up(probe(spreading), SPREAD)
        assert bench.order(SPREAD, arm) == SPREAD
        bench.switch(arm, away=True)
        text = bench.order(SPREAD, arm).scripts[0].text
        assert text == "update counter set n = n + 1 where id = (1::bigint + (:client_id + 1) * 2);"
        keys = asked(ground, "select array_agg(id order by id) from counter where said = 'one'")
        assert keys == [1, 3, 5, 7]


def test_a_schema_of_that_name_that_is_not_ours_is_left_alone(ground: Ground) -> None:
    asked(ground, "create schema pgwatch_wed_proof")
    with (
        pytest.raises(CollectError, match="not ours"),
        proving(ground, SimulatedLoad(lambda _o: 1.0)),
    ):
        pass
    assert (
        asked(ground, "select count(*) from pg_namespace where nspname = 'pgwatch_wed_proof'") == 1
    )


def test_an_undo_that_fails_is_kept_and_told(ground: Ground) -> None:
    bench = ProofBench(ground, SimulatedLoad(lambda _order: 1.0))
    bench.open()
    arm = bench.set_up(probe(SQL_LEVERS["index"][0]), ORDER)
    bench.switch(arm, away=True)
    asked(ground, "drop index pgwatch_wed_proof_0")
    bench.close()
    assert "could not be undone" in bench.left_behind[0]
    assert asked(ground, f"select count(*) from {undo_journal.SCHEMA}.undo") == 1


def test_settings_of_the_server_are_changed_and_put_back(
    ground: Ground, server: EmbeddedServer
) -> None:
    load = lambda order: block(order, 1.0, wal_bytes=400 * 1024**2)  # noqa: E731 - a runner
    before = dict(server.settings)
    with proving(ground, load, server) as bench:
        arm = bench.set_up(probe(checkpoints), ORDER)
        # WAL triggers a checkpoint every 0.08 s, so the clock has its shortest cycle; a block has two of them
        assert (arm.lever.checkpoint_every_s, arm.lever.least_block_s) == (2, 4)
        bench.switch(arm, away=True)
        assert asked(ground, "select pg_size_bytes(current_setting('max_wal_size')) > 1e9") is True
        bench.switch(arm, away=False)
        assert asked(ground, "show max_wal_size") == "64MB"
        with pytest.raises(NotTriedError, match="fits into shared_buffers"):
            bench.set_up(probe(cache), ORDER)
        restarting = ProbeLever(server_settings={"shared_buffers": "16MB"}, needs_restart=True)
        arm = bench.set_up(probe(lambda _bench, _order: restarting), ORDER)
        bench.keep(arm)
        assert asked(ground, "show shared_buffers") == "16MB"
    assert asked(ground, "show shared_buffers") == "128MB"
    assert server.settings == before


def test_settings_of_sessions_need_no_server(ground: Ground) -> None:
    bench = ProofBench(ground, SimulatedLoad(lambda _order: 1.0))
    arm = bench.set_up(probe(work_mem), ORDER)
    bench.switch(arm, away=True)
    assert bench.order(ORDER, arm).settings == {"work_mem": "65536kB"}
    arm = bench.set_up(probe(no_flush), ORDER)
    assert bench.order(ORDER, arm).settings == {"work_mem": "65536kB"}
    bench.switch(arm, away=True)
    assert bench.order(ORDER, arm).settings["synchronous_commit"] == "off"
    with pytest.raises(NotTriedError, match="off already"):
        bench.set_up(probe(no_flush), ORDER)


def test_nothing_is_taken_away_on_a_server_that_is_neither_ours_nor_a_copy(ground: Ground) -> None:
    other = replace(ground, is_embedded=False)
    load = SimulatedLoad(lambda _order: 1.0)
    with (
        pytest.raises(UsageError, match="only on the embedded server or on a copy"),
        proving(other, load),
    ):
        pass
    with (
        pytest.raises(UsageError, match="the copy is the target itself"),
        proving(other, load, target=ground.conninfo),
    ):
        pass
    assert (
        asked(ground, "select count(*) from pg_namespace where nspname = 'pgwatch_wed_proof'") == 0
    )


def test_a_copy_is_proven_on_while_nobody_else_does(ground: Ground, server: EmbeddedServer) -> None:
    asked(ground, "create database production")
    try:
        target = make_conninfo(server.dsn(), dbname="production")
        other = replace(ground, is_embedded=False)
        load = SimulatedLoad(lambda _order: 1.0)
        with proving(other, load, target=target) as bench:
            with pytest.raises(NotTriedError, match="only the embedded server is configured"):
                bench.set_up(probe(checkpoints), ORDER)
            with pytest.raises(CollectError, match="another"), proving(other, load, target=target):
                pass
    finally:
        asked(ground, "drop database production")
