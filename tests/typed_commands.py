"""What pages tell readers to type: parsed with all options, not run."""

import re
import shlex
from collections.abc import Iterator

import click

from pgwatch_wed import config
from pgwatch_wed.cli import cli
from pgwatch_wed.load.scenarios.load_profiles import PROFILES
from pgwatch_wed.rules import all_rules


def accepted(line: str) -> None:
    """Parse a line that begins with db-analyze; raise if Click, or what it names, does not know it."""
    with click.Context(cli) as context:
        words = line.split()[1:]
        is_named = words[:1] and words[0] in cli.list_commands(context)
        args = words if is_named else ["run", *words]
        name, command, rest = cli.resolve_command(context, args)
        while isinstance(command, click.Group):
            name, command, rest = command.resolve_command(context, rest)
        assert command is not None
        given = command.make_context(name, rest).params
    config.check_names(tuple(n for some in given.get("only") or () for n in some), "--only")
    if "profile" in given and name == "stress":
        assert given["profile"] in PROFILES  # anything else would be a file
    if name == "explain" and given["rule"] != "RULE":
        assert given["rule"] in {r.id for r in all_rules()}


def commands(page: str) -> Iterator[str]:
    """Yield the commands of db-analyze in a page's blocks and between its backquotes, without comments and pipes."""
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", page, re.DOTALL | re.MULTILINE)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    prose = re.sub(r"^ *```.*?^ *```", "", page, flags=re.DOTALL | re.MULTILINE)
    lines += re.findall(r"`([^`\n]+)`", prose)
    for line in dict.fromkeys(lines):
        if re.match(r"db-analyze( |$)", line) and not re.search(r"…|COMMAND|\w\|\w", line):
            words = shlex.split(line, comments=True)
            ends = [words.index(end) for end in ("|", ">", "&&") if end in words]
            yield " ".join(words[: min(ends, default=None)])
