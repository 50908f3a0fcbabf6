"""Whatever is asked, the answer is as the description says, and nothing fails inside."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.serve.running import serving

TOKEN = "t" * 20


@pytest.mark.slow
def test_whatever_is_asked_is_answered_as_described(tmp_path: Path, db: str) -> None:
    config = tmp_path / "f.toml"
    config.write_text('[serve]\nrequests_per_second = 100000\n[probes.database]\nurl_env = "DSN"\n')
    with serving(config, DSN=db, PGWATCH_WED_TOKEN=TOKEN) as service:
        done = subprocess.run(
            [
                str(Path(sys.executable).with_name("schemathesis")),
                *("run", f"{service.url}/api/openapi.json", "-H", f"Authorization: Bearer {TOKEN}"),
                # endless, and nothing is asked but whether it begins
                *("--exclude-path", "/api/stream", "-n", "5", "--seed", "1", "--no-color"),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        service.terminate()
        log = service.log()
    assert done.returncode == 0, done.stdout[-3000:]
    assert "Traceback" not in log
    assert TOKEN not in log
