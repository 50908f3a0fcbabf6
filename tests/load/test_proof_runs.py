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
from pgwatch_wed.load.proof.proof_pairs import run_pairs
from pgwatch_wed.load.sampling.load_causes import LoadCause, LoadCauseKind
from pgwatch_wed.progress import silent
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
LIMITS = ProofLimits(block_s=0.7, warmup_s=0.1, capacity_blocks=1)

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
    assert step.result is Proven.PROVEN
    assert step.remains
    assert step.ratio is not None
    assert step.ratio < 0.5
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
        seconds=0.5,
        warmup_s=0.1,
        reconnects=True,
    )
    probe = next(p for p in probes((STORM,), None))
    with proving(ground, runner(ground), own_ground.server) as bench:
        arm = bench.set_up(probe, churn)
        pairs = run_pairs(bench, arm, churn, 2, silent)
        assert sum(p.after.transactions for p in pairs) > sum(p.before.transactions for p in pairs)
        assert bench.order(churn, arm).protocol == pairs[0].before.order.protocol
        through = pairs[0].after.order.conninfo
        assert through is not None
        assert pairs[0].before.order.conninfo is None
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(through)
