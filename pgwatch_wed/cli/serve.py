"""db-analyze serve: health, metrics, alerts and a page, until a signal comes."""

from importlib.util import find_spec
from pathlib import Path

import click

from pgwatch_wed.errors import UsageError

_PACKAGES = ("starlette", "uvicorn", "prometheus_client", "promql_parser", "httpx")


@click.command()
@click.option(
    "--config",
    "config_file",
    type=click.Path(dir_okay=False, readable=False, path_type=Path),
    help="The configuration file. [default: ./pgwatch_wed.toml, or pyproject.toml]",
)
@click.option(
    "--listen",
    metavar="ADDRESS:PORT",
    help="Where to listen; anything but loopback requires a token or a password. [default: 127.0.0.1:9188]",
)
def serve(config_file: Path | None, listen: str | None) -> int:
    """Serve health endpoints, metrics, alerts, SLOs and a page.

    What is watched is in the configuration file: [serve.targets.NAME] with a conninfo, [probes.NAME],
    [slo.NAME]. Without a target there, DATABASE_URL or libpq's environment variables name one.
    """
    require_extra()
    from pgwatch_wed.serve import logs, service

    settings = service.load(config_file, listen)
    logs.to_standard_error()
    service.Service(settings).run(lambda url: click.echo(f"db-analyze: serving on {url}", err=True))
    return 0


def require_extra() -> None:
    """Refuse if a package of the extra is missing."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"db-analyze serve requires {', '.join(missing)}", "pip install 'pgwatch-wed[serve]'"
        )
