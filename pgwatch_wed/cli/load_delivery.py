"""Reports of load tests: written, printed, and an exit status if the run was interrupted."""

import shutil
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import click

from pgwatch_wed.cli import report_files
from pgwatch_wed.cli.colours import colour_wanted
from pgwatch_wed.errors import Error
from pgwatch_wed.load.engine.block_run import INTERRUPTED

_INTERRUPTED_STATUS = 130
R = TypeVar("R")


def documents_of(
    report: R, renderers: Mapping[str, Callable[[R], str]], formats: tuple[str, ...]
) -> dict[str, bytes]:
    """Return the files that are wanted, by suffix."""
    return {
        f".{name}": render(report).encode() for name, render in renderers.items() if name in formats
    }


def check_folder(folder: Path, formats: tuple[str, ...]) -> None:
    """Refuse before the run a directory in which its report could not be written."""
    if set(formats) - {"text"}:
        report_files.check_writable(folder)


def delivered(
    documents: Mapping[str, bytes],
    folder: Path,
    prefix: str,
    when: datetime,
    printed: Callable[[], None] | None,
) -> Error | None:
    """Write the files, then print unless ``printed`` is None; return why nothing could be written, for after that."""
    failure: Error | None = None
    paths: list[Path] = []
    try:
        paths = report_files.written(documents, folder, prefix, when)
    except Error as error:
        failure = error
    if printed is not None:
        printed()
        for path in paths:
            click.echo(f"written: {path}", err=True)
    return failure


def print_text(render: Callable[[int, bool], str]) -> None:
    """Print what is rendered for the terminal's width and colors."""
    width = shutil.get_terminal_size((80, 24)).columns
    colour = sys.stdout.isatty() and colour_wanted()
    click.echo(render(width, colour), color=colour)


def interrupted_status(ended_early: str) -> int | None:
    """Return the exit status of an interrupted run, and say so; None for any other."""
    if ended_early != INTERRUPTED:
        return None
    click.echo("db-analyze: interrupted", err=True)
    return _INTERRUPTED_STATUS
