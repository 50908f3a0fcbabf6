"""Where `collect` keeps what it has read: in files, in the history, or both."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from pgwatch_wed import redaction
from pgwatch_wed.cli.options import FilePath
from pgwatch_wed.cli.snapshot_files import SnapshotFiles
from pgwatch_wed.errors import UsageError
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts import file as snapshot_file
from pgwatch_wed.history import remembered, runs
from pgwatch_wed.history.store import Store, open_store

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--output",
        "-o",
        type=FilePath(readable=False),
        help="The snapshot file to write, for example shop.json.zst, or a directory for files with the time in their names.",
    ),
    click.option(
        "--history",
        "history_url",
        is_flag=False,
        flag_value="",
        metavar="[URL]",
        help="Also, or only, keep it in the history, which `run` compares with. [default: that of `run`]",
    ),
)


def keeping(command: F) -> F:
    """Add the options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Keeper:
    """Writes what a round has read."""

    files: SnapshotFiles | None
    history: Store | None
    redact: bool
    allowed_names: tuple[str, ...]
    quiet: bool

    def keep(self, snapshots: tuple[Snapshot, ...]) -> None:
        """Keep the snapshots of one round, one per database."""
        snapshots = self._shown(snapshots)
        if self.files is not None:
            self._write(self.files, snapshots)
        if self.history is not None:
            self._remember(self.history, snapshots)

    def keep_last(self, snapshots: tuple[Snapshot, ...]) -> None:
        """Keep what there is of an interrupted round; the history takes only whole ones."""
        if self.files is not None:
            self._write(self.files, self._shown(snapshots))
        else:
            click.echo("db-analyze: samples since the last round are not kept without -o", err=True)

    def _shown(self, snapshots: tuple[Snapshot, ...]) -> tuple[Snapshot, ...]:
        return redaction.redacted(snapshots, self.allowed_names) if self.redact else snapshots

    def _write(self, files: SnapshotFiles, snapshots: tuple[Snapshot, ...]) -> None:
        for path, snapshot in zip(files.paths(snapshots), snapshots, strict=True):
            snapshot_file.save(snapshot, path)
            self._say(f"written: {path}")

    def _remember(self, history: Store, snapshots: tuple[Snapshot, ...]) -> None:
        with history.writing() as connection:
            run, _ = runs.add(connection, runs.NewRun(snapshots))
        remembered.tidy(history)
        self._say(f"kept: run {run.id} of the history")

    def _say(self, text: str) -> None:
        if not self.quiet:
            click.echo(text, err=True)


def keeper(
    output: str | None,
    history_url: str | None,
    target: str | None,
    *,
    is_repeated: bool,
    **more: Any,
) -> Keeper:
    """Return where to keep what is read; raise UsageError if that is nowhere."""
    if output is None and history_url is None:
        raise UsageError("nothing says where to keep it", "use -o FILE, -o DIRECTORY/ or --history")
    if history_url and target is None:
        # `--history TARGET` would write into the target
        raise UsageError(
            "--history took the word after it for its URL, and there is no TARGET",
            "put TARGET first, or --history last",
        )
    files = SnapshotFiles.of(output, is_repeated=is_repeated) if output is not None else None
    history = open_store(history_url or None) if history_url is not None else None
    return Keeper(files, history, **more)
