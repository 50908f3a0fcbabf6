"""db-analyze check: what this role and server allow, and what would allow more."""

import json
import shutil
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from tabulate import tabulate

from pgwatch_wed import __version__, config
from pgwatch_wed.cli import checked as checking
from pgwatch_wed.cli.checked import Checked
from pgwatch_wed.cli.options import FilePath, SizeType
from pgwatch_wed.cli.progress_bar import ProgressBar
from pgwatch_wed.cli.remembering import remembering
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.render.characters import in_json, visible_line
from pgwatch_wed.target import collect as collecting
from pgwatch_wed.target import connect

SCHEMA_VERSION = 1
_READ_S = 200


@click.command()
@click.argument("target", required=False)
@click.option(
    "--format", "form", type=click.Choice(("text", "json")), default="text", show_default=True
)
@click.option(
    "--config",
    "config_file",
    type=FilePath(dir_okay=False, readable=False, path_type=Path),
    help="The configuration file. [default: ./pgwatch_wed.toml, or pyproject.toml]",
)
@remembering
@click.option(
    "--memory",
    type=SizeType(),
    metavar="SIZE",
    help="The RAM of the server's machine, as for `run`. [default: memory in the configuration]",
)
@click.option("--verbose", "-v", is_flag=True, help="Also list the facts that can be read.")
def check(
    target: str | None,
    form: str,
    config_file: Path | None,
    history_url: str | None,
    no_history: bool,
    memory: int | None,
    verbose: bool,
) -> None:
    """Show what this role can read, which rules `run` can evaluate, and what would allow more.

    Lists the GRANTs, extensions and settings that are missing. Reads what `run` reads, but keeps nothing.
    """
    settings = config.load(config_file)
    settings = replace(settings, memory_bytes=memory or settings.memory_bytes)
    conninfo = connect.resolve(target)
    progress = ProgressBar(enabled=True)
    try:
        snapshot = collecting.collect(conninfo, budget_s=_READ_S, progress=progress)
        progress("asking the rules", 0.95)
        found = checking.checked(
            snapshot, settings, history_url or settings.history, asks=not no_history
        )
    finally:
        progress.clear()
    label = connect.label(conninfo)
    if form == "json":
        click.echo(in_json(json.dumps(as_json(found, label), indent=2, ensure_ascii=False)))
    else:
        _print(found, label, verbose=verbose)


def as_json(found: Checked, label: str) -> dict[str, Any]:
    """Return what docs/check.schema.json describes."""
    server = found.snapshot.server
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "pgwatch_wed", "version": __version__},
        "target": {
            "label": label,
            "database": server.database,
            "server_version": server.version,
            "server_version_num": server.version_num,
            "is_in_recovery": server.is_in_recovery,
        },
        "role": {
            "name": server.role,
            "is_superuser": server.is_superuser,
            "member_of": list(server.role_memberships),
        },
        "facts": [
            _fact(found, name) for name in (*collecting.ORDER, "activity", "missing_indexes")
        ],
        "rules": [
            {
                "rule": v.rule,
                "area": v.area,
                "is_evaluated": found.promise(v),
                "reason": v.reason,
                "mend": v.mend,
            }
            for v in found.verdicts
        ],
        "summary": {
            "rules": len(found.verdicts),
            "evaluated": found.count(True),
            "if_statements_can_be_planned": found.count(None),
        },
        "to_allow_more": [{"text": m.text, "run_as": m.run_as} for m in found.mends],
        "warnings": list(found.warnings),
    }


def _fact(found: Checked, name: str) -> dict[str, str]:
    missing, partly = found.lacking.get(name), found.lacking.get(f"{name}:left-out")
    why = missing or partly
    state = "missing" if missing else "partly readable" if partly else "readable"
    return {
        "fact": name,
        "state": state,
        "reason": why.reason if why else "",
        "mend": why.mend if why else "",
    }


def _print(found: Checked, label: str, *, verbose: bool) -> None:
    snapshot = found.snapshot
    server = snapshot.server
    kind = "standby" if server.is_in_recovery else "primary"
    click.echo(visible_line(f"{label}: PostgreSQL {server.version}, {kind}"))
    click.echo(f"role {visible_line(server.role)}: {_rights(snapshot)}\n")
    if verbose:
        rows = [(n.replace("_", " "), _state(snapshot, n)) for n in sorted(collecting.ORDER)]
        click.echo(tabulate(rows, headers=["fact", "state"], maxcolwidths=[24, 52]) + "\n")
    if found.lacking:
        _list(found)
        _mend(found)
    else:
        click.echo("Everything can be read: no rule lacks privileges or extensions.")
    _list_others(found)
    click.echo(f"\n{found.count(True)} of {len(found.verdicts)} rules can be evaluated now.")
    if more := found.count(None):
        click.echo(f"{more} more can, if the lab can plan the statements.")


def _list(found: Checked) -> None:
    for reason, names in found.reasons.items():
        head = click.style(", ".join(map(_words, names)), bold=True)
        click.echo(_wrapped(f"{head}: {visible_line(reason)}", "", "  "))
        facts = (name.partition(":")[0] for name in names)
        held = dict.fromkeys(rule for fact in facts for rule in checking.rules_of(fact))
        if held:
            click.echo(_wrapped(f"rules affected: {', '.join(held)}", "  ", "    "))


def _words(name: str) -> str:
    fact, _, some = name.partition(":")
    return f"{'some ' if some else ''}{fact.replace('_', ' ')}"


def _mend(found: Checked) -> None:
    if not found.mends:
        return
    click.echo("\nTo allow more:\n")
    for mend in found.mends:
        click.echo(f"  {visible_line(mend.text)}")
        if mend.run_as:
            click.echo(click.style(f"      run as: {visible_line(mend.run_as)}", dim=True))
    for warning in found.warnings:
        click.echo("\n" + _wrapped(warning, "", ""))


def _list_others(found: Checked) -> None:
    if not found.others:
        return
    click.echo("\nNot evaluated now, for other reasons:\n")
    for (reason, mend), rules in checking.by_reason(found.others).items():
        click.echo(_wrapped(", ".join(rules), "  ", "  "))
        click.echo(_wrapped(visible_line(reason), "      ", "      "))
        if mend:
            told = visible_line(f"to allow it: {mend}")
            click.echo(_wrapped(told, "      ", "      "))


def _wrapped(text: str, first: str, others: str) -> str:
    width = max(40, min(shutil.get_terminal_size((80, 24)).columns, 120))
    return textwrap.fill(
        text,
        width,
        initial_indent=first,
        subsequent_indent=others,
        break_on_hyphens=False,  # names of rules have hyphens
        break_long_words=False,
    )


def _rights(snapshot: Snapshot) -> str:
    server = snapshot.server
    if server.is_superuser:
        return "superuser (pg_monitor would be enough)"
    known = [r for r in server.role_memberships if r in _USEFUL]
    return f"member of {', '.join(known)}" if known else "no monitoring role"


_USEFUL = ("pg_monitor", "pg_read_all_stats", "pg_read_all_settings", "pg_read_all_data")


def _state(snapshot: Snapshot, name: str) -> str:
    missing = snapshot.missing.get(name)
    return visible_line(missing.reason) if missing else "readable"
