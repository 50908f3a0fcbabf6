"""tools/Containerfile is built from this checkout, without a registry, and used as docs/install.md says."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from pgwatch_wed import __version__
from pgwatch_wed.embedded import server as embedded
from tests import servers

ROOT = Path(__file__).parent.parent

# Debian without Python, made by tests/images/build, and the version of Python that it packages.
DEBIAN, PYTHON = "pgwatch-wed/debian:bookworm", "3.11"

# All that is made of an image inherits its labels, also layers without a name and containers. The value is that of
# servers.owner(); the label is another one, since this process may have servers in containers.
LABEL = "pgwatch-wed.image-test"

# Like the official image of Python, but for its index, which is a folder.
BASE = f"""
FROM {DEBIAN}
ARG OWNER
LABEL {LABEL}="$OWNER"
RUN apt-get -qq update && apt-get -qq -y --no-install-recommends install python3-venv
COPY wheels /opt/wheels
RUN printf '[global]\\nno-index = true\\nfind-links = /opt/wheels\\n' >/etc/pip.conf
"""

LOOKUP = "select id from purchase where customer = 7;\n"

UNPRIVILEGED = ("run", "--rm", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")


@pytest.mark.container
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_image_of_a_checkout_analyzes_a_server_as_an_unprivileged_user(tmp_path: Path) -> None:
    if call(["docker", "image", "inspect", DEBIAN]).returncode:
        pytest.skip(f"there is no image {DEBIAN}, which tests/images/build makes")
    download(tmp_path / "wheels")
    reports = tmp_path / "reports"
    reports.mkdir()
    reports.chmod(0o777)
    with images() as name:
        make_base(tmp_path, f"{name}:base")
        build = ("--network", "none", "--build-arg", f"BASE={name}:base")
        context = ("--file", "tools/Containerfile", ".")
        docker("build", *build, "--target", "build", "--tag", f"{name}:build", *context)
        docker("build", *build, "--tag", name, *context)

        source = set(docker("run", "--rm", f"{name}:build", "ls", "-A", "/source").split())
        assert {"pgwatch_wed", "constraints.txt"} <= source
        assert not {".git", ".venv", ".hypothesis", ".pytest_cache"} & source

        assert docker("run", "--rm", name, "--version").split()[-1] == __version__

        volume = ("--volume", f"{reports}:/reports")
        program = (*UNPRIVILEGED, "--network", "host", "--env", "DATABASE_URL", *volume, name)
        with embedded.start(servers.SETTINGS, tcp=True) as server:
            fill(server.dsn())
            where = {"DATABASE_URL": server.dsn(tcp=True)}
            docker(*program, "run", "--output", "/reports", environment=where)
            (reports / "workload").mkdir()
            (reports / "workload" / "lookup.sql").write_text(LOOKUP, encoding="utf-8")
            # The lab starts a server in the container.
            advice = docker(*program, "indexes", "--workload", "workload", environment=where)
        (report,) = reports.rglob("*.json")
        assert report.stat().st_uid == 1000
        assert json.loads(report.read_text(encoding="utf-8"))["findings"]
        assert re.search(r"CREATE INDEX .*\(customer\)", advice), advice


@pytest.mark.container
def test_images_of_a_killed_run_are_removed_and_others_stay() -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    world, _, started = servers.owner().split()
    killed, elsewhere = f"{world} {dead.pid} {started}", f"elsewhere {dead.pid} {started}"
    made = {owner: empty_image(owner) for owner in (servers.owner(), killed, elsewhere)}
    try:
        with images():
            left = {owner for owner, image in made.items() if is_here(image)}
            assert left == {servers.owner(), elsewhere}
        assert [is_here(image) for image in made.values()] == [False, False, True]
    finally:
        call(["docker", "image", "rm", *made.values()])


def empty_image(owner: str) -> str:
    done = call(
        ["docker", "import", "--change", f'LABEL {LABEL}="{owner}"', "-"], stdin="\0" * 1024
    )
    return done.stdout.strip()


def is_here(image: str) -> bool:
    return call(["docker", "image", "inspect", image]).returncode == 0


def fill(dsn: str) -> None:
    """Make a table that lacks an index for LOOKUP."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "create table purchase as select n as id, n % 5000 as customer from generate_series(1, 50000) n"
        )
        connection.execute("analyze purchase")


def download(folder: Path) -> None:
    """Fetch the wheels that the image is made of; skip where there is no index that has them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["fleet"],
        *project["build-system"]["requires"],
    ]
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:")
    pins = ("--python-version", PYTHON, "--constraint", str(ROOT / "constraints.txt"))
    done = call([*pip, *pins, "--dest", str(folder), *wanted])
    if done.returncode:
        pytest.skip(f"the wheels for Python {PYTHON} cannot be had: {reason(done)}")


def make_base(context: Path, tag: str) -> None:
    """Make an image with Python from Debian's packages; skip where there is no mirror of it."""
    (context / "Dockerfile").write_text(BASE, encoding="utf-8")
    arguments = [f"OWNER={servers.owner()}", f"http_proxy={proxy()}"]
    options = [word for each in arguments for word in ("--build-arg", each)]
    done = call(
        ["docker", "build", "--force-rm", "--network", "host", "--tag", tag, *options, str(context)]
    )
    if done.returncode:
        pytest.skip(f"{DEBIAN} gets no Python: {reason(done)}")


def proxy() -> str:
    """Return the proxy of this machine's apt, or nothing, as tests/images/build does."""
    script = (
        'eval "$(apt-config shell P Acquire::http::Proxy 2>/dev/null)"; echo "${http_proxy:-$P}"'
    )
    return call(["sh", "-c", script]).stdout.strip()


@contextmanager
def images() -> Iterator[str]:
    """Yield a name for images; then remove all that were made, and before it what a killed run left behind."""
    for image in servers.engine().images.list(all=True, filters={"label": LABEL}):
        if servers.is_left_behind(image.labels[LABEL]):
            remove(image.labels[LABEL])
    try:
        yield f"pgwatch-wed-test/{os.getpid()}"
    finally:
        remove(servers.owner())


def remove(owner: str) -> None:
    """Remove an owner's containers and images, also those that have no name."""
    mine = ("--all", "--quiet", "--filter", f"label={LABEL}={owner}")
    if containers := call(["docker", "ps", *mine]).stdout.split():
        call(["docker", "rm", "--force", "--volumes", *containers])
    if made := call(["docker", "image", "ls", *mine]).stdout.split():
        call(["docker", "image", "rm", "--force", *made])


def docker(*arguments: str, environment: dict[str, str] | None = None) -> str:
    done = call(["docker", *arguments], environment)
    assert done.returncode == 0, f"{arguments}\n{done.stdout[-5000:]}\n{done.stderr[-5000:]}"
    return done.stdout


def call(
    command: Sequence[str], environment: dict[str, str] | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    # Debian's engine comes without buildx.
    variables = {**os.environ, "DOCKER_BUILDKIT": "0", **(environment or {})}
    return subprocess.run(
        command,
        cwd=ROOT,
        env=variables,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def reason(done: subprocess.CompletedProcess[str]) -> str:
    """Return the first error of pip or apt."""
    lines = (done.stdout + done.stderr).splitlines()
    return next((line for line in lines if line.startswith(("ERROR: ", "E: "))), lines[-1])
