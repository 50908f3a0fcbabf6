"""db-analyze stress --http: load on an HTTP service."""

from typing import Any

import click

from pgwatch_wed.errors import UsageError
from pgwatch_wed.load.http_load.http_outcome import HttpOrder
from pgwatch_wed.load.http_load.http_run import http_run
from pgwatch_wed.load.http_load.http_text import http_text

# What is about a database, by its option.
_OF_DATABASES = {
    "scenarios": "--scenario",
    "scripts": "--scripts",
    "clients": "--clients",
    "is_proving": "--prove",
    "copy": "--copy",
    "baseline": "--baseline",
    "against": "--against",
    "pairs": "--pairs",
    "keep_as": "--save-baseline",
    "even_if": "--even-if",
    "fail_on": "--fail-on",
    "formats": "--format",
}
_INTERRUPTED_STATUS = 130
_USERS, _SECONDS = 10, 30.0


def stress_http(target: str | None, given: dict[str, Any]) -> int:
    """Run the load, print what came of it, and return the exit status."""
    wrong = [option for name, option in _OF_DATABASES.items() if given.get(name)]
    if target is not None or wrong:
        raise UsageError(f"--http and {wrong[0] if wrong else 'TARGET'} exclude each other")
    users = given["users"] or _USERS
    rate = given["rate"] or (users / given["think_s"] if given["think_s"] else None)
    order = HttpOrder(
        source=given["http"],
        host=given["host"],
        users=users,
        rate=rate,
        seconds=given["seconds"] or _SECONDS,
        processes=given["processes"],
        seed=given["seed"] or 1,
    )
    outcome = http_run(order, next(iter(given["owned"]), ""))
    if not given["quiet"]:
        click.echo(http_text(outcome), nl=False)
    return _INTERRUPTED_STATUS if outcome.ended_early == "interrupted" else 0
