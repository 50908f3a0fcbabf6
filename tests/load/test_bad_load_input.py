"""What stress and perf refuse: one line, its exit status, no traceback and no secret, before any load begins."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from pgwatch_wed import cli
from pgwatch_wed.cli import interrupts
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.load.load_json import render_stress
from tests.load.stress_samples import sample_report
from tests.psql import psql

SECRET = "hush-hush"


@pytest.fixture(scope="module")
def somebody() -> Iterator[embedded.EmbeddedServer]:
    with embedded.start(tcp=True) as server:
        psql(server.dsn(), f"create role modest login password '{SECRET}'")
        psql(server.dsn(), "grant create on database postgres to modest")
        yield server


@pytest.fixture
def told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[list[str]], tuple[int, str]]:
    """Run the program in this process; return its status, and what it says beside a hint."""
    monkeypatch.setattr(interrupts, "ignore", lambda: None)

    def run(arguments: list[str]) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            cli._run([*arguments, "--no-progress"])
        shown = capsys.readouterr()
        assert SECRET not in shown.out + shown.err
        line, *hint = shown.err.strip().splitlines()
        assert len(hint) <= 1, "one line, and a hint"
        return int(str(ended.value.code)), " ".join((line, *hint))

    return run


def old_baseline(folder: Path) -> list[str]:
    document = json.loads(render_stress(sample_report())) | {"schema_version": 99}
    (folder / "old.json").write_text(json.dumps(document), encoding="utf-8")
    return ["--baseline", str(folder / "old.json")]


def scripts(folder: Path, **weights: int) -> list[str]:
    for name in weights:
        (folder / f"{name}.sql").write_text("select 1;", encoding="utf-8")
    named = {f"{name}.sql": weight for name, weight in weights.items()}
    (folder / "weights.json").write_text(json.dumps(named), encoding="utf-8")
    return ["--scripts", str(folder)]


def profile(folder: Path, text: str) -> list[str]:
    (folder / "mine.toml").write_text(text, encoding="utf-8")
    return ["--profile", str(folder / "mine.toml")]


def in_a_file(folder: Path) -> list[str]:
    (folder / "file").touch()
    return ["--output", str(folder / "file" / "reports")]


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        (lambda _: ["--profile", "fast"], 2, "there is no profile 'fast'"),
        (lambda _: ["--rate", "nan"], 2, "the rate is not a number"),
        (lambda _: ["--seconds", "nan"], 2, "the time is not a number"),
        (lambda f: profile(f, "[seconds]\nsteady = 0"), 2, "seconds.steady must be above 0"),
        (lambda f: profile(f, "scael = 3"), 2, "unknown key 'scael'   hint: did you mean scale?"),
        (lambda f: profile(f, "[seconds]\nstaedy = 9"), 2, "did you mean steady?"),
        (lambda f: profile(f, "[scenarios]\ntcpb-like = 1"), 2, "did you mean tpcb-like?"),
        (old_baseline, 2, "its schema version is 99"),
        (scripts, 2, "contains no scripts"),
        (lambda f: scripts(f, a=0, b=0), 2, "gives all scripts the weight 0"),
        (in_a_file, 3, "could not write to"),
        (lambda _: ["--output", "/proc/reports"], 3, "could not write to /proc/reports"),
    ],
)
def test_what_is_wrong_is_one_line(
    given: Callable[[Path], list[str]],
    status: int,
    said: str,
    tmp_path: Path,
    told: Callable[[list[str]], tuple[int, str]],
) -> None:
    found, line = told(["stress", "--output", str(tmp_path / "out"), *given(tmp_path)])
    assert (found, said in line) == (status, True), line
    assert not (tmp_path / "out").exists()


def test_a_directory_is_tried_only_if_something_is_written_there(
    tmp_path: Path, told: Callable[[list[str]], tuple[int, str]]
) -> None:
    where = in_a_file(tmp_path)
    for command in (["perf", "quick"], ["stress"]):
        assert told([*command, *where])[0] == 3
    _, line = told(["stress", *where, "--format", "text", "--baseline", "./nothing.json"])
    assert "nothing.json" in line


def test_servers_that_do_not_take_us(
    somebody: embedded.EmbeddedServer,
    tmp_path: Path,
    told: Callable[[list[str]], tuple[int, str]],
) -> None:
    here = {"host": "127.0.0.1", "dbname": "postgres", "user": "modest", "password": SECRET}
    server = make_conninfo(port=somebody.port, **here)
    for target, said in (
        (make_conninfo(port=embedded.free_port(), **here), "refused"),
        (make_conninfo(server, host="nowhere.invalid"), "resolve"),
        (make_conninfo(server, user="postgres"), "password authentication failed"),
        (make_conninfo(server, dbname="nothing"), "does not exist"),
        (make_conninfo(server, sslmode="require"), "SSL"),
    ):
        for command in (["stress"], ["perf", "quick"]):
            status, line = told([*command, target, "--output", str(tmp_path)])
            assert (status, said in line) == (3, True), line


def test_a_role_without_createdb_is_refused_before_anything_is_done(
    somebody: embedded.EmbeddedServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    told: Callable[[list[str]], tuple[int, str]],
) -> None:
    here = {"host": "127.0.0.1", "dbname": "postgres", "user": "modest", "password": SECRET}
    target = make_conninfo(port=somebody.port, **here)
    monkeypatch.setattr("pgwatch_wed.cli.perf._analyzed", lambda *_: pytest.fail("analyzed"))
    _, line = told(["perf", "quick", target])
    owned = ["--i-own-this-server", line.rpartition("--i-own-this-server ")[2]]
    for command in (["stress"], ["perf", "quick"]):
        status, line = told([*command, target, *owned, "--even-if", "busy"])
        assert (status, "the role modest may not create databases" in line) == (2, True), line
