"""Run SQL as a person would: through psql."""

import subprocess

from pgwatch_wed.embedded import server as embedded


def psql(dsn: str, script: str) -> str:
    """Run a script through the wheel's psql, which speaks to every server version."""
    done = subprocess.run(
        [str(embedded.bindir() / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", dsn],
        input=script,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
