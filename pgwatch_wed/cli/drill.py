"""db-analyze drill: planted incidents, and how the service finds, names and forgets them."""

import tempfile
from pathlib import Path

import click

from pgwatch_wed.cli.serve import require_extra

_SETTINGS = {
    "max_connections": "40",
    "shared_preload_libraries": "pg_stat_statements",
    "track_activity_query_size": "4096",
}


@click.command()
@click.option(
    "--speed",
    type=click.FloatRange(1, 15),
    default=10.0,
    show_default=True,
    help="How many times shorter all intervals and waits are than by default; 1 takes an hour.",
)
@click.option("--only", metavar="TEXT", default="", help="Only incidents whose name contains TEXT.")
def drill(speed: float, only: str) -> int:
    """Plant incidents on an embedded server, and time what the service makes of them.

    Printed are the seconds until an alert arrived, until its cause was named, and from the repair until the end was told; alerts
    that nothing was wrong with; and what watching costs. No server of yours is touched.
    """
    require_extra()
    from pgwatch_wed.embedded import server as embedded
    from pgwatch_wed.errors import UsageError
    from pgwatch_wed.serve.drill.drill_incidents import INCIDENTS, ROLE, prepared
    from pgwatch_wed.serve.drill.drill_run import drilled, measured
    from pgwatch_wed.serve.drill.drill_service import listening, serving

    chosen = [i for i in INCIDENTS if only in i.name]
    if not chosen:
        names = ", ".join(i.name for i in INCIDENTS)
        raise UsageError(f"--only: no incident is named so: {only}", f"incidents: {names}")
    click.echo(f"{'incident':30}  detected  cause named  resolved  cause")
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded.start(_SETTINGS) as server,
        prepared(server) as planted,
        listening(planted.dependency_hangs) as ears,
        serving(server.dsn(user=ROLE), ears, speed, Path(folder)),
    ):
        cost = measured(planted, max(60 / speed, 10))
        outcomes = []
        for outcome in drilled(planted, ears, chosen, speed):
            outcomes.append(outcome)
            click.echo(_line(outcome))
    false = [name for o in outcomes for name in o.false]
    names = f" ({', '.join(false)})" if false else ""
    click.echo(f"false alerts: {len(false)}{names}")
    click.echo(
        f"cost at this speed: {cost.service:.1%} of a core for the service, {cost.server:.1%} for the server"
    )
    missed = [o for o in outcomes if not o.is_trap and o.detected_s is None]
    return int(bool(false or missed or any(o.is_right is False for o in outcomes)))


def _line(o: "object") -> str:
    from pgwatch_wed.serve.drill.drill_run import DrillOutcome

    assert isinstance(o, DrillOutcome)
    if o.is_trap:
        return f"{o.name:30}  {'nothing to detect':>32}"
    judged = {True: "right", False: "wrong", None: "not to be known"}[o.is_right]
    times = f"{_s(o.detected_s):>8}  {_s(o.caused_s):>11}  {_s(o.resolved_s):>8}"
    return f"{o.name:30}  {times}  {judged}: {o.cause or 'unknown'} ({o.by})"


def _s(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.0f} s"
