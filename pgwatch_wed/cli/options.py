"""Options that several commands share."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from pgwatch_wed import config, units
from pgwatch_wed.cli.baseline import Baseline
from pgwatch_wed.errors import redact
from pgwatch_wed.findings import Severity, Standing
from pgwatch_wed.gather.wanted import Since, nothing
from pgwatch_wed.history.gate import FailOn
from pgwatch_wed.render import formats
from pgwatch_wed.rules import all_rules, areas
from pgwatch_wed.suggestions import meant

F = TypeVar("F", bound=Callable[..., Any])

FAIL_ON = (*(s.value for s in Severity), "never")
_STANDINGS = {"new": Standing.NEW, "worse": Standing.WORSE}


@dataclass(frozen=True, slots=True)
class Output:
    """Where reports go, and in which formats."""

    formats: tuple[str, ...]
    folder: Path
    redact: bool
    allowed_names: tuple[str, ...]
    quiet: bool
    verbose: bool
    fail_on: tuple[FailOn, ...]
    since: Since = nothing
    baseline: Baseline | None = None


def _not_one_of(name: str, choices: tuple[str, ...]) -> str:
    suggestion = meant(name, choices)
    return f"{name!r} is not one of {', '.join(choices)}" + (
        f"; {suggestion}" if suggestion else ""
    )


class CommaList(click.ParamType[Any]):
    """Values separated by commas; the option may also be repeated."""

    name = "list"

    def __init__(self, choices: tuple[str, ...] = ()) -> None:
        self.choices = choices

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Split the list and check each value."""
        names = tuple(part.strip() for part in str(value).split(",") if part.strip())
        for name in names:
            if self.choices and name not in self.choices:
                self.fail(_not_one_of(name, self.choices), param, ctx)
        return names

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - Click's signature
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Complete the last value of the list."""
        before, comma, last = incomplete.rpartition(",")
        given = set(before.split(","))
        return [
            CompletionItem(f"{before}{comma}{name}")
            for name in self.completed()
            if name.startswith(last) and name not in given
        ]

    def completed(self) -> Iterable[str]:
        """Return the values that a shell offers."""
        return self.choices


class RuleList(CommaList):
    """Rules and areas separated by commas."""

    def completed(self) -> Iterable[str]:
        """Return all areas and rules."""
        return (*areas(), *(r.id for r in all_rules()))


def rest_of_list(args: Sequence[str]) -> str:
    """Say that a list takes commas if a rule or an area follows one: ``--only lock connection``."""
    threes = zip(args, args[1:], args[2:], strict=False)
    lists = [three for three in threes if three[0] in ("--only", "--ignore")]
    known = {*areas(), *(r.id for r in all_rules())} if lists else set()
    for option, first, second in lists:
        if second in known:
            return f"{second!r} was taken for a target; use {option} {first},{second}"
    return ""


class SizeType(click.ParamType[int]):
    """A size such as ``500MB``, in the units of postgresql.conf."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return bytes."""
        try:
            return units.read_size(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a valid size; use for example 500MB or 2GB", param, ctx)


class FilePath(click.Path):
    """A path; never a target with a password, which would become a file's name and be printed."""

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str | bytes | os.PathLike[str]:
        """Refuse what is no path."""
        if redact(str(value)) != str(value):
            self.fail(f"{str(value)!r} is a connection string, not a path", param, ctx)
        return super().convert(value, param, ctx)


class FailOnType(click.ParamType[Any]):
    """Severities separated by commas, each possibly with ``new:`` or ``worse:``."""

    name = "severity"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[FailOn, ...]:
        """Read each of them."""
        words = [part.strip() for part in str(value).split(",") if part.strip()]
        return tuple(self._read(word, param, ctx) for word in words if word != FAIL_ON[-1])

    def _read(self, word: str, param: click.Parameter | None, ctx: click.Context | None) -> FailOn:
        standing, _, severity = word.rpartition(":")
        if severity not in FAIL_ON[:-1] or standing not in ("", *_STANDINGS):
            prefixed = "new: or worse: may precede a severity"
            self.fail(f"{_not_one_of(word, FAIL_ON)}; {prefixed}", param, ctx)
        return FailOn(Severity(severity), _STANDINGS.get(standing))


def flat(values: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """Join the values of a repeated comma list, without duplicates."""
    return tuple(dict.fromkeys(part for value in values for part in value))


_REDACTING = (
    click.option("--redact", is_flag=True, help="Replace all names with placeholders."),
    click.option(
        "--allow-name",
        "allowed_names",
        multiple=True,
        metavar="GLOB",
        help="Names that --redact keeps (repeatable).",
    ),
)
_REPORTING = (
    click.option(
        "--format",
        "formats",
        multiple=True,
        type=CommaList(tuple(formats.FORMATS)),
        metavar="FORMAT[,FORMAT…]",
        help=f"One or more of {', '.join(formats.FORMATS)}. [default: {','.join(formats.DEFAULT)}]",
    ),
    click.option(
        "--output",
        "-o",
        "folder",
        type=FilePath(file_okay=False, path_type=Path),
        default=Path("db-analysis-results"),
        show_default=True,
        help="The directory for report files.",
    ),
    click.option(
        "--only",
        multiple=True,
        type=RuleList(),
        metavar="RULE|AREA[,…]",
        help="Only these rules or areas, separated by commas (`db-analyze explain` lists them). `run` then reads only what they "
        "need and keeps nothing in the history, unless --history is given.",
    ),
    click.option(
        "--ignore",
        multiple=True,
        type=RuleList(),
        metavar="RULE|AREA[,…]",
        help="Skip these rules or areas, separated by commas.",
    ),
    click.option(
        "--min-severity",
        type=click.Choice([s.value for s in Severity]),
        help="Hide findings below this severity; they are still counted.",
    ),
    click.option(
        "--fail-on",
        "fail_on",
        multiple=True,
        type=FailOnType(),
        metavar="[new:|worse:]SEVERITY[,…]",
        help="Exit with status 1 if there is a finding of this severity or worse; with new: or worse:, only "
        "one that is new, or worse, compared with --baseline. [default: never]",
    ),
    click.option(
        "--window",
        type=click.FloatRange(min=0),
        metavar="DAYS",
        help="How long the counters must cover before anything is called unused. [default: each rule's own]",
    ),
    click.option(
        "--memory",
        type=SizeType(),
        metavar="SIZE",
        help="The RAM of the server's machine, such as 64GB, which SQL cannot query. [default: memory in the configuration]",
    ),
    click.option(
        "--config",
        "config_file",
        type=FilePath(dir_okay=False, readable=False, path_type=Path),
        help="The configuration file. [default: ./pgwatch_wed.toml, or pyproject.toml]",
    ),
    *_REDACTING,
    click.option("--quiet", "-q", is_flag=True, help="Print only errors."),
    click.option("--verbose", "-v", is_flag=True, help="Print all findings in full."),
)


def reporting(command: F) -> F:
    """Add the options that control evaluation and reports."""
    for option in reversed(_REPORTING):
        command = option(command)
    return command


def comparing(command: F) -> F:
    """Add the option that compares with an earlier snapshot."""
    option = click.option(
        "--since",
        "since_references",
        multiple=True,
        metavar="FILE|RUN|DATE",
        help="An earlier snapshot (a file or a run of the history); only what was counted since then is evaluated (files are repeatable: one per database).",
    )
    return option(command)


def with_baseline(command: F) -> F:
    """Add the option that compares findings with those of an earlier run."""
    option = click.option(
        "--baseline",
        "baseline_references",
        multiple=True,
        metavar="FILE|RUN|NAME",
        help="An earlier snapshot or JSON report, or a run or baseline of the history: each finding is said to be "
        "new, worse or known (files are repeatable: one snapshot per database).",
    )
    return option(command)


def build_config(
    config_file: Path | None,
    only: tuple[tuple[str, ...], ...],
    ignore: tuple[tuple[str, ...], ...],
    min_severity: str | None,
    window: float | None,
    memory: int | None = None,
) -> config.Config:
    """Return the configuration; options take precedence over the file."""
    settings = config.load(config_file)
    chosen, ignored = flat(only), flat(ignore)
    config.check_names(chosen, "--only")
    config.check_names(ignored, "--ignore")
    return replace(
        settings,
        only=chosen or settings.only,
        ignore=(*settings.ignore, *ignored),
        min_severity=Severity(min_severity) if min_severity else settings.min_severity,
        window_days=window if window is not None else settings.window_days,
        memory_bytes=memory or settings.memory_bytes,
    )


def redacting(command: F) -> F:
    """Add the options that replace names."""
    for option in reversed(_REDACTING):
        command = option(command)
    return command
