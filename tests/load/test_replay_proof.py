"""Causes of production's statements, proven on the tables of its copy, and everything put back there, also after kill -9."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.embedded.server import EmbeddedServer
from pgwatch_wed.errors import CollectError, UsageError
from pgwatch_wed.facts import file
from pgwatch_wed.findings import Finding, Grade, Object, Remedy, Severity
from pgwatch_wed.load.course.stress_job import telling_leftovers
from pgwatch_wed.load.engine.block_runner import runner
from pgwatch_wed.load.ground.target_ground import target_ground
from pgwatch_wed.load.load_model import Order, Proven, QueryProtocol
from pgwatch_wed.load.proof import undo_journal
from pgwatch_wed.load.proof.bottleneck_chain import Diagnosis, ProofLimits, prove
from pgwatch_wed.load.proof.finding_scope import that_matter
from pgwatch_wed.load.proof.proof_bench import proving
from pgwatch_wed.load.proof.proof_leftovers import undone_leftovers
from pgwatch_wed.load.replay import mixing, replay_window
from pgwatch_wed.load.replay.replay_ground import ReplaySource, replay_ground
from pgwatch_wed.load.replay.replay_role import PREFIX
from pgwatch_wed.target import collect
from tests.load.proof_blocks import reported

FACTS = ("statements", "statements_info", "tables", "databases")
EVEN_IF = frozenset({"busy", "replicated"})
STATE = """
select jsonb_build_array(
    (select jsonb_agg(relname order by relname) from pg_class where relnamespace = 'public'::regnamespace),
    (select jsonb_build_array(reltuples, relpages, reloptions) from pg_class where relname = 'sale'),
    (select jsonb_agg(nspname order by nspname) from pg_namespace where nspname !~ '^pg_'),
    (select count(*) from pg_roles where rolname ~ '^pgwatch_wed')
)::text
"""


@dataclass(frozen=True)
class World:
    server: EmbeddedServer
    files: str
    owned: str

    @property
    def copy(self) -> str:
        return self.server.dsn("copy")

    @property
    def source(self) -> ReplaySource:
        return ReplaySource.of_option(self.files, None, None)


def asked(dsn: str, query: str) -> Any:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("window")
    with embedded.running({"fsync": "on", "autovacuum": "off"}) as server:
        asked(server.dsn(), "create database production")
        production = server.dsn("production")
        with psycopg.connect(production, autocommit=True) as connection:
            connection.execute("create extension pg_stat_statements")
            connection.execute(
                "create table sale as select g as id, g % 5000 as customer, repeat('x', 100) as said"
                " from generate_series(1, 50000) g"
            )
            connection.execute("vacuum analyze sale")
            _write(folder / "old", production)
            for n in range(20):
                connection.execute(f"select id from sale where customer = {n}".encode())
            _write(folder / "new", production)
        asked(server.dsn(), "create database copy template production")
        files = f"{folder / 'old'},{folder / 'new'}"
        source = ReplaySource.of_option(files, None, None)
        with (
            pytest.raises(UsageError, match="the server answers") as refused,
            replay_ground(source, server.dsn("copy"), "", EVEN_IF, watched_s=0),
        ):
            pass
        owned = str(refused.value.hint).rpartition(" ")[2].strip("'")
        yield World(server, files, owned)


def _write(path: Path, dsn: str) -> None:
    path.write_bytes(file.dumps(collect.collect(dsn, only=FACTS)))


def finding(rule: str, remedy: str = "", name: str = "sale") -> Finding:
    return Finding(
        object=Object("table", name, "copy", "public"),
        severity=Severity.WARNING,
        grade=Grade.A,
        title=f"{rule} of {name}",
        detail="",
        remedy=(Remedy(remedy),) if remedy else (),
        rule=rule,
    )


MISSING = finding("index-missing", "CREATE INDEX CONCURRENTLY ON public.sale (customer);")


def test_a_missing_index_is_proven_on_the_copys_own_table_and_is_gone_afterwards(
    world: World,
) -> None:
    before = asked(world.copy, STATE)
    with replay_ground(
        world.source, world.copy, world.owned, EVEN_IF, is_proving=True, watched_s=0
    ) as place:
        with (
            pytest.raises(CollectError, match="another verification or proof"),
            replay_ground(
                world.source, world.copy, world.owned, EVEN_IF, is_proving=True, watched_s=0
            ),
        ):
            pass
        scenario = place.mix.scenario(2)
        order = Order(
            scripts=scenario.scripts,
            clients=2,
            rate=60.0,
            protocol=QueryProtocol.SIMPLE,
            settings=scenario.settings,
        )
        limits = ProofLimits(block_s=0.7, warmup_s=0.1, capacity_blocks=1, pairs=8)
        with proving(place.ground, runner(place.ground), is_reserved=True) as bench:
            found = prove(
                bench,
                order,
                Diagnosis(causes=(), report=reported(MISSING)),
                lambda _order: Diagnosis(causes=()),
                limits,
            )
    (step,) = found.steps
    assert step.result in {Proven.PROVEN, Proven.NOT_PROVEN}, step.reason
    assert step.remains is (step.result is Proven.PROVEN)
    work = {w.name: w for w in step.work}
    assert work["blocks"].shows is Proven.PROVEN
    assert work["blocks"].ratio < 0.2
    assert (found.left_behind, place.left) == ((), [])
    assert asked(world.copy, STATE) == before


RUN = """
import sys, time
from pgwatch_wed.load.load_model import Order
from pgwatch_wed.load.proof.index_levers import index_lever
from pgwatch_wed.load.proof.load_probes import LoadProbe, LoadProbeKind
from pgwatch_wed.load.proof.proof_bench import proving
from pgwatch_wed.load.replay.replay_ground import ReplaySource, replay_ground
source = ReplaySource.of_option(sys.argv[1], None, None)
lever = index_lever(("create index pgwatch_wed_proof_0 on public.sale (customer)",))
probe = LoadProbe(kind=LoadProbeKind.INDEX, about="", tried="", cause="", lever=lever)
everything = frozenset({"busy", "replicated"})
with replay_ground(source, sys.argv[2], sys.argv[3], everything, is_proving=True, watched_s=0.0) as place:
    with proving(place.ground, lambda order: None, is_reserved=True) as bench:
        arm = bench.set_up(probe, Order(scripts=place.mix.scripts, clients=1, rate=None))
        bench.switch(arm, away=True)
        print("away", flush=True)
        time.sleep(60)
"""


@contextmanager
def proof_at_work(world: World) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", RUN, world.files, world.copy, world.owned],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    ) as run:
        assert run.stdout
        try:
            assert run.stdout.readline() == "away\n"
            yield run
        finally:
            run.kill()


def test_after_kill_9_the_next_load_test_on_the_copy_puts_all_back(world: World) -> None:
    before = asked(world.copy, STATE)
    there = "select to_regclass('public.pgwatch_wed_proof_0') is not null"
    with proof_at_work(world) as run:
        assert undone_leftovers(world.copy) == (
            "a proof is at work in this database; what it has changed was left alone",
        )
        run.send_signal(signal.SIGKILL)
        run.wait(20)
    locks = "select count(*) from pg_locks where locktype = 'advisory'"
    until = time.monotonic() + 20
    while asked(world.copy, locks) and time.monotonic() < until:
        time.sleep(0.1)
    assert asked(world.copy, there) is True
    with target_ground(world.copy, world.owned, EVEN_IF, watched_s=0.0) as made:  # no proof
        assert "1 change of a proof that was ended by force: undone" in made.ground.notes
        assert asked(world.copy, there) is False
    with replay_ground(world.source, world.copy, world.owned, EVEN_IF, watched_s=0):
        pass  # a replay drops the role of the one before
    assert asked(world.copy, STATE) == before


def test_a_journal_that_others_wrote_or_that_comes_from_a_dump_is_not_run(world: World) -> None:
    asked(world.server.dsn(), "create database elsewhere")
    place = world.server.dsn("elsewhere")
    with psycopg.connect(place, autocommit=True) as connection:
        undo_journal.begin(connection)
        undo_journal.change(connection, (), ("create table harm ()",))
        connection.execute("create role stranger")
        connection.execute(f"alter table {undo_journal.SCHEMA}.undo owner to stranger")
        (note,) = undone_leftovers(place)
        assert "belongs to another role" in note
        connection.execute(f"alter table {undo_journal.SCHEMA}.undo owner to current_user")
        comment = f"comment on schema {undo_journal.SCHEMA} is '{undo_journal.MARK} (oid=%s)'"
        connection.execute((comment % 1).encode())
        (note,) = undone_leftovers(place)
        assert "comes from another database" in note
        with pytest.raises(CollectError, match="not ours"):
            undo_journal.begin(connection)
        assert connection.execute("select to_regclass('harm')").fetchone() == (None,)
        connection.execute("drop role stranger")


def _window(world: World) -> replay_window.ReplayWindow:
    old, new = world.files.split(",")
    return replay_window.of_files(Path(old), Path(new))


def test_a_role_is_dropped_after_its_session_broke_and_told_if_it_cannot_be(world: World) -> None:
    left: list[str] = []
    roles = f"select count(*) from pg_roles where rolname ~ '^{PREFIX}'"
    end = "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = 'copy' and pid <> pg_backend_pid()"
    with mixing.mixed(_window(world), world.copy, left=left):
        assert asked(world.copy, roles) == 1
        assert asked(world.copy, end) >= 1
    assert (asked(world.copy, roles), left) == (0, [])
    with mixing.mixed(_window(world), world.copy, left=left) as mix:
        name = mix.settings["role"]
        asked(world.server.dsn(), f"create table kept (); alter table kept owner to {name}")
    (told,) = left
    assert f"the role {name} was not dropped" in told
    assert "the next replay on this copy drops it" in told
    asked(world.server.dsn(), "drop table kept")
    with mixing.mixed(_window(world), world.copy):
        assert asked(world.copy, roles) == 1
    assert asked(world.copy, roles) == 0


@dataclass
class _Place:
    left: list[str] = field(default_factory=list)


def test_what_a_run_that_fails_leaves_behind_is_told() -> None:
    @contextmanager
    def opening() -> Iterator[_Place]:
        place = _Place()
        try:
            yield place
        finally:
            place.left.append("schema x was not dropped")

    told: list[str] = []
    with (
        pytest.raises(CollectError),
        telling_leftovers(opening(), told.append),
    ):
        raise CollectError("the disk is full")
    assert told == ["schema x was not dropped"]
    with telling_leftovers(opening(), told.append) as place:
        pass
    assert (place.left, len(told)) == (["schema x was not dropped"], 1)


def test_only_findings_that_can_matter_to_the_replay_are_tried(world: World) -> None:
    with psycopg.connect(world.server.dsn("production"), autocommit=True) as connection:
        connection.execute("create table if not exists idle (a int)")
    interval = collect.collect(world.server.dsn("production"), only=(*FACTS, "table_activity"))
    found = that_matter(
        reported(
            MISSING,
            finding("index-unused"),
            finding("index-missing-fk"),
            finding("table-bloat"),
            finding("analyze-stale", name="idle"),
        ),
        interval,
        is_writing=False,
    )
    assert found is not None
    assert [(f.rule, f.object.name) for f in found.findings] == [
        ("index-missing", "sale"),
        ("table-bloat", "sale"),
    ]
