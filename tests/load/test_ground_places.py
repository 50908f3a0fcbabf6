"""Load beside what else depends on a server, and on a disk that is nearly full: with the real things."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgwatch_wed.config import Config
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.errors import CollectError, UsageError
from pgwatch_wed.load.course import stress_job
from pgwatch_wed.load.course.chosen_profile import with_seconds
from pgwatch_wed.load.course.stress_job import Owned, StressJob
from pgwatch_wed.load.ground.stop_conditions import StopLimits, written_folders
from pgwatch_wed.load.ground.target_ground import target_ground
from pgwatch_wed.load.load_model import LoadScript, Scenario
from pgwatch_wed.load.scenarios.load_profiles import PROFILES
from pgwatch_wed.load.stress_report import StressReport
from pgwatch_wed.progress import silent
from tests.load.test_target_ground import confirmed, databases
from tests.psql import psql
from tests.standby import catch_up, standby_of


def refused(target: str, owned: str, *even_if: str, **more: Any) -> str:
    """Return why load is refused, "" if it is not."""
    try:
        with target_ground(target, owned, frozenset(even_if), watched_s=0.0, **more):
            return ""
    except UsageError as error:
        return error.message


def test_a_standby_is_refused_and_one_that_is_attached_by_its_name() -> None:
    with embedded.start() as server, standby_of(server) as follower:
        catch_up(server, follower)
        target, standby = server.dsn(), follower.dsn()
        owned = confirmed(target)
        assert "1 attached replica or backup" in refused(target, owned, "busy", "archived")
        assert "is a standby" in refused(
            standby, confirmed(standby), "busy", "replicated", "archived"
        )
        with psycopg.connect(target, application_name="shop") as other:
            other.execute("select 1")
            assert "attached" in refused(target, owned, "busy")
            assert "active in the last 10 s" in refused(target, owned, "replicated")
            assert refused(target, owned, "busy", "replicated") == ""
        assert not any("stress" in name for name in databases(server))


def test_a_logical_slot_and_an_archive_are_refused_by_their_names(tmp_path: Path) -> None:
    archiving = {"archive_mode": "on", "archive_command": "true", "wal_level": "logical"}
    with embedded.start(archiving) as server:
        target = server.dsn()
        owned = confirmed(target)
        assert "archives WAL" in refused(target, owned, "busy", "replicated")
        assert refused(target, owned, "archived") == ""
        assert refused(target, owned, writing=False) == ""
        psql(target, "select pg_create_logical_replication_slot('held', 'test_decoding')")
        assert "1 replication slot:" in refused(target, owned, "busy", "archived")
        assert "archives WAL" in refused(target, owned, "replicated")
        assert refused(target, owned, "archived", "replicated") == ""


# A disk that is nearly full


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Make a folder a disk of its own; where that is not allowed, the test is skipped."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=1777", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def crowded(size: str) -> Iterator[embedded.EmbeddedServer]:
    """Run a server on a disk on which little is free."""
    with tempfile.TemporaryDirectory(prefix="pgwed-disk-") as place:
        folder = Path(place)
        folder.chmod(0o755)
        with small_disk(folder, size), pytest.MonkeyPatch.context() as elsewhere:
            elsewhere.setattr(tempfile, "tempdir", place)
            with embedded.start({"log_min_messages": "fatal"}) as server:
                elsewhere.undo()
                yield server


FILLING = Scenario(
    name="filling",
    title="",
    prepare=("create table filled (a text)", "alter table filled alter a set storage plain"),
    scripts=(
        LoadScript(
            name="fill",
            text="insert into filled select repeat('x', 2000) from generate_series(1, 5);",
        ),
    ),
    clients=2,
    is_writing=True,
)


def load_on(server: embedded.EmbeddedServer, limits: StopLimits) -> StressReport:
    profile = replace(with_seconds(PROFILES["quick"], 30), warmup_s=0.0)
    job = StressJob(
        profile=profile,
        scenarios=dict.fromkeys(profile.scenarios, FILLING),
        settings=Config(),
        is_proving=False,
        original=None,
        progress=silent,
    )
    target = server.dsn()
    owned = Owned(confirmed(target), frozenset({"busy"}), is_writing=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stress_job, "StopLimits", lambda **given: replace(limits, **given))
        patched.setattr(stress_job, "target_ground", partial(target_ground, watched_s=0.0))
        return job.run(target, owned)


def test_load_ends_before_the_disk_is_full_and_also_when_it_is() -> None:
    with crowded("110m") as server:
        with pytest.raises(CollectError, match=r"load is refused: the disk .* \(limit 2 GB\)"):
            load_on(server, StopLimits())
        report = load_on(server, StopLimits(free_bytes=20 * 1024**2, free_share=0.0))
        assert "(limit 20 MB)" in report.ended_early
        assert report.runs[0].phases[0].blocks[0].transactions > 0
        assert not any("stress" in name for name in databases(server))

        report = load_on(server, StopLimits(free_bytes=0, free_share=0.0))
        assert report.ended_early == "the disk of the server is full"
        assert report.runs[0].phases[0].blocks[0].transactions > 0
        # where there was no room for the WAL, either, the server is down, and the report says so
        assert report.notes or not any("stress" in name for name in databases(server))


def watched(server: embedded.EmbeddedServer) -> tuple[Path, dict[Path, str]]:
    """Return the data directory, and the folders that are watched."""
    with psycopg.connect(server.dsn(), autocommit=True) as session:
        row = session.execute("show data_directory").fetchone()
        assert row is not None
        return Path(row[0]), written_folders(session, Path(row[0]))


def test_log_and_tablespaces_are_watched_where_the_server_has_them() -> None:
    with embedded.start({"logging_collector": "on", "log_directory": "messages"}) as server:
        for name in ("own", "cold"):
            made = f"set allow_in_place_tablespaces = on; create tablespace {name} location ''"
            psql(server.dsn(), made)
        psql(server.dsn(), "alter system set temp_tablespaces = own")
        psql(server.dsn(), "select pg_reload_conf()")
        data, found = watched(server)
    assert found[data / "messages"] == "the server's log"
    spaces = [folder for folder, what in found.items() if what == "a tablespace"]
    assert [folder.parent for folder in spaces] == [data / "pg_tblspc"]
    assert {data, data.parent, data / "pg_wal"} <= set(found)


def test_the_log_is_watched_where_the_servers_messages_go_without_a_collector() -> None:
    with embedded.start() as server:
        data, found = watched(server)
        process = int((data / "postmaster.pid").read_text(encoding="utf-8").split()[0])
        messages = Path(f"/proc/{process}/fd/2").readlink()
    assert messages.parent in found
