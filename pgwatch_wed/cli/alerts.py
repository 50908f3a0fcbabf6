"""db-analyze alerts: the rules of the service for Prometheus and Alertmanager, and anybody's rules judged."""

from pathlib import Path

import click

from pgwatch_wed import units
from pgwatch_wed.cli.options import FilePath
from pgwatch_wed.cli.summaries import SummarizedGroup
from pgwatch_wed.errors import UsageError
from pgwatch_wed.serve.alerts.export import export as write
from pgwatch_wed.serve.alerts.export import service_groups
from pgwatch_wed.serve.alerts.promql.number_texts import duration_ms
from pgwatch_wed.serve.alerts.promql.vectors import Semantics
from pgwatch_wed.serve.judge_rules.exposed_metrics import Exposed, read_metrics


@click.group(cls=SummarizedGroup)
def alerts() -> None:
    """Alert rules: export ours or yours, or judge anybody's."""


@alerts.command()
@click.argument("directory", type=FilePath(file_okay=False, path_type=Path))
@click.option(
    "--rules",
    "rules",
    type=FilePath(dir_okay=False, path_type=Path),
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


@alerts.command()
@click.argument("files", nargs=-1, required=True, type=FilePath(dir_okay=False, path_type=Path))
@click.option(
    "--metrics",
    "metrics",
    multiple=True,
    metavar="URL",
    help="What the rules are evaluated on: an exporter's /metrics, or a file of it; repeatable.",
)
@click.option(
    "--scrape-interval",
    "scrape",
    default="15s",
    show_default=True,
    metavar="DURATION",
    help="How often Prometheus scrapes.",
)
def check(files: tuple[Path, ...], metrics: tuple[str, ...], scrape: str) -> None:
    """Judge the alert rules in FILES: which cannot fire, cannot end, or fire on a healthy server."""
    from pgwatch_wed.serve.judge_rules.judge_files import judge  # knows all metrics: slow to import

    try:
        scrape_ms = duration_ms(scrape)
    except ValueError as error:
        raise UsageError(f"--scrape-interval: {error}") from None
    judged = judge(files, read_metrics(metrics) if metrics else Exposed(), scrape_ms)
    for found in judged.objections:
        click.echo(f"{found.source}: {found.rule}: {found.check}: {found.why}")
        if found.series:
            click.echo(f"    for example {found.series}")
    for reason in judged.refused:
        click.echo(f"not evaluated: {reason}")
    rules = {(o.source, o.rule) for o in judged.objections}
    summary = (
        f"{units.count(judged.rules + len(judged.refused), 'rule')}: objections to {len(rules)}"
    )
    if judged.refused:
        summary += f", {len(judged.refused)} not evaluated"
    if not metrics:
        summary += "; types are guessed from names, give --metrics for certainty"
    click.echo(summary, err=True)
    raise SystemExit(1 if rules else 0)
