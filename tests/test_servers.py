"""Tests get the servers that were chosen, and a promise about them is kept or told."""

import os
import re
import secrets
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import conninfo

from pgwatch_wed.embedded import server as embedded
from tests import servers, turns
from tests.servers import CHOSEN, EXTERNAL, PROMISED, ServerSpec, UnavailableError

PROJECT = Path(__file__).parent.parent


def one(dsn: str, query: str, *values: object) -> Any:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query, values or None).fetchone()
    assert row
    return row[0]


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that sets the three variables of the environment, and unsets those not given."""

    def set_variables(**values: str) -> None:
        for name in (CHOSEN, EXTERNAL, PROMISED):
            monkeypatch.delenv(name, raising=False)
            if name in values:
                monkeypatch.setenv(name, values[name])

    return set_variables


@pytest.fixture
def foreign(
    choose: Callable[..., None],
) -> Iterator[embedded.EmbeddedServer]:
    """A server that is external: all that is known of it is its conninfo."""
    servers.external.cache_clear()
    with embedded.start(tcp=True) as server:
        choose(**{EXTERNAL: server.dsn(tcp=True)})
        yield server
    servers.external.cache_clear()


# What tests get


@pytest.mark.all_versions
def test_every_server_is_what_its_name_says(every_pg: servers.Server, every_db: str) -> None:
    with psycopg.connect(every_db) as connection:
        assert connection.info.server_version // 10000 == every_pg.version
        superuser = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = user")
        assert superuser.fetchone() == (True,)


@pytest.mark.all_versions
def test_every_server_counts_statements_and_times_its_reads(every_db: str) -> None:
    with psycopg.connect(every_db) as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
        row = connection.execute("SELECT count(*) FROM pg_stat_statements").fetchone()
        assert row
        assert row[0] > 0
        assert connection.execute("SHOW track_io_timing").fetchone() == ("on",)


def test_a_database_is_fresh_and_gone_afterwards(every_pg: servers.Server) -> None:
    with every_pg.database() as dsn:
        name = one(dsn, "SELECT current_database()")
        assert (
            one(
                dsn,
                "SELECT count(*) FROM pg_class WHERE relnamespace::regnamespace = 'public'::regnamespace",
            )
            == 0
        )
        left_open = psycopg.connect(dsn)
    left_open.close()
    assert one(every_pg.dsn(), "SELECT count(*) FROM pg_database WHERE datname = %s", name) == 0


def test_a_role_can_log_in_and_is_gone_afterwards_with_its_grants(
    every_pg: servers.Server, every_db: str
) -> None:
    with every_pg.role("pg_monitor") as role:
        own = conninfo.make_conninfo(every_db, user=role)
        assert one(own, "SELECT current_user") == role
        assert one(own, "SELECT pg_has_role('pg_monitor', 'member')") is True
        with psycopg.connect(every_db, autocommit=True) as connection:
            connection.execute("CREATE TABLE t ()")
            connection.execute(f"GRANT SELECT ON t TO {role}")
        assert one(every_pg.dsn("postgres", role), "SELECT current_user") == role
    assert one(every_pg.dsn(), "SELECT to_regrole(%s)", role) is None


@pytest.mark.all_versions
def test_a_server_has_the_extensions_of_its_spec(every_pg: servers.Server) -> None:
    offered = "SELECT coalesce(array_agg(name), '{}') FROM pg_available_extensions"
    assert every_pg.spec.extensions <= set(one(every_pg.dsn(), offered))


@pytest.mark.pg(">= 15", extension="hypopg")
def test_a_need_for_an_extension_chooses_servers_that_have_it(
    every_pg: servers.Server, every_db: str
) -> None:
    assert every_pg.version >= 15
    with psycopg.connect(every_db) as connection:
        connection.execute("CREATE EXTENSION hypopg")


@pytest.mark.pg("< 18")
def test_a_need_that_the_embedded_server_does_not_meet_chooses_another(pg: servers.Server) -> None:
    assert pg.version < 18


def test_a_server_of_ones_own_has_ones_own_settings(
    every_pg: servers.Server, start_pg: Callable[..., servers.Server]
) -> None:
    if every_pg.spec.kind == "external":
        pytest.skip("an external server keeps its settings")
    server = start_pg({"shared_preload_libraries": "", "work_mem": "1234kB"}, every_pg.spec)
    assert server.version == every_pg.version
    assert one(server.dsn(), "SHOW shared_preload_libraries") == ""
    assert one(server.dsn(), "SHOW work_mem") == "1234kB"


# Which servers are chosen


@pytest.mark.parametrize(
    ("need", "majors"),
    [(">= 17", {17, 18, 19}), ("< 14", {13}), (">=15,<17", {15, 16}), ("== 18", {18})],
)
def test_needs_are_version_specifiers(need: str, majors: set[int]) -> None:
    assert {m for m in servers.MAJORS if ServerSpec(m, "container").fits(need)} == majors


def test_a_chosen_major_that_cannot_be_had_is_told(choose: Callable[..., None]) -> None:
    choose(**{CHOSEN: "9"})
    with pytest.raises(UnavailableError, match="PostgreSQL 9 was chosen, but"):
        servers.chosen()


def test_nonsense_is_told(choose: Callable[..., None]) -> None:
    choose(**{CHOSEN: "newest"})
    with pytest.raises(UnavailableError, match="not 'newest'"):
        servers.chosen()


def test_the_embedded_server_can_be_chosen_alone(choose: Callable[..., None]) -> None:
    choose(**{CHOSEN: "embedded"})
    assert servers.chosen() == [servers.embedded_spec()] == [servers.default()]


def test_without_a_choice_each_major_is_there_once(choose: Callable[..., None]) -> None:
    choose()
    majors = [spec.major for spec in servers.chosen()]
    assert majors == sorted(set(majors))
    assert 18 in majors


def test_without_an_engine_the_embedded_server_stands_for_its_major(
    choose: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "engine", lambda: None)
    choose(**{CHOSEN: "18"})
    assert servers.chosen() == [servers.embedded_spec()]
    choose(**{CHOSEN: "15,18"})
    with pytest.raises(UnavailableError, match="no container engine answers"):
        servers.chosen()


def test_an_external_server_is_used_alone_unless_majors_are_chosen(
    foreign: embedded.EmbeddedServer, choose: Callable[..., None]
) -> None:
    assert servers.default().kind == "external"
    assert [spec.kind for spec in servers.chosen()] == ["external"]
    choose(**{EXTERNAL: os.environ[EXTERNAL], CHOSEN: "embedded"})
    assert [spec.kind for spec in servers.chosen()] == ["embedded"]


def test_an_external_server_gives_databases_and_keeps_its_settings(
    foreign: embedded.EmbeddedServer,
) -> None:
    server = servers.start(servers.default())
    with server.database() as dsn:
        assert one(dsn, "SELECT inet_server_port()") == foreign.port
    with pytest.raises(UnavailableError, match="not ours to change"):
        servers.start(servers.default(), {"work_mem": "1MB"})
    server.stop()
    assert one(foreign.dsn(), "SELECT 1") == 1


# Containers


@pytest.fixture(scope="session")
def image() -> str:
    """The newest image that tests/images/build made."""
    images = [spec.image for spec in servers.available() if servers.OWN_IMAGE in spec.image]
    if not images:
        pytest.skip("tests/images/build has made no image")
    return images[-1]


def docker(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=check, timeout=60
    )


@pytest.mark.container
def test_containers_are_reached_from_this_machine_only(
    image: str, start_pg: Callable[..., servers.Server]
) -> None:
    spec = next(spec for spec in servers.available() if spec.image == image)
    container = start_pg(spec=spec).container.get_wrapped_container()
    container.reload()
    bindings = container.attrs["HostConfig"]["PortBindings"]["5432/tcp"]
    assert {binding["HostIp"] for binding in bindings} == {"127.0.0.1"}


@pytest.mark.container
def test_containers_whose_run_was_killed_are_removed_and_others_stay(image: str) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    me = servers.owner()
    world, _, started = me.split()
    ids = {}
    for owner in (me, f"{world} {dead.pid} {started}", f"elsewhere {dead.pid} {started}"):
        label = f"{servers.OWNER_LABEL}={owner}"
        ids[owner] = docker("create", "--label", label, image).stdout.strip()
    try:
        servers.sweep_containers()
        left = [docker("inspect", each, check=False).returncode == 0 for each in ids.values()]
        assert left == [True, False, True]
    finally:
        docker("rm", "-fv", *ids.values(), check=False)


@pytest.fixture
def run_image(image: str) -> Iterator[Callable[..., str]]:
    """A function that runs the image with options and returns the container's name."""
    names: list[str] = []

    def run(*options: str, command: tuple[str, ...] = ()) -> str:
        names.append(f"pgwatch-wed-test-{secrets.token_hex(4)}")
        docker("run", "-d", "--name", names[-1], "-p", "127.0.0.1::5432", *options, image, *command)
        return names[-1]

    yield run
    for name in names:
        docker("rm", "-fv", name)


def address(container: str) -> dict[str, str]:
    said = docker("port", container, "5432/tcp").stdout.split()[0]
    host, _, port = said.rpartition(":")
    return {"host": host, "port": port}


def wait_for(dsn: str, container: str) -> None:
    class Status:
        image = status = container

        def reload(self) -> None:
            self.status = docker("inspect", "-f", "{{.State.Status}}", container).stdout.strip()

        def get_logs(self) -> tuple[bytes]:
            return (docker("logs", container).stderr.encode(),)

    servers._wait(dsn, Status())


@pytest.mark.container
def test_our_images_take_the_environment_of_the_official_ones(
    run_image: Callable[..., str],
) -> None:
    container = run_image(
        *("-e", "POSTGRES_USER=app", "-e", 'POSTGRES_DB=a "shop"'),
        *("-e", "POSTGRES_HOST_AUTH_METHOD=trust", "-e", "POSTGRES_INITDB_ARGS=--data-checksums"),
        command=("-c", "work_mem=1234kB"),
    )
    dsn = conninfo.make_conninfo(user="app", **address(container))
    wait_for(dsn, container)
    dsn = conninfo.make_conninfo(dsn, dbname='a "shop"')
    assert one(dsn, "SELECT current_user") == "app"
    assert one(dsn, "SHOW work_mem") == "1234kB"
    assert one(dsn, "SHOW data_checksums") == "on"


@pytest.mark.container
def test_our_images_keep_the_cluster_over_a_restart(run_image: Callable[..., str]) -> None:
    container = run_image("-e", "POSTGRES_PASSWORD=s3 'cret")
    secret = {"user": "postgres", "password": "s3 'cret", "dbname": "postgres"}
    wait_for(conninfo.make_conninfo(**secret, **address(container)), container)
    dsn = conninfo.make_conninfo(**secret, **address(container))
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE kept ()")
    docker("restart", container)
    dsn = conninfo.make_conninfo(**secret, **address(container))
    wait_for(dsn, container)
    assert one(dsn, "SELECT to_regclass('kept')::text") == "kept"
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(dsn, password="wrong")


@pytest.mark.container
def test_our_images_want_a_password_or_trust_by_name(run_image: Callable[..., str]) -> None:
    container = run_image()
    assert docker("wait", container).stdout.strip() == "1"
    assert "POSTGRES_PASSWORD is not set" in docker("logs", container).stderr


# Turns

EACH = [ServerSpec(major, "container") for major in range(13, 20)]


def test_a_test_runs_on_the_oldest_and_the_newest_and_every_other_one_in_between_too() -> None:
    chosen = [turns.edges(EACH, f"test_{n}") for n in range(200)]
    assert {(c[0].major, c[-1].major) for c in chosen} == {(13, 19)}
    middle = Counter(s.major for c in chosen for s in c[1:-1])
    assert 80 < sum(middle.values()) < 120
    assert middle.keys() == {14, 15, 16, 17, 18}
    assert min(middle.values()) > 10
    assert [turns.edges(EACH, f"test_{n}") for n in range(200)] == chosen
    assert turns.edges(EACH[:2], "test") == EACH[:2]
    assert turns.edges(EACH[:1], "test") == EACH[:1]
    assert turns.edges([], "test") == []


@pytest.mark.parametrize("number", [1, 2, 3, 7, 9])
def test_cases_are_spread_over_all_servers(number: int) -> None:
    chosen = [turns.spread(EACH, f"case_{n}", number) for n in range(200)]
    assert {len({s.major for s in c}) for c in chosen} == {min(number, 7)}
    assert {s.major for c in chosen for s in c} == set(range(13, 20))


# Promises

SUITE = """
import pytest
def test_one(db, pg): assert pg.version
def test_each(every_db, every_pg): assert every_pg.version
@pytest.mark.pg("< 10")
def test_old(db): raise AssertionError("nothing is that old")
def test_without_a_server(): pass
@pytest.mark.all_versions
def test_about_the_version(every_pg): pass
@pytest.mark.spread(1)
@pytest.mark.parametrize("case", [1, 2, 3])
def test_cases(every_pg, case): pass
"""


@pytest.fixture
def run_suite(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A function that runs a small suite with our fixtures in a process of its own."""
    (tmp_path / "test_suite.py").write_text(SUITE, encoding="utf-8")

    def run(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PGWATCH_WED_", "PYTEST_"))}
        return subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-c", str(PROJECT / "pyproject.toml")),
                *("-p", "xdist.plugin", "-p", "pytest_timeout", "-p", "tests.conftest"),
                *(*options, str(tmp_path)),
            ],
            cwd=PROJECT,
            # the other plugins take longer to load than these tests to run
            env=env | variables | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


Suite = Callable[..., subprocess.CompletedProcess[str]]


def test_the_header_and_the_summary_name_the_servers(run_suite: Suite) -> None:
    done = run_suite(**{CHOSEN: "embedded", PROMISED: "18"})
    assert done.returncode == 0, done.stdout
    assert "postgresql: pg 18-embedded; every_pg 18-embedded; promised 18" in done.stdout
    assert "postgresql: tests run on 18-embedded 6" in done.stdout
    assert "SKIPPED [1]" in done.stdout
    assert "no chosen server is PostgreSQL < 10" in done.stdout
    assert "7 passed, 1 skipped" in done.stdout.splitlines()[-1]


def test_it_is_the_same_with_several_processes(run_suite: Suite) -> None:
    done = run_suite("-n", "2", **{CHOSEN: "embedded", PROMISED: "18"})
    assert done.returncode == 0, done.stdout
    assert "postgresql: tests run on 18-embedded 6" in done.stdout


@pytest.mark.parametrize("processes", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_a_broken_promise_fails_the_run(run_suite: Suite, processes: tuple[str, ...]) -> None:
    done = run_suite(*processes, **{CHOSEN: "embedded", PROMISED: "17,18"})
    assert "PROMISED BUT NOT RUN: 17 " in done.stdout
    assert "7 passed, 1 skipped" in done.stdout.splitlines()[-1]
    assert done.returncode == 1


def test_a_test_that_was_only_skipped_keeps_no_promise(run_suite: Suite) -> None:
    done = run_suite("-k", "old or without", **{CHOSEN: "embedded", PROMISED: "18"})
    assert "1 passed, 1 skipped" in done.stdout
    assert "PROMISED BUT NOT RUN: 18 " in done.stdout
    assert done.returncode == 1


def test_marks_say_on_how_many_servers_a_case_runs(run_suite: Suite) -> None:
    chosen = servers.chosen()
    names = " ".join("embedded" if s.kind == "embedded" else str(s.major) for s in chosen)
    done = run_suite("--collect-only", "-q", **{CHOSEN: names})
    assert done.returncode == 0, done.stdout
    found = Counter(re.findall(r"::(test_\w+)\[", done.stdout))
    assert min(len(chosen), 2) <= found["test_each"] <= min(len(chosen), 3)
    assert found["test_about_the_version"] == len(chosen)
    assert found["test_cases"] == 3
    everywhere = run_suite("--collect-only", "-q", PGWATCH_WED_ALL_VERSIONS="1", **{CHOSEN: names})
    found = Counter(re.findall(r"::(test_\w+)\[", everywhere.stdout))
    assert found["test_each"] == found["test_about_the_version"] == len(chosen)
    assert found["test_cases"] == 3 * len(chosen)


def test_an_engine_that_does_not_answer_is_none(run_suite: Suite) -> None:
    done = run_suite(**{CHOSEN: "18", "DOCKER_HOST": "unix:///nonexistent/docker.sock"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every_pg 18-embedded" in done.stdout
    assert done.stderr == ""


def test_a_choice_that_cannot_be_met_is_a_usage_error(run_suite: Suite) -> None:
    done = run_suite(**{CHOSEN: "newest"})
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "not 'newest'" in done.stderr
    assert "Traceback" not in done.stderr
