"""On real servers: a needless index is found by its work, and a plan that changes is named."""

import psycopg

from pgwatch_wed.load.compare.against import AgainstGrounds
from pgwatch_wed.load.compare.against_course import compare_against
from pgwatch_wed.load.compare.plan_shapes import plan_shapes
from pgwatch_wed.load.ground.embedded_ground import EmbeddedGround, embedded_ground
from pgwatch_wed.load.load_model import Ground, LoadScript, Order, Scenario
from pgwatch_wed.load.stress_report import ComparedAs
from tests.load.grounds import own_ground

__all__ = ["own_ground"]

UPDATE = LoadScript(
    name="transfer",
    text="\\set id random(1, 2000)\nupdate accounts set balance = balance + :id where id = :id;",
)
READ = LoadScript(
    name="read",
    text="\\set id random(1, 2000)\nselect owner::text from accounts where id = :id;\nselect ':';",
)
SCENARIO = Scenario(
    name="accounts",
    title="Transfers",
    prepare=(
        "drop table if exists accounts",
        "create table accounts (id int primary key, owner int, balance bigint) with (fillfactor = 50)",
        "insert into accounts select g, g % 100, g from generate_series(1, 2000) g",
        "vacuum (analyze) accounts",
    ),
    scripts=(UPDATE, READ),
    clients=2,
    is_writing=True,
)
# one script: the mix of several is a noise of its own in blocks this short
ORDER = Order(scripts=(UPDATE,), clients=2, rate=200, seconds=0.7, warmup_s=0.1)


def prepare(ground: Ground, scenario: Scenario) -> None:
    with psycopg.connect(ground.conninfo, autocommit=True) as connection:
        for statement in scenario.prepare:
            connection.execute(statement.encode())


def test_a_needless_index_is_found_by_its_work_alone(own_ground: EmbeddedGround) -> None:
    with embedded_ground() as other:

        def prepare_one_with_an_index(ground: Ground, scenario: Scenario) -> None:
            prepare(ground, scenario)
            if ground is own_ground.ground:
                with psycopg.connect(ground.conninfo, autocommit=True) as connection:
                    connection.execute("create index on accounts (balance)")

        grounds = AgainstGrounds(base=other.ground, current=own_ground.ground, label="without")
        found = compare_against(grounds, [(SCENARIO, ORDER)], prepare_one_with_an_index, pairs=5)
    results = {m.metric.removesuffix(" per transaction"): m for m in found.metrics}
    assert results["blocks touched"].result is ComparedAs.REGRESSION
    assert results["WAL records"].result is ComparedAs.REGRESSION
    assert results["rows changed"].result is ComparedAs.SAME
    assert results["temporary files"].result is ComparedAs.SAME
    assert results["p50"].result is ComparedAs.UNKNOWN  # five pairs
    assert not [note for note in found.notes if "planned" in note]


def test_the_shape_of_plans_names_what_is_used(own_ground: EmbeddedGround) -> None:
    prepare(own_ground.ground, SCENARIO)
    broken = LoadScript(name="broken", text="select * from nowhere; select 'unfinished")
    shapes = plan_shapes(own_ground.ground, (*SCENARIO.scripts, broken))
    assert shapes == {
        "transfer, statement 1": "Update accounts > Index Scan accounts_pkey",
        "read, statement 1": "Index Scan accounts_pkey",
        "read, statement 2": "Result",
    }
    without = {"enable_indexscan": "off", "enable_bitmapscan": "off"}
    forced = plan_shapes(own_ground.ground, (READ,), without)
    assert forced["read, statement 1"] == "Seq Scan accounts"
