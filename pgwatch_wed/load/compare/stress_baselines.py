"""Stored load tests to compare with: a file, or a name in the user's state directory."""

import json
import re
from pathlib import Path

import platformdirs

from pgwatch_wed import paths
from pgwatch_wed.errors import Error, UsageError, said
from pgwatch_wed.load.compare.measured_runs import (
    MeasuredRun,
    NoStressDocumentError,
    measured_run,
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
_MOST_BYTES = 256 * 1024**2


def baseline_folder() -> Path:
    """Return where named baselines are kept."""
    return platformdirs.user_state_path("pgwatch_wed") / "stress-baselines"


def read_baseline(baseline: str, folder: Path | None = None) -> MeasuredRun:
    """Read a file or a named baseline; raises :class:`UsageError` if there is none, or it cannot be compared."""
    path = _found(baseline, folder or baseline_folder())
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"{path} is too large for a report of db-analyze stress")
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        text = said(error) if isinstance(error, OSError) else "it is not JSON"
        raise UsageError(f"cannot read the baseline {path}: {text}") from error
    try:
        return measured_run(document)
    except NoStressDocumentError as error:
        hint = "run db-analyze stress with --save-baseline again, with this version"
        raise UsageError(f"the baseline {path} cannot be used: {error}", hint) from error


def save_baseline(name: str, document: str, folder: Path | None = None) -> Path:
    """Keep a report under a name, in place of an earlier one; returns the file."""
    check_baseline_name(name)
    path = (folder or baseline_folder()) / f"{name}.json"
    unfinished = path.with_suffix(".json.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(document, encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise Error(f"cannot save the baseline {path}: {said(error)}") from error
    return path


def check_baseline_name(name: str) -> None:
    """Raise :class:`UsageError` if a baseline cannot have that name: before the load runs, not after."""
    if not _NAME.match(name):
        raise UsageError(
            f"{name!r} cannot be the name of a baseline",
            "a name consists of letters, digits, dots, hyphens and underscores",
        )


def _found(baseline: str, folder: Path) -> Path:
    if paths.exists(Path(baseline)):
        return Path(baseline)
    if _NAME.match(baseline):
        named = folder / f"{baseline}.json"
        if paths.exists(named):
            return named
        known = sorted(p.stem for p in folder.glob("*.json")) if paths.is_directory(folder) else []
        hint = f"known are {', '.join(known)}" if known else "--save-baseline NAME keeps one"
        raise UsageError(f"there is no baseline or file {baseline}", hint)
    raise UsageError(f"there is no file {baseline}")
