"""Lengths of time on the command line."""

import re
from datetime import timedelta
from typing import Any

import click

from pgwatch_wed import units

_MINUTES = re.compile(r"(?<=\d)\s*m\Z")


class Span(click.ParamType[Any]):
    """A length of time such as ``60s`` or ``10m``, within limits."""

    name = "time"

    def __init__(self, least: timedelta, most: timedelta) -> None:
        self.least = least
        self.most = most

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Read the text."""
        try:
            span = units.read_span(_MINUTES.sub(" min", str(value)))
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a time such as 60s, 10m or 2h", param, ctx)
        if not self.least <= span <= self.most:
            limits = f"{units.words(self.least)} to {units.words(self.most)}"
            self.fail(f"{value!r} is not within {limits}", param, ctx)
        return span
