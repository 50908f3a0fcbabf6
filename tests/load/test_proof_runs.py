"""A proof with pgbench, on a server: short blocks, so work is what is asserted."""

import psycopg

from pgwatch_wed.findings import Finding, Grade, Object, Remedy, Severity
from pgwatch_wed.load.engine.block_runner import runner
from pgwatch_wed.load.ground.embedded_ground import EmbeddedGround
from pgwatch_wed.load.load_model import LoadScript, Order, Proven
from pgwatch_wed.load.proof.bottleneck_chain import Diagnosis, ProofLimits, prove
from pgwatch_wed.load.proof.proof_bench import proving
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
