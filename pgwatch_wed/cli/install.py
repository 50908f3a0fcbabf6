"""db-analyze install, uninstall: the functions and views that stay in a database."""

from collections.abc import Callable
from typing import Any

import click

from pgwatch_wed import install as installing
from pgwatch_wed import quote
from pgwatch_wed.target import connect

_EXAMPLE = "wedsync_performance_summary"


def _arguments(command: Callable[..., Any]) -> Callable[..., Any]:
    for add in (
        click.option(
            "--dry-run", is_flag=True, help="Print an SQL script for psql; change nothing."
        ),
        click.option(
            "--schema",
            default=installing.DEFAULT_SCHEMA,
            show_default=True,
            metavar="NAME",
            help="The schema for the objects.",
        ),
        click.argument("target", required=False),
    ):
        command = add(command)
    return command


@click.command()
@_arguments
def install(target: str | None, schema: str, dry_run: bool) -> None:
    """Install monitoring functions and views into TARGET's database.

    They read statistics with the privileges of the caller, and only pg_monitor may call them. The
    schema is created if it does not exist. With --dry-run and no TARGET, the whole script is
    printed; with a TARGET, only what is missing in that database.
    """
    if dry_run:
        _print(installing.script(schema, "head", conninfo=_asked(target)))
        return
    conninfo = connect.resolve(target)
    outcome = installing.upgrade(conninfo, schema)
    _warn(outcome)
    where = f"schema {quote.ident(schema)} of {connect.label(conninfo)}"
    if not outcome.is_changed:
        click.echo(f"Nothing to do: {where} is at revision {outcome.after}, the latest.")
        return
    if outcome.put_back:
        click.echo(f"Re-created {', '.join(outcome.put_back)} in {where}.")
        return
    did = "Upgraded" if outcome.before else "Installed"
    click.echo(f"{did} {len(installing.OBJECTS)} functions and views in {where}.")
    click.echo(f"Try:  TABLE {quote.ident(schema, _EXAMPLE)};")


@click.command()
@_arguments
def uninstall(target: str | None, schema: str, dry_run: bool) -> None:
    """Remove what `install` created, and nothing else.

    The schema is dropped, too, if `install` created it and nothing else is in it. With --dry-run
    and no TARGET, the whole script is printed; with a TARGET, only what applies to that database.
    """
    if dry_run:
        _print(installing.script(schema, "base", conninfo=_asked(target)))
        return
    conninfo = connect.resolve(target)
    outcome = installing.downgrade(conninfo, schema)
    _warn(outcome)
    where = f"schema {quote.ident(schema)} of {connect.label(conninfo)}"
    if not outcome.is_changed:
        click.echo(f"Nothing to do: nothing is installed in {where}.")
        return
    click.echo(f"Removed the functions and views from {where}.")


def _asked(target: str | None) -> str | None:
    # a script needs no server; if one is given, the script depends on what it has
    return connect.resolve(target) if target else None


def _print(script: str) -> None:
    click.echo(script, nl=False)


def _warn(outcome: installing.Outcome) -> None:
    for notice in outcome.notices:
        click.echo(f"db-analyze: {notice}", err=True)
