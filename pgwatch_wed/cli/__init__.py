"""db-analyze: one Click program, one module per command; arguments in, exit status out."""

import errno
import gc
import os
import sys
from contextlib import suppress
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from pgwatch_wed import __version__
from pgwatch_wed.cli import interrupts
from pgwatch_wed.cli.summaries import SummarizedGroup
from pgwatch_wed.errors import Error, redact
from pgwatch_wed.suggestions import meant

# Commands are imported when they are called: `--help` and `explain` do not need the SQL parser.
_COMMANDS = {
    "run": "pgwatch_wed.cli.run",
    "now": "pgwatch_wed.cli.now",
    "demo": "pgwatch_wed.cli.demo",
    "collect": "pgwatch_wed.cli.collect",
    "report": "pgwatch_wed.cli.report",
    "plan": "pgwatch_wed.cli.plan",
    "indexes": "pgwatch_wed.cli.indexes",
    "check": "pgwatch_wed.cli.check",
    "explain": "pgwatch_wed.cli.explain",
    "record": "pgwatch_wed.cli.record",
    "why": "pgwatch_wed.cli.why",
    "perf": "pgwatch_wed.cli.perf",
    "schedule": "pgwatch_wed.cli.schedule",
    "install": "pgwatch_wed.cli.install",
    "uninstall": "pgwatch_wed.cli.install",
    "diff": "pgwatch_wed.cli.diff",
    "history": "pgwatch_wed.cli.history",
    "baseline": "pgwatch_wed.cli.history",
    "serve": "pgwatch_wed.cli.serve",
    "alerts": "pgwatch_wed.cli.alerts",
    "drill": "pgwatch_wed.cli.drill",
    "stress": "pgwatch_wed.cli.stress",
    "fleet": "pgwatch_wed.cli.fleet",
}
# Nothing more can be written: the disk is full, or a quota or a maximum file size is reached.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# "'abc' is not a valid number" rather than "float range"
click.FloatRange.name, click.IntRange.name = "number", "whole number"
_GROUP_OPTIONS = {"--help", "-h", "--version", "-V"}


class Commands(SummarizedGroup):
    """A group whose default command is ``run``: ``db-analyze TARGET`` is ``db-analyze run TARGET``."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - Click's signature
        """Return the names of the commands in the order of use."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in _COMMANDS:
            return None
        with interrupts.nothing_begun():
            command: click.Command = getattr(import_module(_COMMANDS[cmd_name]), cmd_name)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Prepend ``run`` to arguments that do not begin with a command."""
        if args[:1] == ["help"]:
            args = [*args[1:2], "--help"]
        begins = bool(args) or not ctx.resilient_parsing  # else the shell completes the first word
        if begins and (not args or args[0] not in {*_COMMANDS, *_GROUP_OPTIONS}):
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the first word: a command, or an option of the default command."""
        found = super().shell_complete(ctx, incomplete)
        run = self.get_command(ctx, "run")
        if incomplete.startswith("-") and run is not None:
            with run.make_context("run", [], parent=ctx, resilient_parsing=True) as inner:
                known = {item.value for item in found}
                more = run.shell_complete(inner, incomplete)
                found += [item for item in more if item.value not in known]
        return found


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="db-analyze")
def cli() -> None:
    """Analyze a PostgreSQL server and recommend what to do.

    TARGET is a connection URI, a libpq connection string or a service name. It defaults to
    DATABASE_URL, then to libpq's environment variables. The default command is `run`.
    """


def main(args: list[str] | None = None) -> NoReturn:
    """Run the program; errors take one line, and Ctrl-C and SIGTERM leave nothing half-written."""
    _open_what_is_closed()
    # Facts are hundreds of thousands of objects without cycles: looking for cycles took a fifth of a run.
    gc.set_threshold(100_000, 50, 100)
    interrupts.listen()
    try:
        _run(args)
    except KeyboardInterrupt:  # between the end of the work and the moment when signals are ignored
        interrupts.ignore()
        sys.exit(130)


def _run(args: list[str] | None) -> NoReturn:
    given = sys.argv[1:] if args is None else args
    try:
        status: Any = cli.main(args, prog_name="db-analyze", standalone_mode=False)
    except click.ClickException as error:
        _show(error)
        _say_taken_for_target(given)
        sys.exit(2)
    except Error as error:
        _say(error)
        _say_taken_for_target(given)
        sys.exit(error.exit_status)
    except (click.Abort, KeyboardInterrupt):
        click.echo("db-analyze: interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        # the reader of our output is gone (`| head`), which is not an error
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        # what is still buffered must not fail again when the interpreter exits
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        _say(Error(f"could not write output: {error.strerror}", "free some space and try again"))
        sys.exit(3)
    finally:
        interrupts.ignore()
    sys.exit(status if isinstance(status, int) else 0)


def _show(error: click.ClickException) -> None:
    # what was typed in the wrong place is repeated, and may be a target with its password
    shown = StringIO()
    error.show(shown)
    click.echo(redact(shown.getvalue()), nl=False, err=True)


def _open_what_is_closed() -> None:
    # a service may be started without them; open() takes the lowest free descriptor, the closed one
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115


def _say(error: Error) -> None:
    with suppress(OSError):  # standard error may itself be full; the exit status is enough then
        click.echo(f"db-analyze: {redact(error.message)}", err=True)
        if error.hint:
            click.echo(f"  hint: {redact(error.hint)}", err=True)


def _say_taken_for_target(args: list[str]) -> None:
    """Say which word was probably not meant as a target: a mistyped command, or the rest of a list."""
    from pgwatch_wed.cli.options import rest_of_list

    said = []
    if args and args[0] not in _COMMANDS and (suggestion := meant(args[0], _COMMANDS)):
        said.append(f"{args[0]!r} is no command and was taken for a target; {suggestion}")
    if listed := rest_of_list(args):
        said.append(listed)
    with suppress(OSError):
        for each in said:
            click.echo(f"  {redact(each)}", err=True)
