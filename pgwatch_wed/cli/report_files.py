"""Files of a report: one of each format under a name that no other run uses, none of them half-written."""

import tempfile
from collections.abc import Mapping
from datetime import datetime
from itertools import count
from pathlib import Path

from pgwatch_wed import paths
from pgwatch_wed.errors import Error, UsageError
from pgwatch_wed.facts.file import write_private

# What the names of a command's reports begin with: scripts look for them.
ANALYSIS_REPORT = "analysis-report"
STRESS_REPORT = "report"
PERFORMANCE_REPORT = "dashboard"


def written(
    documents: Mapping[str, bytes], folder: Path, prefix: str, when: datetime
) -> list[Path]:
    """Write documents, by suffix; raises :class:`Error` if that is not possible."""
    try:
        return _write(documents, folder, f"{prefix}-{when:%Y%m%d-%H%M%S}") if documents else []
    except OSError as error:
        raise _unwritable(folder, error) from None


def check_writable(folder: Path) -> None:
    """Raise what :func:`written` would raise, before a run that takes long; nothing is left there."""
    try:
        _try_to_write(folder)
    except OSError as error:
        raise _unwritable(folder, error) from None


def check_file(path: Path) -> None:
    """Raise what writing a file would raise, before a run that takes long; nothing is left there.

    Files are written beside and moved into place, so what is no file, such as /dev/null, would be replaced by one.
    """
    if paths.exists(path) and not path.is_file():
        kind = "a directory" if paths.is_directory(path) else "not a regular file"
        raise UsageError(f"could not write {path}: it is {kind}", "choose a file with --output")
    try:
        _try_to_write(path.parent)
    except OSError as error:
        raise _unwritable_file(path, error) from None


def write_file(path: Path, text: str) -> None:
    """Write a text, completely or not at all; raises :class:`Error` if that is not possible."""
    try:
        write_private(path, text.encode("utf-8", "replace"), mode=0o640)
    except OSError as error:
        raise _unwritable_file(path, error) from None


def write_page(folder: Path, name: str, text: str) -> None:
    """Write a page beside a report, completely or not at all; raises :class:`Error` if that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_private(folder / name, text.encode("utf-8", "replace"), mode=0o640)
    except OSError as error:
        raise _unwritable(folder, error) from None


def _try_to_write(folder: Path) -> None:
    place = next(each for each in (folder, *folder.absolute().parents) if paths.exists(each))
    with tempfile.TemporaryFile(dir=place):
        pass


def _unwritable(folder: Path, error: OSError) -> Error:
    return Error(
        f"could not write to {folder}: {error.strerror or error}",
        "choose another directory with --output",
    )


def _unwritable_file(path: Path, error: OSError) -> Error:
    return Error(
        f"could not write {path}: {error.strerror or error}", "choose another file with --output"
    )


def _write(documents: Mapping[str, bytes], folder: Path, base: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    reserved = _reserved(folder, base, list(documents))
    done: list[Path] = []
    try:
        for path, data in zip(reserved, documents.values(), strict=True):
            write_private(path, data, mode=0o640)
            done.append(path)
    finally:
        _remove(reserved[len(done) :])
    return done


def _reserved(folder: Path, base: str, suffixes: list[str]) -> list[Path]:
    """Create empty files under names that no other run uses, not even one of the same second."""
    for number in count(1):
        stem = base if number == 1 else f"{base}-{number}"
        mine: list[Path] = []
        try:
            for path in (folder / f"{stem}{suffix}" for suffix in suffixes):
                path.touch(mode=0o600, exist_ok=False)
                mine.append(path)
        except FileExistsError:
            _remove(mine)
        except BaseException:
            _remove(mine)
            raise
        else:
            return mine
    raise AssertionError("unreachable")


def _remove(files: list[Path]) -> None:
    for path in files:
        path.unlink(missing_ok=True)
