"""A proof with pgbench, on a server: short blocks, so work is what is asserted."""

import shutil

import psycopg
import pytest

from pgwatch_wed.findings import Finding, Grade, Object, Remedy, Severity
from pgwatch_wed.load.engine.block_runner import runner
from pgwatch_wed.load.ground.embedded_ground import EmbeddedGround
from pgwatch_wed.load.load_model import LoadScript, Order, Proven
from pgwatch_wed.load.proof.bottleneck_chain import Diagnosis, ProofLimits, prove
from pgwatch_wed.load.proof.probe_choice import probes
from pgwatch_wed.load.proof.proof_bench import proving
from pgwatch_wed.load.sampling.load_causes import LoadCause, LoadCauseKind
from pgwatch_wed.load.users.own_pooler import DEFAULT_POOL
from tests.load.grounds import own_ground
from tests.load.proof_blocks import reported

__all__ = ["own_ground"]

ORDER = Order(
    scripts=(
        LoadScript(
            name="lookup",
            text="\\set x random(1, 50000)\nselect count(*) from planted where x = :x;",
        ),
    ),
    clients=2,
    rate=80.0,
)
# two pairs more than are needed: a busy machine may spoil some
LIMITS = ProofLimits(block_s=0.7, warmup_s=0.1, capacity_blocks=1, pairs=8)
SESSIONS = "select sessions from pg_stat_database where datname = current_database()"

STORM = LoadCause(
    kind=LoadCauseKind.CONNECTIONS,
    share=0.5,
    direct=0.5,
    interval=None,
    queries=(),
    text="each transaction connects anew",
    grade=Grade.B,
)


def test_a_missing_index_is_proven_by_time_and_by_work_and_put_back(
    own_ground: EmbeddedGround,
) -> None:
    ground = own_ground.ground
    with psycopg.connect(ground.conninfo, autocommit=True) as connection:
        connection.execute("create table planted (x int, filler text)")
        connection.execute(
            "insert into planted select g, repeat('x', 100) from generate_series(1, 50000) g"
        )
        connection.execute("vacuum analyze planted")
    finding = Finding(
        object=Object("table", "planted", ground.database, "public"),
        severity=Severity.WARNING,
        grade=Grade.A,
        title="An index on planted (x) is missing",
        detail="",
        remedy=(Remedy("CREATE INDEX CONCURRENTLY planted_x ON public.planted (x);"),),
        rule="index-missing",
    )
    diagnosis = Diagnosis(causes=(), report=reported(finding))
    with proving(ground, runner(ground), own_ground.server) as bench:
        found = prove(bench, ORDER, diagnosis, lambda _order: Diagnosis(causes=()), LIMITS)
    (step,) = found.steps
    # what the times show is up to the machine; without one that computes beside, they prove it
    assert step.result in {Proven.PROVEN, Proven.NOT_PROVEN}, step.reason
    assert step.remains is (step.result is Proven.PROVEN)
    assert step.remedy == finding.remedy
    work = {w.name: w for w in step.work}
    assert work["blocks"].shows is Proven.PROVEN
    assert work["blocks"].ratio < 0.05
    assert found.left_behind == ()
    with psycopg.connect(ground.conninfo) as connection:
        row = connection.execute(
            "select count(*) from pg_index where indrelid = 'planted'::regclass"
        )
        assert row.fetchone() == (0,)


@pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="pgbouncer is not installed")
def test_connections_of_each_transaction_are_taken_away_by_a_pooler_that_ends_with_its_trial(
    own_ground: EmbeddedGround,
) -> None:
    ground = own_ground.ground
    churn = Order(
        scripts=(LoadScript(name="one", text="select 1;"),),
        clients=2,
        rate=None,
        seconds=1.0,
        warmup_s=0.1,
        reconnects=True,
    )
    probe = next(p for p in probes((STORM,), None))
    run = runner(ground)

    def sessions() -> int:
        with psycopg.connect(ground.conninfo) as connection:
            row = connection.execute(SESSIONS).fetchone()
            return int(row[0]) if row else 0

    with proving(ground, run, own_ground.server) as bench:
        arm = bench.set_up(probe, churn)
        bench.switch(arm, away=False)
        before = sessions()
        block = bench.run(churn, arm)
        each = sessions() - before
        assert block.order.conninfo is None
        assert each >= block.transactions
        bench.switch(arm, away=True)
        before = sessions()
        pooled = bench.run(churn, arm)
        assert pooled.order.protocol == block.order.protocol
        assert sessions() - before <= DEFAULT_POOL
        assert pooled.transactions > 0
        through = pooled.order.conninfo
        assert through is not None
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(through)
