"""Progress on standard error, on terminals only."""

import shutil
import sys
import time

_WIDTH = 24


class ProgressBar:
    """One line that shows the current step, the progress and the time left."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled and sys.stderr.isatty()
        self._began = time.monotonic()
        self._drawn = False

    def __call__(self, what: str, share: float) -> None:
        """Show a step; ``share`` is the part of the work that is done (0…1)."""
        if not self._enabled:
            return
        done = int(_WIDTH * min(max(share, 0.0), 1.0))
        bar = "━" * done + "╌" * (_WIDTH - done)
        line = f"{bar} {what}{self._left(share)}"
        columns = shutil.get_terminal_size().columns
        sys.stderr.write(f"\r\x1b[2K{line[: columns - 1]}")
        sys.stderr.flush()
        self._drawn = True

    def clear(self) -> None:
        """Remove the line, so that other output starts on a clean one."""
        if self._drawn:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
            self._drawn = False

    def _left(self, share: float) -> str:
        spent = time.monotonic() - self._began
        if share < 0.05 or share >= 1 or spent < 3:
            return ""
        return f" · {spent / share * (1 - share):.0f} s left"
