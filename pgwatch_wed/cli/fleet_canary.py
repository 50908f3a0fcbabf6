"""db-analyze fleet canary: where to try advice first, and whether that is enough for the rest."""

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from pgwatch_wed import config
from pgwatch_wed.fleet.experiment.canaries import CanaryAdvice
from pgwatch_wed.fleet.experiment.canary_facts import canaries_of
from pgwatch_wed.fleet.experiment.canary_words import lines
from pgwatch_wed.history import store
from pgwatch_wed.render.characters import in_json, visible_line


@click.command("canary")
@click.argument("finding")
@click.option("--history", "url", metavar="URL", help="The history of the fleet.")
@click.option(
    "--format", "form", type=click.Choice(("text", "json")), default="text", show_default=True
)
def command(finding: str, url: str | None, form: str) -> None:
    """Name the cluster on which the advice of FINDING should be tried first.

    It is the one that would tell most at the least risk. Once it has been applied somewhere, say whether what came of it is
    enough for the rest. FINDING is the id of a finding of any cluster. No server is asked.
    """
    with store.unchanged(url or config.load(None).history) as opened, opened.reading() as read:
        found = canaries_of(read, finding)
    if form == "json":
        document = {"schema_version": 1, "finding": finding, "groups": [_json(c) for c in found]}
        click.echo(in_json(json.dumps(document, ensure_ascii=False, indent=2, default=_plain)))
        return
    texts = ("\n".join(map(visible_line, lines(each))).rstrip() for each in found)
    click.echo("\n\n".join(texts))


def _json(found: CanaryAdvice) -> dict[str, Any]:
    return {
        "step": found.step.value,
        "choice": found.choice.member if found.choice else None,
        "record": asdict(found.record),
        "candidates": [asdict(c) for c in found.candidates],
    }


def _plain(value: Any) -> str:
    assert isinstance(value, datetime)
    return value.isoformat()
