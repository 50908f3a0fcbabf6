"""A directory of pgbench scripts as a scenario: one transaction a ``.sql`` file, weights in ``weights.json``.

``prepare.sql``, if it is there, creates and fills the tables first. What cannot run is one line that names the file.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pglast import split
from pglast.parser import ParseError

from pgwatch_wed.errors import Error, UsageError
from pgwatch_wed.load.engine.pgbench_program import MAX_SCRIPTS
from pgwatch_wed.load.engine.pgbench_scripts import check_scripts
from pgwatch_wed.load.load_model import LoadScript, Order, QueryProtocol, Scenario
from pgwatch_wed.whatif.workload import WEIGHTS, weights_of

NAME = "own-scripts"
PREPARE = "prepare.sql"
_MAX_FILE_BYTES = 1_000_000
_MOST_WEIGHT = 1_000_000
_CLIENTS = 16
_IGNORED = re.compile(r"--[^\n]*|/\*.*?\*/|^[ \t]*\\.*?$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class OwnScripts:
    """The scenario of a directory, and what its author should know."""

    scenario: Scenario
    notes: tuple[str, ...]


def from_directory(folder: Path, *, clients: int | None = None) -> OwnScripts:
    """Read a directory; raises :class:`UsageError` that names what is wrong."""
    files = _files(folder)
    weights = weights_of(folder / WEIGHTS, {p.name for p in files})
    scripts = _weighted({p.name: _text(p) for p in files}, weights)
    if not scripts:
        raise UsageError(f"{folder / WEIGHTS} gives all scripts the weight 0")
    if len(scripts) > MAX_SCRIPTS:
        raise UsageError(
            f"{folder} contains {len(scripts)} scripts, and pgbench runs at most {MAX_SCRIPTS}",
            f"leave some out, with the weight 0 in {WEIGHTS}",
        )
    protocol, note = _protocol(folder, scripts)
    found = Scenario(
        name=NAME,
        title=f"Scripts in {folder}",
        prepare=_prepare(folder / PREPARE),
        scripts=scripts,
        clients=clients or _CLIENTS,
        is_writing=True,  # who knows; reading ones lose nothing by it on a ground of our own
        protocol=protocol,
    )
    return OwnScripts(found, (note,) if note else ())


def _files(folder: Path) -> list[Path]:
    try:
        files = sorted(p for p in folder.iterdir() if p.suffix.lower() == ".sql")
    except OSError as error:
        raise UsageError(
            f"the scripts in {folder} could not be read: {error.strerror}",
            "a directory of .sql files is expected, one transaction each",
        ) from None
    files = [p for p in files if p.name != PREPARE]
    if not files:
        raise UsageError(f"{folder} contains no scripts", "put one transaction in each .sql file")
    return files


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise UsageError(f"{path} is larger than 1 MB")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8") from None
    except OSError as error:
        raise UsageError(f"{path} could not be read: {error.strerror}") from None
    if "\0" in text:
        raise UsageError(f"{path} contains a null byte")
    if not _IGNORED.sub("", text).strip(" \t\r\n;"):
        raise UsageError(f"{path} contains no SQL command")
    return text


def _prepare(path: Path) -> tuple[str, ...]:
    if not path.exists():
        return ()
    try:
        return tuple(split(_text(path)))
    except ParseError as error:
        raise UsageError(f"{path}: {error.args[0]}") from None


def _weighted(texts: Mapping[str, str], weights: Mapping[str, float]) -> tuple[LoadScript, ...]:
    """Return the scripts with whole weights, as pgbench wants them; those of weight 0 are left out."""
    given = {name: weights.get(name, 1.0) for name in texts}
    most = max(given.values())
    is_whole = most <= _MOST_WEIGHT and all(w == int(w) for w in given.values())
    factor = 1.0 if is_whole or not most else _MOST_WEIGHT / most
    return tuple(
        LoadScript(name=name, text=texts[name], weight=max(1, round(w * factor)))
        for name, w in given.items()
        if w > 0
    )


def _protocol(folder: Path, scripts: tuple[LoadScript, ...]) -> tuple[QueryProtocol, str]:
    """Return the protocol in which pgbench misreads nothing, and a note if it is not the usual one."""
    order = Order(scripts=scripts, clients=1, rate=None)
    try:
        check_scripts(order)
    except Error as error:
        try:
            check_scripts(replace(order, protocol=QueryProtocol.SIMPLE))
        except Error as worse:
            raise UsageError(f"{folder}: {worse.message}", worse.hint) from None
        note = f"statements were sent in the simple protocol, not as prepared ones: {error.message}"
        return QueryProtocol.SIMPLE, note
    return QueryProtocol.PREPARED, ""
