"""Where `plan` writes: files that were not there before, all of them or none."""

from collections.abc import Mapping
from pathlib import Path

from pgwatch_wed import paths
from pgwatch_wed.cli import report_files
from pgwatch_wed.errors import Error, UsageError
from pgwatch_wed.facts.file import write_private


def undo_path(path: Path) -> Path:
    """Return the file of the script that undoes another: ``plan.undo.sql`` beside ``plan.sql``."""
    return path.with_name(f"{path.stem}.undo{path.suffix}")


def check_new(*files: Path) -> None:
    """Raise what :func:`write_new` would raise, before a run that takes long; nothing is left there."""
    for path in files:
        if paths.exists(path):
            raise UsageError(f"{path} exists", "choose another name, or remove it")
        if not paths.is_directory(path.parent):
            raise UsageError(f"directory {path.parent} does not exist")
        report_files.check_writable(path.parent)


def write_new(documents: Mapping[Path, str]) -> None:
    """Write files, none of which may exist; raises :class:`Error` if that is not possible."""
    mine: list[Path] = []
    is_done = False
    try:
        for path in documents:
            path.touch(mode=0o600, exist_ok=False)
            mine.append(path)
        for path, text in documents.items():
            write_private(path, text.encode("utf-8", "replace"), mode=0o640)
        is_done = True
    except OSError as error:
        failed = error.filename or next(iter(documents))
        raise Error(f"could not write {failed}: {error.strerror or error}") from None
    finally:
        for path in () if is_done else mine:
            path.unlink(missing_ok=True)
