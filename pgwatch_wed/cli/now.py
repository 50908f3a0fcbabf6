"""db-analyze now: who blocks whom at this moment, and what to do once."""

import json
import re
import shutil
import sys
import time
from collections.abc import Callable, Generator
from contextlib import closing
from datetime import timedelta
from itertools import accumulate
from typing import Any
from unicodedata import east_asian_width

import click

from pgwatch_wed.cli.colours import colour_wanted
from pgwatch_wed.cli.spans import Span
from pgwatch_wed.errors import Error, redact
from pgwatch_wed.gather import moment
from pgwatch_wed.render import now_json, now_text
from pgwatch_wed.render.characters import visible_line
from pgwatch_wed.render.now_view import NowView, view
from pgwatch_wed.target import connect

_RETRY_S = 2.0
_STYLE = re.compile("\x1b\\[[0-9;]*m")


class _Seconds(Span):
    """A length of time; a number without a unit is seconds."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Read the text."""
        text = str(value)
        return super().convert(f"{text}s" if text.isdecimal() else text, param, ctx)


@click.command()
@click.argument("target", required=False)
@click.option(
    "--watch",
    "every",
    type=_Seconds(timedelta(milliseconds=500), timedelta(hours=1)),
    metavar="TIME",
    help="Look again and again, for example every 2s, until Ctrl-C.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="With --watch, JSON is one line each time.",
)
def now(target: str | None, every: timedelta | None, form: str) -> int:
    """Show who blocks whom on TARGET, and what to do once.

    Then connections, running statements, waits, what holds back VACUUM, freezing, slots and WAL. It takes few short
    queries, reads no table, and waits for no lock.
    """
    conninfo = connect.resolve(target)
    label = connect.label(conninfo)
    if every is None:
        with moment.watching(conninfo) as watch:
            seen = view(moment.look(watch))
        click.echo(_shown(seen, label, form, once=True), nl=False, color=True)
        return 0
    # the cursor stays, and so does what is above: whatever ends the program, there is nothing to restore
    show = _in_place() if sys.stdout.isatty() else _below(form)
    with closing(_frames(conninfo, label, form, every.total_seconds())) as frames:
        for frame in frames:
            show(frame)
    return 0


def _frames(conninfo: str, label: str, form: str, every_s: float) -> Generator[str]:
    """Yield what is going on, again and again; a connection that is lost is opened again."""
    has_seen = False
    while True:
        try:
            with moment.watching(conninfo) as watch:
                while True:
                    due = time.monotonic() + every_s
                    yield _shown(view(moment.look(watch)), label, form, once=False)
                    has_seen = True
                    time.sleep(max(0.0, due - time.monotonic()))
        except Error as error:
            if not has_seen:
                raise
            yield _failed(error, label, form)
        time.sleep(max(every_s, _RETRY_S))


def _shown(seen: NowView, label: str, form: str, *, once: bool) -> str:
    if form == "json":
        return now_json.document(seen, label, indent=2 if once else None)
    columns = shutil.get_terminal_size((80, 24)).columns
    colour = sys.stdout.isatty() and colour_wanted()
    return now_text.text(seen, label, width=columns, colour=colour)


def _failed(error: Error, label: str, form: str) -> str:
    said = visible_line(redact(error.message))
    if form == "json":
        return json.dumps({"error": said, "target": {"label": label}}) + "\n"
    return f"{label}: {said}; trying again\n"


def _below(form: str) -> Callable[[str], None]:
    between = iter([""])

    def show(frame: str) -> None:
        rule = next(between, "" if form == "json" else "-" * 80 + "\n")
        sys.stdout.write(rule + frame)
        sys.stdout.flush()

    return show


def _in_place() -> Callable[[str], None]:
    drawn = 0

    def show(frame: str) -> None:
        nonlocal drawn
        size = shutil.get_terminal_size()
        lines = _fitting(frame.splitlines(), size.lines, size.columns)
        back = f"\x1b[{drawn}F" if drawn else ""
        sys.stdout.write(f"{back}\x1b[J" + "".join(f"{line}\n" for line in lines))
        sys.stdout.flush()
        drawn = sum(_rows(line, size.columns) for line in lines)

    return show


def _fitting(lines: list[str], rows: int, columns: int) -> list[str]:
    """Leave the last row for the cursor; what is scrolled away could not be drawn over."""
    room = max(rows - 1, 2)
    ends = list(accumulate(_rows(line, columns) for line in lines))
    if not ends or ends[-1] <= room:
        return lines
    kept = sum(end < room for end in ends)
    more = f"… {len(lines) - kept} more lines: enlarge the window, or omit --watch"
    return [*lines[:kept], more[:columns]]


def _rows(line: str, columns: int) -> int:
    """Return how many rows a line takes: what can be pasted is not cut, and letters of some scripts are two wide."""
    shown = _STYLE.sub("", line)
    width = sum(2 if east_asian_width(c) in "WF" else 1 for c in shown)
    return max(1, -(-width // columns))
