"""db-analyze serve: health, metrics, alerts and a page, until a signal comes."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import click

from pgwatch_wed.cli.options import FilePath
from pgwatch_wed.errors import UsageError
from pgwatch_wed.origin import pip_install

_PACKAGES = ("starlette", "uvicorn", "httptools", "prometheus_client", "promql_parser", "httpx")


@click.command()
@click.option(
    "--config",
    "config_file",
    type=FilePath(dir_okay=False, readable=False, path_type=Path),
    help="The configuration file. [default: ./pgwatch_wed.toml, or pyproject.toml]",
)
@click.option(
    "--listen",
    metavar="ADDRESS:PORT",
    help="Where to listen; anything but loopback requires a token or a password. [default: 127.0.0.1:9188]",
)
@click.option(
    "--demo",
    is_flag=True,
    help="Watch a small shop on an embedded server, under load; no file is read.",
)
@click.option(
    "--print-dashboards",
    "dashboards",
    metavar="DIR",
    type=FilePath(file_okay=False, path_type=Path),
    help="Write Grafana dashboards of these metrics to DIR, and exit.",
)
def serve(config_file: Path | None, listen: str | None, demo: bool, dashboards: Path | None) -> int:
    """Serve health endpoints, metrics, alerts, SLOs and a page.

    What is watched is in the configuration file: [serve.targets.NAME] with a conninfo, [probes.NAME],
    [slo.NAME]. Without a target there, DATABASE_URL or libpq's environment variables name one.
    """
    require_extra()
    if demo and config_file is not None:
        raise UsageError("--demo and --config exclude each other")
    if dashboards is not None:
        return _print(dashboards)
    with _demo() if demo else contextlib.nullcontext(config_file) as file:
        _serve(file, listen)
    return 0


def _print(folder: Path) -> int:
    from pgwatch_wed.serve.dashboards import grafana

    try:
        for path in grafana.write(folder):
            click.echo(path)
    except OSError as error:
        raise UsageError(f"could not write to {folder}: {error.strerror}") from None
    return 0


def _serve(config_file: Path | None, listen: str | None) -> None:
    from pgwatch_wed.serve import assembly, logs, service

    settings = assembly.load(config_file, listen)
    logs.to_standard_error()
    service.Service(settings).run(lambda url: click.echo(f"db-analyze: serving on {url}", err=True))


@contextlib.contextmanager
def _demo() -> Iterator[Path]:
    """Start the demo's server and its customers; return the configuration that watches them."""
    from pgwatch_wed.cli import demo_shop

    with (
        tempfile.TemporaryDirectory(prefix="pgwatch-wed-demo-") as folder,
        demo_shop.open_shop() as shop,
    ):
        click.echo(f"db-analyze: the demo server's data directory is {shop.data}", err=True)
        for line in demo_shop.instructions(shop):
            click.echo(f"  {line}", err=True)
        os.environ[demo_shop.VARIABLE] = shop.dsn("shop")
        file = Path(folder) / "pgwatch_wed.toml"
        file.write_text(demo_shop.configuration(Path(folder) / "state"), encoding="utf-8")
        yield file


def require_extra() -> None:
    """Refuse if a package of the extra is missing."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise UsageError(f"db-analyze serve requires {', '.join(missing)}", pip_install("serve"))
