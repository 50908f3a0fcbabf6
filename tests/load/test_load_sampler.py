"""Why a load was slow, on a real server: faults are planted, and have to be named."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import pytest

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts.delta import delta
from pgwatch_wed.load.engine.block_runner import runner
from pgwatch_wed.load.ground.embedded_ground import EmbeddedGround
from pgwatch_wed.load.load_model import Block, LoadScript, Order
from pgwatch_wed.load.sampling.active_samples import ActiveSamples
from pgwatch_wed.load.sampling.cause_ranking import CauseRanking, ranked_causes
from pgwatch_wed.load.sampling.load_causes import LoadCause
from pgwatch_wed.load.sampling.load_causes import LoadCauseKind as Kind
from pgwatch_wed.load.sampling.load_sampler import load_sampling
from pgwatch_wed.load.sampling.sampled_db_time import sampled_db_time
from pgwatch_wed.load.sampling.session_watch import SessionWatch
from pgwatch_wed.target.collect import collect
from tests.load.grounds import own_ground

__all__ = ["own_ground"]

TABLES = """
create extension if not exists pg_stat_statements;
create table branch (id int primary key, n int not null);
insert into branch select g, 0 from generate_series(1, 10) g;
create table made (id bigserial, n int);
create table wide as select g as id, g % 5000 as k, repeat('x', 50) as filler from generate_series(1, 50000) g;
"""
BANK = "begin;\nupdate branch set n = n + 1 where id = 1;\ninsert into made (n) values (1);\nend;\n"
LOOKS = 15  # on a busy machine, they are far apart
MOST_BLOCKS = 6


@dataclass(frozen=True)
class Tried:
    blocks: list[Block]
    samples: ActiveSamples
    ranking: CauseRanking

    @property
    def causes(self) -> dict[Kind, LoadCause]:
        return {c.kind: c for c in reversed(self.ranking.causes)}


@pytest.fixture(scope="module")
def bank(own_ground: EmbeddedGround) -> EmbeddedGround:
    with psycopg.connect(own_ground.ground.conninfo, autocommit=True) as connection:
        connection.execute(TABLES)
        connection.execute("vacuum analyze")
    return own_ground


def tried(
    own: EmbeddedGround, text: str, clients: int = 6, seconds: float = 3.0, **more: object
) -> Tried:
    """Run a script, in as many blocks as it takes to see enough of it, and rank what held it up."""
    order = Order(
        scripts=(LoadScript(name="it", text=text),),
        clients=clients,
        rate=None,
        seconds=seconds,
        warmup_s=0.5,
        **more,  # type: ignore[arg-type]
    )
    before = read(own)
    blocks: list[Block] = []
    seen: list[ActiveSamples] = []
    while sum(s.looks for s in seen) < LOOKS and len(seen) < MOST_BLOCKS:
        block = runner(own.ground, watch=SessionWatch(own.ground))(order)
        assert isinstance(block.samples, ActiveSamples)
        assert block.samples.failure == ""
        blocks.append(block)
        seen.append(block.samples)
    return Tried(blocks, seen[-1], ranked_causes(blocks, delta(before, read(own))))


def read(own: EmbeddedGround) -> Snapshot:
    with psycopg.connect(own.ground.conninfo, autocommit=True) as connection:
        connection.execute("select pg_stat_force_next_flush()")
    return collect(own.ground.conninfo)


def test_lock_waits_are_charged_to_the_flush_of_the_holders(bank: EmbeddedGround) -> None:
    found = tried(bank, BANK, clients=8)
    naive = sampled_db_time(found.blocks).symptoms
    assert sum(s.share for s in naive if s.wait in ("Lock:transactionid", "Lock:tuple")) > 0.5
    lock, flush = found.causes[Kind.ROW_LOCK], found.causes[Kind.FLUSH]
    assert flush.share > flush.direct
    unknown = found.causes.get(Kind.NOT_EXPLAINED)
    assert unknown is None or unknown.share < lock.share / 2
    did = lock.evidence["holders_did"]
    assert isinstance(did, dict)
    assert did[Kind.FLUSH] > 0  # how much depends on the disk and on who else uses the CPU
    # more than two clients, or nobody would wait; fewer than 8 as far as pgbench waits for a CPU
    assert 3 < found.samples.busy_sessions <= 8
    assert found.samples.cost.is_server_measured
    assert found.samples.cost.client < 0.05
    assert found.samples.cost.server is not None
    assert found.samples.cost.server < 0.05


@contextmanager
def lock_held(own: EmbeddedGround) -> Iterator[None]:
    """Keep a row of branch locked by a session that does nothing."""
    with psycopg.connect(own.ground.conninfo, application_name="forgotten") as holder:
        holder.execute("update branch set n = 0 where id = 3")
        yield


def test_a_forgotten_transaction_is_the_cause_not_those_who_wait(bank: EmbeddedGround) -> None:
    with lock_held(bank), load_sampling(bank.ground) as sampler:
        waiting = threading.Thread(target=wait_for_lock, args=(bank,))
        waiting.start()
        time.sleep(3.0)
    waiting.join()
    seen = sampler.samples()
    flows = {flow: spent for flow, spent in seen.flows.items() if flow.is_long}
    assert sum(s.seconds for s in flows.values()) > 0.8
    assert {(f.wait.label, f.held_wait.event) for f in flows} == {
        ("Lock:transactionid", "idle in transaction")
    }


def wait_for_lock(own: EmbeddedGround) -> None:
    with psycopg.connect(own.ground.conninfo) as connection:
        connection.execute("update branch set n = 0 where id = 3")


def test_a_missing_index_is_suspected_first(bank: EmbeddedGround) -> None:
    found = tried(bank, "\\set k random(1, 4999)\nselect * from wide where k = :k;\n")
    first = found.ranking.causes[0]
    assert (first.kind, first.concerns) == (Kind.MISSING_INDEX, "public.wide")
    assert first.queries[0].query_id is not None
    assert [c.kind for c in found.ranking.causes[:2]] == [Kind.MISSING_INDEX, Kind.QUERY_CPU]


def test_temporary_files_are_suspected_where_they_are_written(bank: EmbeddedGround) -> None:
    sort = "select max(r) from (select row_number() over (order by filler, id) r from wide) x;\n"
    found = tried(bank, sort, clients=3, settings={"work_mem": "64kB"})
    kinds = [c.kind for c in found.ranking.causes]
    assert kinds.count(Kind.TEMP_FILES) == 1
    files = found.causes[Kind.TEMP_FILES]
    assert files.concerns == "work_mem"
    assert files.share > 0.5
    assert int(str(files.evidence["temp_bytes"])) > 0
    # which waits come first depends on the disk, but the statement's own work comes after its cause
    assert Kind.QUERY_CPU not in kinds[: kinds.index(Kind.TEMP_FILES)]


def test_a_connection_for_each_transaction_is_named(bank: EmbeddedGround) -> None:
    found = tried(bank, "select 1;\n", reconnects=True)
    first = found.ranking.causes[0]
    assert first.kind is Kind.CONNECTIONS
    assert first.share > 0.3
    assert int(str(first.evidence["sessions"])) > 20
