"""What a run leaves in the history, and what the history tells it. Without a history, the run goes on."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click
import sqlalchemy as sa

from pgwatch_wed import paths
from pgwatch_wed.cli import snapshot_sets
from pgwatch_wed.config import Config, Ignore
from pgwatch_wed.errors import HistoryError, UsageError
from pgwatch_wed.facts import Cause, Missing, Snapshot
from pgwatch_wed.findings import Report
from pgwatch_wed.gather.wanted import Since, nothing
from pgwatch_wed.history import identity, recall, remembered, runs, states, store
from pgwatch_wed.history.lifecycle import Acknowledgement, FindingState, Presence
from pgwatch_wed.ignoring import acknowledged_as
from pgwatch_wed.render import json_v1

F = TypeVar("F", bound=Callable[..., Any])

HISTORY_OPTION = click.option(
    "--history",
    "history_url",
    metavar="URL",
    help="Where runs are kept: a path, sqlite:///PATH or postgresql://… [default: a file in the user's state directory]",
)
_OPTIONS = (
    HISTORY_OPTION,
    click.option("--no-history", is_flag=True, help="Neither read nor write the history of runs."),
)

_NOT_WANTED = Missing(
    "earlier runs were not consulted (--no-history)", "run without --no-history", Cause.NOT_ASKED
)


def remembering(command: F) -> F:
    """Add the options that name the history."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


class Memory:
    """The history of one run; after the first failure, which is said in one line, it does nothing."""

    def __init__(self, url: str | None, *, is_wanted: bool) -> None:
        self._url = url
        self._store: store.Store | None = None
        self._run: runs.StoredRun | None = None
        self._why_not: Missing | None = None if is_wanted else _NOT_WANTED

    @classmethod
    def from_options(cls, given: dict[str, Any], settings: Config) -> "Memory":
        """Return what the command line and the configuration request."""
        url = given.get("history_url") or settings.history
        is_wanted = not given.get("no_history")
        if not is_wanted and given.get("history_url"):
            raise UsageError("--history and --no-history exclude each other")
        return cls(url, is_wanted=is_wanted)

    def remember(self, read: tuple[Snapshot, ...]) -> None:
        """Store what was read, before anything is concluded from it."""
        with _Said(self):
            if self._why_not is None:
                self._store = store.open_store(self._url)
                with self._store.writing() as connection:
                    self._run = remembered.remember(connection, read)

    def recall(self, measured: tuple[Snapshot, ...]) -> tuple[Snapshot, ...]:
        """Return the snapshots with what earlier runs tell."""
        with _Said(self):
            if self._store is not None:
                with self._store.reading() as connection:
                    return recall.recalled(connection, measured)
        return recall.without_history(measured, self._why_not or _NOT_WANTED)

    def acknowledged(self, settings: Config, read: tuple[Snapshot, ...]) -> Config:
        """Return the configuration with what somebody has acknowledged; say what has expired."""
        with _Said(self):
            if self._store is not None:
                with self._store.reading() as connection:
                    cluster = self._cluster(connection, read)
                    known = states.acknowledged(connection, cluster, read) if cluster else ()
                holding = [given for given, _ in known if given.holds(read[0].now)]
                for given, state in known:
                    if given not in holding and state is not None and state.state is Presence.OPEN:
                        _say_expired(given, state)
                return replace(settings, acknowledged=tuple(map(acknowledged_as, holding)))
        return settings

    def _cluster(self, connection: sa.Connection, read: tuple[Snapshot, ...]) -> int | None:
        """Return the server in the history; one of which only a part was read may not be there."""
        if self._run is not None:
            return self._run.cluster_id
        owner = identity.identify(connection, read[0])
        return owner.cluster_id if owner else None

    def conclude(self, report: Report, snapshots: tuple[Snapshot, ...]) -> None:
        """Store what was concluded."""
        with _Said(self):
            if self._store is not None and self._run is not None:
                document = json_v1.render(report, snapshots)
                with self._store.writing() as connection:
                    remembered.conclude(connection, self._run, report, document, snapshots)
                remembered.tidy(self._store)
            if self._store is not None:
                self._store.close()

    def fail(self, error: HistoryError) -> None:
        """Go on without a history."""
        self._store = None
        self._why_not = Missing(error.message, error.hint, Cause.FAILED)
        _warn("nothing is kept of this run", error)


def acknowledged_before(
    read: tuple[Snapshot, ...], settings: Config, given: dict[str, Any]
) -> Config:
    """Return the configuration with what somebody has acknowledged; nothing of this run is kept.

    A history that cannot be read is said in one line: it does not cost what was read for minutes.
    """
    if given.get("no_history"):
        return settings
    try:
        holding = _holding(given.get("history_url") or settings.history, read)
    except HistoryError as error:
        _warn("what was acknowledged is not known", error)
        return settings
    return replace(settings, acknowledged=holding)


def _holding(url: str | None, read: tuple[Snapshot, ...]) -> tuple[Ignore, ...]:
    where = store.place(url)
    if where.kind == "file" and not paths.exists(Path(where.value)):
        if url is None:
            return ()
        raise HistoryError(f"there is no history at {where.value}", "db-analyze run creates it")
    with store.unchanged(url) as opened, opened.reading() as connection:
        owner = identity.identify(connection, read[0])
        known = states.acknowledged(connection, owner.cluster_id, read) if owner else ()
    return tuple(acknowledged_as(each) for each, _ in known if each.holds(read[0].now))


def _warn(what: str, error: HistoryError) -> None:
    hint = f" ({error.hint})" if error.hint else ""
    click.echo(f"warning: {what}: {error.message}{hint}", err=True)


def _say_expired(given: Acknowledgement, state: FindingState) -> None:
    click.echo(
        f"note: acknowledged by {given.name} until {given.until:%Y-%m-%d}, and still there: "
        f"{state.rule} {state.label} ({given.reason})",
        err=True,
    )


class _Said:
    """Turns a failure of the history into one line."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, _: object) -> bool:
        if isinstance(error, HistoryError):
            self._memory.fail(error)
            return True
        return False


def since(
    references: tuple[str, ...],
    given: dict[str, Any],
    settings: Config,
    option: str = "--since",
) -> Since:
    """Return what finds the snapshots to compare with: files, or one run of the history.

    Raises :class:`SnapshotError` for a file that cannot be read, before minutes are spent.
    """
    if not references:
        return nothing
    paths = [Path(text) for text in references if is_file(text)]
    if len(paths) == len(references):
        files = snapshot_sets.load_earlier(tuple(paths), option)
        return lambda _read: files
    if len(references) > 1:
        raise UsageError(f"{option} takes files, one per database, or one run or date")
    if given.get("no_history"):
        raise UsageError(
            f"{references[0]} is no file", "without --no-history it may be a run or a date"
        )
    opened = open_for(references[0], given.get("history_url") or settings.history)
    any_server = option == "--baseline"  # of another server, names are compared
    return lambda read: _of_run(opened, references[0], read, any_server=any_server)


def open_for(reference: str, url: str | None) -> store.Store:
    """Open the history to look up what is no file; if there is none, say of what it was to tell."""
    try:
        return store.open_store(url, must_exist=True)
    except HistoryError as error:
        raise HistoryError(
            f"{reference!r} is no file, and no run is known: {error.message}", error.hint
        ) from None


def is_file(text: str) -> bool:
    """Tell whether a reference means a file: what looks like one is not looked up as a name."""
    return paths.exists(Path(text)) or "/" in text or text.endswith((".zst", ".json"))


def _of_run(
    opened: store.Store, reference: str, read: tuple[Snapshot, ...], *, any_server: bool
) -> tuple[Snapshot, ...]:
    with opened.reading() as connection:
        owner = identity.identify(connection, read[0])
        if owner is None and not any_server:
            raise UsageError(
                f"the history has no earlier run of this server, so none of {reference}",
                "see `db-analyze history list`",
            )
        run = runs.find(connection, reference, owner.cluster_id if owner else None)
        found = runs.read(connection, run)
    wanted = {s.server.database_oid for s in read}
    mine = tuple(s for s in found if s.server.database_oid in wanted)
    if owner is None:
        return found
    if not mine:
        names = ", ".join(s.server.database for s in read)
        raise UsageError(f"run {run.id} has no snapshot of {names}", "choose another run")
    return mine
