"""Objects that shadow PostgreSQL's own do nothing, whatever command reads their database, whoever runs it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import psycopg
import pytest
from click.testing import CliRunner

from pgwatch_wed.cli import cli
from pgwatch_wed.errors import InstallError
from pgwatch_wed.gather import enrichment
from pgwatch_wed.load.course import stress_job
from pgwatch_wed.load.ground import server_answer
from pgwatch_wed.load.ground.target_ground import target_ground
from pgwatch_wed.target import door
from pgwatch_wed.whatif.lab import dump
from tests.hostile import WORLDS, Planted, planted
from tests.servers import Server

pytestmark = [pytest.mark.pg(">= 13"), pytest.mark.spread(1)]


@dataclass(frozen=True)
class Case:
    """A call of a command: ``{target}`` is the database, ``{copy}`` another one like it.

    ``without_lab``: statements are planned on the server itself.
    """

    args: tuple[str, ...]
    needs: str = ""
    may_write: bool = False
    without_lab: bool = False

    @property
    def name(self) -> str:
        """The call as an id of a test."""
        return " ".join((*self.args, *(["(without lab)"] if self.without_lab else [])))


def case(call: str, **more: Any) -> Case:
    return Case(tuple(call.split()), **more)


# other tests may use the server at the same time
_SHORT = "--even-if busy --scripts {load} --seconds 4 --rate 20 --clients 2"

CASES = (
    case("run {target} --output {folder}"),
    case("run {target} --output {folder}", without_lab=True),
    case("run {target} --output {folder} --no-advise --standby {target}"),
    case("run {target} --output {folder} --no-advise --all-databases"),
    case("run {target} --output {folder} --no-advise --exact-bloat"),
    case("run {target} --output {folder} --only lock,connection,vacuum"),
    case("now {target}"),
    case("now {target} --format json"),
    case("collect {target} --output {folder}/snapshot.json"),
    case("collect {target} --output {folder}/snapshot.json --no-advise --standby {target}"),
    case("plan {target} --as sql --output {folder}/plan.sql"),
    case("plan {target} --no-advise --standby {target}"),
    case("check {target} --verbose"),
    case("indexes {target} --format json", needs="lab"),
    case("indexes {target} --engine lab --workload {workload}", needs="lab"),
    case("indexes {target} --engine hypopg", needs="hypopg"),
    case("indexes {target} --engine hypopg --workload {workload}", needs="hypopg"),
    case("indexes {target} --engine lab --workload {clean} --verify {copy}", needs="lab"),
    case("stress {target} --i-own-this-server {owned} " + _SHORT + " --output {folder}"),
    case(
        "perf quick {target} --i-own-this-server {owned} --even-if busy --seconds 6 --output {folder}",
        needs="superuser",  # its scenarios need a database of their own
    ),
    case("install {target} --dry-run"),
    case("install {target}", may_write=True),
    case("uninstall {target} --dry-run"),
    case("uninstall {target}", may_write=True),
)

# What planning runs where nobody looks first, even under a pinned path.
PLANNED = {
    "expression": "select count(*) from trap.things where id = 1",
    "partition": "select count(*) from trap.parts where id = 5",
    "default": "insert into trap.things (id) values (0)",
    "domain": "insert into trap.checked_only values ('k')",
    "cast": "select count(*) from trap.moods where 'sad'::trap.mood = 'sad'::text",
    "rule": "insert into trap.ruled values (1)",
}
# Load in what was created for it
PREPARED = "create table counted (id int primary key, n int); insert into counted values (1, 0);"
COUNTED = "update counted set n = n + 1 where id = 1;"
# What runs on a copy calls what it names, whatever that is: here PostgreSQL's own.
CLEAN = "select pg_catalog.sum(total) from app.orders where customer_id operator(pg_catalog.=) 7"


@pytest.fixture(scope="module")
def place(every_pg: Server) -> Iterator[Planted]:
    with planted(every_pg, WORLDS[0]) as found:
        yield found


@pytest.fixture(scope="module", params=WORLDS[1:], ids=lambda world: world.name)
def elsewhere(request: pytest.FixtureRequest, pg: Server) -> Iterator[Planted]:
    with planted(pg, request.param) as found:
        yield found


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workload")
    for name, text in PLANNED.items():
        (folder / f"{name}.sql").write_text(text, encoding="utf-8")
    (folder / "clean").mkdir()
    (folder / "load").mkdir()
    (folder / "load" / "prepare.sql").write_text(PREPARED, encoding="utf-8")
    (folder / "load" / "count.sql").write_text(COUNTED, encoding="utf-8")
    for each in (folder, folder / "clean"):
        (each / "app.sql").write_text(CLEAN, encoding="utf-8")
    return folder


def run(place: Planted, call: Case, folder: Path, workload: Path) -> str:
    """Run a command in this process; return what it printed."""
    values = {
        "target": place.dsn,
        "copy": place.copy,
        "folder": folder,
        "workload": workload,
        "clean": workload / "clean",
        "load": workload / "load",
        "owned": owned(place.dsn) if "{owned}" in call.args else "",
    }
    args = [arg.format(**values) for arg in call.args]
    done = CliRunner().invoke(cli, args, env={"COLUMNS": "80"})
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def owned(dsn: str) -> str:
    """Return how the server calls itself and its database."""
    with door.opened(dsn) as target:
        return server_answer.asked(target).shown


def needed(call: Case) -> list[pytest.MarkDecorator]:
    """Where a case can run: servers that have what it needs."""
    if call.needs == "hypopg":
        return [pytest.mark.pg(">= 13", extension="hypopg")]
    return [pytest.mark.pg(f"<= {dump.major()}")] if call.needs == "lab" else []


@pytest.mark.parametrize("call", [pytest.param(c, marks=needed(c), id=c.name) for c in CASES])
def test_no_double_is_called_and_nothing_is_changed(
    place: Planted, call: Case, tmp_path: Path, workload: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing_happens(place, call, tmp_path, workload, monkeypatch)


@pytest.mark.parametrize("call", CASES, ids=lambda call: call.name)
def test_nor_in_other_schemas_or_for_other_roles(
    elsewhere: Planted, call: Case, tmp_path: Path, workload: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing_happens(elsewhere, call, tmp_path, workload, monkeypatch)


def nothing_happens(
    place: Planted, call: Case, folder: Path, workload: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not place.can(call.needs):
        pytest.skip(f"there is no {call.needs} for this server")
    if call.without_lab:
        monkeypatch.setattr(enrichment, "MAX_TABLES", 0)
    # how long others are watched before load is begun
    quick = partial(target_ground, watched_s=0.2)
    monkeypatch.setattr(stress_job, "target_ground", quick)
    before = place.state()
    run(place, call, folder, workload)
    if call.may_write:
        run(place, case("uninstall {target}"), folder, workload)
    after = place.state()
    assert {name for name in before if before[name] != after[name]} == set()


def test_whoever_does_not_pin_the_path_calls_them(place: Planted) -> None:
    fires(place)


def test_and_there_too(elsewhere: Planted) -> None:
    fires(elsewhere)


def fires(place: Planted) -> None:
    before = place.harm()
    with psycopg.connect(place.dsn, autocommit=True) as victim:
        victim.execute("select convert_to('x', 'UTF8'), relname || ':' from pg_class limit 1")
    assert place.harm() > before
    if place.world.reader == "superuser":
        assert place.made_superuser()


@pytest.mark.parametrize("name", PLANNED)
def test_planning_calls_what_their_author_hid_in_tables(place: Planted, name: str) -> None:
    before = place.harm()
    with psycopg.connect(place.admin, autocommit=True) as victim:
        victim.execute("set search_path = pg_catalog")
        victim.execute(f"explain {PLANNED[name]}".encode())
    assert place.harm() > before


VERSION_TABLES = {
    "a view": "create view {t} as select 'x'::varchar as version_num where trap.fires('view')",
    "a trigger": "create table {t} (version_num varchar(32));"
    " create function trap.triggered() returns trigger language plpgsql as"
    " $$ begin perform trap.harm('trigger'); return new; end $$;"
    " create trigger t before insert on {t} for each row execute function trap.triggered()",
    "a default": "create table {t} (version_num varchar(32), x bool default trap.fires('default'))",
    "a check": "create table {t} (version_num varchar(32) check (trap.fires('check')))",
    "an index": "create table {t} (version_num varchar(32));"
    " create index on {t} ((trap.fires(version_num)))",
    "a policy": "create table {t} (version_num varchar(32)); alter table {t} enable row level security;"
    " create policy p on {t} using (trap.fires('policy'))",
    "a child": "create table {t} (version_num varchar(32));"
    " create table trap.child (check (trap.fires('child'))) inherits ({t})",
}


@pytest.mark.parametrize("kind", VERSION_TABLES)
def test_install_does_not_read_or_write_a_version_table_that_is_a_trap(
    place: Planted, kind: str
) -> None:
    with psycopg.connect(place.admin, autocommit=True) as admin:
        admin.execute(f"set role {place.mallory}; create schema theirs".encode())
        admin.execute("set search_path = pg_catalog")
        admin.execute("grant all on schema theirs to public")
        table = "theirs.pgwatch_wed_alembic_version"
        admin.execute(VERSION_TABLES[kind].replace("{t}", table).encode())
        admin.execute(f"grant all on {table} to public")
    before = place.harm()
    try:
        for command in ("install", "uninstall"):
            done = CliRunner().invoke(cli, [command, place.dsn, "--schema", "theirs"])
            assert isinstance(done.exception, InstallError), (command, done.output, done.exception)
            assert "not as pgwatch_wed makes it" in str(done.exception)
        for command in ("install", "uninstall"):
            CliRunner().invoke(cli, [command, place.dsn, "--schema", "theirs", "--dry-run"])
        assert place.harm() == before
    finally:
        with psycopg.connect(place.admin, autocommit=True) as admin:
            admin.execute("set search_path = pg_catalog; drop schema theirs cascade")
            admin.execute("drop function if exists trap.triggered()")


def test_every_command_that_takes_a_target_has_a_case() -> None:
    lacking = [
        (name, parameter.name)
        for name in cli.list_commands(click.Context(cli))
        if name != "schedule"  # it prints the target, and does not connect
        for parameter in _command(name).params
        if not _is_covered(name, parameter)
    ]
    assert lacking == []


def _command(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


def _is_covered(name: str, parameter: click.Parameter) -> bool:
    """Tell whether a parameter that names a server, or a way to ask it, is in a case."""
    calls = [call.args for call in CASES if call.args[0] == name]
    if parameter.name == "engine" and isinstance(parameter.type, click.Choice):
        asked = {
            after for args in calls for engine, after in pairwise(args) if engine == "--engine"
        }
        return {str(choice) for choice in parameter.type.choices} <= asked | {parameter.default}
    if "target" not in f"{parameter.name} {parameter.metavar}".lower():
        return True
    words = {"{target}"} if isinstance(parameter, click.Argument) else set(parameter.opts)
    return any(words & set(args) for args in calls)
