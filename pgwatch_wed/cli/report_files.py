"""Files of a report: one of each format under a name that no other run uses, none of them half-written."""

import tempfile
from collections.abc import Mapping
from datetime import datetime
from itertools import count
from pathlib import Path

from pgwatch_wed.errors import Error
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
    place = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise _unwritable(folder, error) from None


def _unwritable(folder: Path, error: OSError) -> Error:
    return Error(
        f"could not write to {folder}: {error.strerror or error}",
        "choose another directory with --output",
    )


def _write(documents: Mapping[str, bytes], folder: Path, base: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = _reserved(folder, base, list(documents))
    done: list[Path] = []
    try:
        for path, data in zip(paths, documents.values(), strict=True):
            write_private(path, data, mode=0o640)
            done.append(path)
    finally:
        _remove(paths[len(done) :])
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


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
