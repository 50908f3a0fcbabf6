"""Own scripts: read with their weights, each tried once, and what is wrong is one line."""

import json
from pathlib import Path

import pytest

from pgwatch_wed.errors import UsageError
from pgwatch_wed.load.engine.block_runner import runner
from pgwatch_wed.load.ground.embedded_ground import EmbeddedGround
from pgwatch_wed.load.ground.ground_connection import connected
from pgwatch_wed.load.load_model import Block, LoadScript, Order, QueryProtocol, Scenario
from pgwatch_wed.load.scenarios.background_load import OVER, beside
from pgwatch_wed.load.scenarios.disk_sync import disk_sync
from pgwatch_wed.load.scenarios.first_try import try_scripts
from pgwatch_wed.load.scenarios.known_scenarios import names, scenario
from pgwatch_wed.load.scenarios.own_scripts import from_directory
from tests.load.grounds import own_ground

__all__ = ["own_ground"]


def written(folder: Path, weights: object = None, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.sql").write_text(text)
    if weights is not None:
        (folder / "weights.json").write_text(json.dumps(weights))
    return folder


def refused(folder: Path) -> str:
    with pytest.raises(UsageError) as caught:
        from_directory(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_scripts_weights_and_tables_are_read(tmp_path: Path) -> None:
    weights = {"a.sql": 3, "c.sql": 0}
    written(tmp_path, weights, a="select 1;", b="select 2;", c="select 3;")
    written(tmp_path, prepare="create table t (a text); insert into t values ('x;y');")
    found = from_directory(tmp_path).scenario
    assert [(s.name, s.weight) for s in found.scripts] == [("a.sql", 3), ("b.sql", 1)]
    assert found.prepare == ("create table t (a text)", "insert into t values ('x;y')")
    assert found.protocol is QueryProtocol.PREPARED


def test_fractions_become_whole_weights_of_the_same_ratio(tmp_path: Path) -> None:
    written(tmp_path, {"a.sql": 0.5, "b.sql": 1.5}, a="select 1;", b="select 2;")
    a, b = from_directory(tmp_path).scenario.scripts
    assert b.weight == pytest.approx(3 * a.weight, rel=1e-5)


@pytest.mark.parametrize(
    ("text", "is_simple"),
    [
        ("\\set id random(1, 5)\nselect * from t where a = :id and b::text = 'x';", False),
        ("select '12:30', a::int -- at :noon\nfrom t;", False),
        ("select 1 as id \\gset\nselect * from t where a = :id;", False),
        ("select :client_id;", False),
        ("\\set aid 1\nselect 'x:aid y';", True),
        ('select \'{"k":"v:name"}\'::jsonb;', True),
        ("do $$ begin perform a:x; end $$;", True),
    ],
)
def test_what_pgbench_would_misread_is_sent_in_the_simple_protocol(
    tmp_path: Path, text: str, is_simple: bool
) -> None:
    found = from_directory(written(tmp_path, a=text))
    assert (found.scenario.protocol is QueryProtocol.SIMPLE) == is_simple
    assert bool(found.notes) == is_simple


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    assert "could not be read" in refused(tmp_path / "none")
    assert "contains no scripts" in refused(tmp_path)
    assert "contains no SQL command" in refused(written(tmp_path, a="-- nothing\n\\set a 1\n;"))
    written(tmp_path, {"b.sql": 1}, a="select 1;")
    assert "'b.sql' does not exist" in refused(tmp_path)
    written(tmp_path, {"a.sql": -1})
    assert "must be a non-negative number" in refused(tmp_path)
    written(tmp_path, {"a.sql": 0})
    assert "all scripts the weight 0" in refused(tmp_path)
    written(tmp_path, {}, a="select (array[1, 2])[1:n] from t;")
    assert "a.sql, line 1: pgbench would take the :n of a slice" in refused(tmp_path)
    written(tmp_path, {}, a="select 1;", prepare="create create table t ();")
    assert "prepare.sql: syntax error" in refused(tmp_path)
    (tmp_path / "prepare.sql").unlink()
    (tmp_path / "a.sql").write_bytes(b"select '\xff';")
    assert "is not UTF-8" in refused(tmp_path)
    written(tmp_path, **{f"s{n}": "select 1;" for n in range(129)}, a="select 1;")
    assert "pgbench runs at most 128" in refused(tmp_path)


def test_a_script_that_fails_is_one_line_before_the_load(
    own_ground: EmbeddedGround, tmp_path: Path
) -> None:
    def tried(text: str, limit_s: float = 30) -> str:
        try:
            found = from_directory(written(tmp_path, good="select 1;", script=text)).scenario
            try_scripts(own_ground.ground, found, limit_s)
        except UsageError as error:
            return str(error)
        return ""

    assert tried("begin; select 2; end;") == ""
    assert 'script script.sql: ERROR: relation "none" does not exist' in tried(
        "select * from none;"
    )
    assert "the parameter $1 has no value" in tried("select $1;")
    assert "meta-command failed" in tried("\\set a 1 / 0\nselect :a;")
    assert "invalid command" in tried("\\nonsense\nselect 1;")
    assert "statement timeout" in tried("select pg_sleep(60);", limit_s=0.5)


def test_each_known_scenario_runs(own_ground: EmbeddedGround) -> None:
    with connected(own_ground.ground) as session:
        for name in names():
            found = scenario(name)
            if name != "connection-storm-pooled":
                for statement in found.prepare:
                    session.execute(statement.encode())
            try_scripts(own_ground.ground, found)


def test_a_background_runs_with_each_block_and_ends_with_it(own_ground: EmbeddedGround) -> None:
    found = Scenario(
        name="x",
        title="x",
        prepare=(),
        scripts=(LoadScript(name="a", text="select 1;"),),
        clients=1,
        is_writing=False,
        background=(LoadScript(name="b", text="select pg_sleep(0.05);"),),
    )
    heard: list[Block] = []
    run = beside(runner(own_ground.ground), own_ground.ground, found, heard.append)
    block = run(Order(scripts=found.scripts, clients=1, rate=50, seconds=1, warmup_s=0.2))
    assert block.transactions > 20
    (other,) = heard
    assert other.ended_early == OVER
    assert other.transactions > 5
    with connected(own_ground.ground) as session:
        query = "select count(*) from pg_stat_activity where query ~ 'pg_sleep' and pid <> pg_backend_pid()"
        assert session.execute(query).fetchone() == (0,)


def test_the_sync_rate_is_that_of_the_servers_disk(own_ground: EmbeddedGround) -> None:
    found = disk_sync(own_ground.ground, "fdatasync")
    assert found
    assert found.ms == pytest.approx(1000 / found.operations_per_s)
    assert 0 < found.ms < 10_000
    data = own_ground.ground.data_directory
    assert data
    assert not [p for p in data.parent.iterdir() if p.name.startswith("tmp")]
