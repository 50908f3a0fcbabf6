"""Waits from pg_wait_sampling's profile: pure, and on a server that has it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from pgwatch_wed.load.engine.block_runner import runner
from pgwatch_wed.load.load_model import Block, Ground, LoadScript, Order, QueryProtocol
from pgwatch_wed.load.sampling.active_samples import (
    ActiveSamples,
    ProfiledWait,
    WaitName,
    WaitProfile,
)
from pgwatch_wed.load.sampling.cause_ranking import ranked_causes, samples_of
from pgwatch_wed.load.sampling.load_causes import LoadCauseKind as Kind
from pgwatch_wed.load.sampling.profiled_samples import profiled
from pgwatch_wed.load.sampling.sampled_db_time import sampled_db_time
from pgwatch_wed.load.sampling.session_watch import SessionWatch
from pgwatch_wed.load.sampling.wait_profile import difference
from tests import servers
from tests.load.test_load_sampling import block, process, samples, waiter

EXTENSION = "pg-wait-sampling"
PRELOADED = {"shared_preload_libraries": "pg_stat_statements,pg_wait_sampling"}
SYNC, READ, LOCK = (
    WaitName(*name)
    for name in (("IO", "WalSync"), ("IO", "DataFileRead"), ("Lock", "transactionid"))
)


def seen(counts: Mapping[tuple[int, WaitName], int]) -> ActiveSamples:
    """Return samples of a flush, a session that waits for it, and one that computes; and a profile."""
    look = [
        process(1, "IO:WalSync", query="commit", query_id=1),
        waiter(2, 1, query_id=2),
        process(3, query="select n from t", query_id=3),
    ]
    profile = WaitProfile({ProfiledWait(*key): count for key, count in counts.items()})
    return replace(samples(*[look] * 30), profile=profile)


def shares(found: ActiveSamples) -> dict[str, float]:
    return {s.wait: round(s.share, 3) for s in sampled_db_time([block(found)]).symptoms}


def test_the_profile_divides_the_time_of_waits_and_leaves_computing_as_it_was_sampled() -> None:
    found = seen({(1, SYNC): 600, (2, LOCK): 200, (2, READ): 200, (99, READ): 5000})
    assert shares(found) == {
        "IO:WalSync": 0.4,
        "CPU": 0.333,
        "Lock:transactionid": 0.133,
        "IO:DataFileRead": 0.133,
    }
    assert sampled_db_time([block(found)]).source == (
        "pg_wait_sampling_profile in 1 block of 1, pg_stat_activity"
    )
    ranking = ranked_causes([block(found)])
    assert any("pg_wait_sampling's profile (6,000 samples)" in d for d in ranking.doubts)
    causes = {c.kind: round(c.share, 3) for c in ranking.causes}
    assert causes[Kind.FLUSH] == pytest.approx(0.533)  # the lock wait is charged as in our samples
    assert causes[Kind.IO_READ] == pytest.approx(0.133)


def test_a_profile_that_counts_computing_divides_all_time() -> None:
    found = seen({(1, SYNC): 100, (3, WaitName("", "")): 300})
    assert shares(found) == {"CPU": 0.5, "Lock:transactionid": 0.333, "IO:WalSync": 0.167}


def test_waits_that_the_profile_counts_without_a_statement_stay_as_sampled() -> None:
    # the flush of a commit comes after the end of its statement
    found = seen({(1, SYNC): 10, (0, SYNC): 900, (2, LOCK): 300, (2, READ): 100})
    assert shares(found) == {
        "CPU": 0.333,
        "IO:WalSync": 0.333,
        "Lock:transactionid": 0.25,
        "IO:DataFileRead": 0.083,
    }


def test_idle_waits_of_the_profile_are_no_db_time() -> None:
    found = seen({(1, SYNC): 100, (2, LOCK): 300, (1, WaitName("Client", "ClientRead")): 9000})
    assert shares(found) == {"Lock:transactionid": 0.5, "CPU": 0.333, "IO:WalSync": 0.167}


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        ({(1, SYNC): 3}, "fewer than 50 samples"),
        ({(2, LOCK): 60, (0, LOCK): 800}, "most waits without their statement"),
        ({(1, WaitName("IPC", "ExecuteGather")): 500}, "parallel workers"),
    ],
)
def test_a_profile_that_cannot_be_used_is_said_and_our_samples_stay(
    counts: Mapping[tuple[int, WaitName], int], why: str
) -> None:
    found = seen(counts)
    assert shares(found) == {"CPU": 0.333, "IO:WalSync": 0.333, "Lock:transactionid": 0.333}
    assert sampled_db_time([block(found)]).source == "pg_stat_activity"
    assert found.profile is not None
    more = WaitProfile({key: count + 1 for key, count in found.profile.counts.items()})
    both = ranked_causes([block(found), block(replace(found, profile=more))])  # told once
    (doubt,) = [d for d in both.doubts if "pg_wait_sampling" in d]
    assert why in doubt


def test_a_profile_that_somebody_reset_is_not_used() -> None:
    key = ProfiledWait(1, SYNC)
    assert difference({key: 5}, {key: 7}).counts == {key: 2}
    assert "was reset" in difference({key: 5}, {key: 4}).missing
    assert "was reset" in difference({key: 5}, {}).missing
    assert profiled(replace(seen({}), profile=None)).profile is None


# A server that has it


def having_it() -> servers.ServerSpec:
    containers = [s for s in servers.chosen() if EXTENSION in s.extensions]
    installed = [
        s
        for s in servers.system()
        if Path(f"/usr/share/postgresql/{s.major}/extension/pg_wait_sampling.control").exists()
    ]
    if not (found := [*containers, *installed]):
        pytest.skip("no PostgreSQL server here has pg_wait_sampling")
    return found[0]


@pytest.fixture(scope="module")
def server() -> Iterator[servers.Server]:
    found = servers.start(having_it(), PRELOADED)
    try:
        yield found
    finally:
        found.stop()


@contextmanager
def ground_on(server: servers.Server) -> Iterator[Ground]:
    with server.database() as dsn:
        name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("create extension pg_wait_sampling")
            connection.execute("create table t as select 1 as id, 0 as n")
            version = connection.info.server_version
        yield Ground(
            conninfo=dsn, shown="it", database=str(name), server_version=version, is_embedded=False
        )


def run(ground: Ground, protocol: QueryProtocol = QueryProtocol.SIMPLE) -> Block:
    """Have four clients wait for one row, the holder of which sleeps."""
    text = "begin;\nupdate t set n = n + 1;\nselect pg_sleep(0.05);\nend;\n"
    order = Order(
        scripts=(LoadScript(name="it", text=text),),
        clients=4,
        rate=None,
        seconds=2.0,
        warmup_s=0.5,
        protocol=protocol,
    )
    return runner(ground, watch=SessionWatch(ground))(order)


def test_the_profile_of_a_server_is_read_around_a_block_and_never_reset(
    server: servers.Server,
) -> None:
    with ground_on(server) as ground:
        first = run(ground)
        (used,) = samples_of([first])
        assert used.profile is not None
        assert used.profile.missing == ""
        waits = {key.wait.label for key in used.profile.counts}
        assert {"Lock:transactionid", "Timeout:PgSleep"} <= waits
        assert sum(used.profile.counts.values()) > 5 * used.looks
        time = sampled_db_time([first])
        assert "pg_wait_sampling_profile" in time.source
        prepared = run(
            ground, QueryProtocol.PREPARED
        )  # of which older versions of it do not count the statement
        (other,) = samples_of([prepared])
        assert other.profile is not None
        locked_s = sum(s.seconds for f, s in other.flows.items() if f.wait == LOCK)
        assert locked_s > other.db_seconds / 3  # three of four clients wait for the row
        assert {"Lock:transactionid", "Timeout:PgSleep"} <= {s.wait for s in time.symptoms[:4]}
        with psycopg.connect(ground.conninfo) as connection:
            kept = connection.execute("select sum(count) from pg_wait_sampling_profile").fetchone()
        assert kept is not None
        assert kept[0] >= sum(used.profile.counts.values())


def test_a_profile_without_statements_is_not_used_and_it_says_why(server: servers.Server) -> None:
    off = "alter system set pg_wait_sampling.profile_queries = off"
    with ground_on(server) as ground:
        change(ground, off)
        try:
            measured = run(ground)
        finally:
            change(ground, "alter system reset pg_wait_sampling.profile_queries")
    assert sampled_db_time([measured]).source == "pg_stat_activity"
    assert any("profile_queries is off" in d for d in ranked_causes([measured]).doubts)


def change(ground: Ground, statement: str) -> None:
    with psycopg.connect(ground.conninfo, autocommit=True) as connection:
        connection.execute(statement.encode())
        connection.execute("select pg_reload_conf()")
