"""Under which conditions a load test ran: the machine, the disk, and settings that matter."""

import hashlib
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psutil

from pgwatch_wed import units
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.load.ground.ground_connection import STRESS_NAME, connected
from pgwatch_wed.load.load_model import Ground
from pgwatch_wed.load.scenarios.disk_sync import disk_sync
from pgwatch_wed.load.stress_report import Generator, StressTarget
from pgwatch_wed.target import programs

_SETTINGS = (
    *("shared_buffers", "effective_cache_size", "work_mem", "maintenance_work_mem", "wal_buffers"),
    *("fsync", "synchronous_commit", "full_page_writes", "wal_compression", "wal_sync_method"),
    *("max_wal_size", "checkpoint_timeout", "checkpoint_completion_target", "wal_level"),
    *("max_connections", "autovacuum", "jit", "random_page_cost", "track_io_timing"),
    *("shared_preload_libraries", "default_transaction_isolation"),
)

_TIMES = ("ms", "s", "min")


def pgbench_line(ground: Ground) -> str:
    """Return how the pgbench that makes the load calls itself."""
    own = embedded.wheel_bindir() / "pgbench"
    with (
        connected(ground) as session,
        programs.client(own, session, application_name=STRESS_NAME) as client,
    ):
        done = subprocess.run(  # noqa: S603 - a PostgreSQL program, arguments are a list
            [str(client.path), "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **client.environment},
        )
    return " ".join(done.stdout.split()) or f"pgbench {client.major}"


def generator(program: str) -> Generator:
    """Describe this machine, and the program that makes the load."""
    cpu = _cpu()
    cores = psutil.cpu_count() or 1
    told = (
        platform.node(),
        platform.machine(),
        cpu,
        str(cores),
        str(psutil.virtual_memory().total),
    )
    fingerprint = hashlib.sha256("\x1f".join(told).encode()).hexdigest()[:16]
    return Generator(program=program, cores=cores, cpu=cpu, machine=fingerprint)


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "")


def target_of(ground: Ground, snapshot: Snapshot, sync_ms: float | None) -> StressTarget:
    """Describe the server."""
    values = ((name, _printed(snapshot, name)) for name in _SETTINGS)
    settings: Mapping[str, str] = {name: value for name, value in values if value}
    return StressTarget(
        label=ground.shown,
        is_embedded=ground.is_embedded,
        server_version=snapshot.server.version,
        server_version_num=snapshot.server.version_num,
        settings=settings,
        sync_ms=sync_ms,
        notes=ground.notes,
    )


def _printed(snapshot: Snapshot, name: str) -> str | None:
    """Return a setting with its unit; pg_settings has shared_buffers as a number of blocks."""
    setting, number = snapshot.setting_by_name.get(name), snapshot.setting_number(name)
    if setting is None or number is None or number < 0 or not setting.unit:
        return snapshot.setting(name)
    return units.duration(number) if setting.unit in _TIMES else units.size(number)


def sync_ms(ground: Ground) -> float | None:
    """Return how long it takes to make a page durable on the disk of a server of our own; None on others."""
    with connected(ground) as session:
        (method,) = session.execute("show wal_sync_method").fetchone() or ("",)
    found = disk_sync(ground, method)
    return found.ms if found else None
