"""How fast the disk of a server of our own makes WAL durable, by pg_test_fsync: what limits commits."""

import os
import pwd
import re
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.load.load_model import Ground

_PROGRAM = "pg_test_fsync"
_SECONDS = 1  # for each way to sync; the first that is asked for is enough
_RESULT = re.compile(r"^\s+(?P<method>\w+)\s+(?P<rate>\d+\.\d+)\s+ops/sec\s+\d+\s+usecs/op")


@dataclass(frozen=True, slots=True)
class DiskSync:
    """What one 8 kB write and its sync take."""

    method: str  # of wal_sync_method
    operations_per_s: float

    @property
    def ms(self) -> float:
        """Milliseconds for each."""
        return 1000 / self.operations_per_s


def disk_sync(ground: Ground, method: str) -> DiskSync | None:
    """Measure the disk of an embedded server, in some seconds; None on other servers, or if that failed.

    ``method`` is the server's ``wal_sync_method``.
    """
    if not ground.is_embedded or ground.data_directory is None:
        return None
    with suppress(OSError), tempfile.TemporaryDirectory(dir=ground.data_directory.parent) as folder:
        Path(folder).chmod(0o700)
        return _measured(Path(folder), method)
    return None


def _measured(folder: Path, method: str) -> DiskSync | None:
    embedded.hand_over(folder)
    user = embedded.service_user()
    command = [str(embedded.bindir() / _PROGRAM), "-s", str(_SECONDS), "-f", str(folder / "sync")]
    with subprocess.Popen(  # noqa: S603 - the wheel's program, arguments are a list
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd="/",
        env={**os.environ, "LC_ALL": "C"},
        user=user,
        group=pwd.getpwnam(user).pw_gid if user else None,
        extra_groups=[] if user else None,
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                found = _RESULT.match(line)
                if found and found["method"] == method and float(found["rate"]) > 0:
                    return DiskSync(method, float(found["rate"]))
        finally:
            process.kill()  # it would go on with the other ways
    return None
