"""db-analyze fleet: many clusters, one review."""

from importlib import import_module

import click

from pgwatch_wed.cli.summaries import SummarizedGroup

# Imported when they are called, as all commands are.
_MODULES: dict[str, str] = {
    "list": "pgwatch_wed.cli.fleet_list",
    "check": "pgwatch_wed.cli.fleet_check",
    "run": "pgwatch_wed.cli.fleet_run",
    "import": "pgwatch_wed.cli.fleet_import",
    "report": "pgwatch_wed.cli.fleet_report",
    "canary": "pgwatch_wed.cli.fleet_canary",
    "enqueue": "pgwatch_wed.cli.fleet_enqueue",
    "worker": "pgwatch_wed.cli.fleet_worker",
    "status": "pgwatch_wed.cli.fleet_status",
    "schedule": "pgwatch_wed.cli.fleet_schedule",
}


class FleetCommands(SummarizedGroup):
    """The commands of `fleet`, in the order of use."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - Click's signature
        """Return the names of the commands."""
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in _MODULES:
            return None
        command: click.Command = import_module(_MODULES[cmd_name]).command
        return command


@click.group(cls=FleetCommands, context_settings={"help_option_names": ["-h", "--help"]})
def fleet() -> None:
    """Review many clusters: who they are, what to do where, and what they have in common."""
