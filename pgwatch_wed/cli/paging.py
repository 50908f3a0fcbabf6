"""Text on standard output, in a pager where it is longer than the terminal."""

import shutil
import sys

import click


def show(text: str, *, colour: bool) -> None:
    """Print text, which has colors if ``colour``."""
    long = sys.stdout.isatty() and text.count("\n") > shutil.get_terminal_size().lines
    if long:
        # click asks less for colors only where nobody says that there are any
        click.echo_via_pager(text, color=None if colour else False)
    else:
        click.echo(text, color=colour)
