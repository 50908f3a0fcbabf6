"""Ask about a path that the user named; what lies behind a closed directory is not known, which is no error yet.

Whoever opens the file then says why that is not possible.
"""

import stat
from pathlib import Path


def exists(path: Path) -> bool:
    """Tell whether something is there, as far as this user may see."""
    return _mode(path) is not None


def is_directory(path: Path) -> bool:
    """Tell whether it is a directory, as far as this user may see."""
    mode = _mode(path)
    return mode is not None and stat.S_ISDIR(mode)


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except (OSError, ValueError):  # ValueError: a null character
        return None
