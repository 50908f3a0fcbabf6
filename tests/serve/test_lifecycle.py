"""The service starts with everything down, says in one line why it cannot, and ends when it is told to."""

import socket
import subprocess
from pathlib import Path

import httpx

from tests.serve.running import ARGUMENTS, environment, serving


def test_it_starts_with_everything_down_and_ends_in_time_with_open_connections(
    tmp_path: Path,
) -> None:
    config = tmp_path / "f.toml"
    config.write_text(
        '[serve.targets.shop]\nconninfo = "host=127.0.0.1 port=1 connect_timeout=1"\n'
    )
    with (
        serving(config) as service,
        httpx.Client(base_url=service.url) as client,
        client.stream("GET", "/api/stream") as stream,
    ):
        assert next(stream.iter_text()).startswith("retry:")
        assert client.get("/livez").status_code == 200
        assert client.get("/readyz").status_code == 200
        assert client.get("/api/health").status_code == 503
        half = socket.create_connection(("127.0.0.1", client.get("/livez").request.url.port or 0))
        half.sendall(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n")
        status, seconds = service.terminate()
        half.close()
        assert status == 0
        assert seconds < 3
        assert "127.0.0.1" not in service.log()


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    config = tmp_path / "f.toml"
    config.write_text("")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run(
            [*ARGUMENTS, "--config", str(config), "--listen", where],
            capture_output=True,
            text=True,
            env=environment({}),
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr.splitlines()[0] == (
        f"db-analyze: could not listen on {where}: the port is in use"
    )


def test_a_wrong_configuration_is_one_line(tmp_path: Path) -> None:
    config = tmp_path / "f.toml"
    config.write_text("[serve]\nlisten = 1\n")
    done = subprocess.run(
        [*ARGUMENTS, "--config", str(config)],
        capture_output=True,
        text=True,
        env=environment({}),
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"db-analyze: {config}: serve.listen must be")
