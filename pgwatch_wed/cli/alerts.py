"""db-analyze alerts: the rules of the service for Prometheus and Alertmanager, and anybody's rules judged."""

from pathlib import Path

import click

from pgwatch_wed import units
from pgwatch_wed.serve.alerts.export import export as write
from pgwatch_wed.serve.alerts.export import service_groups
from pgwatch_wed.serve.alerts.promql.vectors import Semantics


@click.group()
def alerts() -> None:
    """Alert rules: export ours or yours."""


@alerts.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--rules",
    "rules",
    type=click.Path(dir_okay=False, path_type=Path),
    multiple=True,
    help="A file of rules; repeatable. Without it, the rules that come with the package.",
)
@click.option(
    "--prometheus",
    "version",
    type=click.Choice(("2", "3")),
    default="3",
    show_default=True,
    help="Which major version's promtool is to run the tests.",
)
def export(directory: Path, rules: tuple[Path, ...], version: str) -> None:
    """Write rules, Alertmanager routes and promtool tests to DIRECTORY."""
    done = write(service_groups(rules), directory, Semantics(is_left_open=version == "3"))
    for path in done.files:
        click.echo(path)
    tested = done.rules - len(done.untested)
    click.echo(
        f"{units.count(done.rules, 'alert')}, {tested} with a test in which it fires", err=True
    )
    if done.untested:
        click.echo(f"without a test: {', '.join(done.untested)}", err=True)
