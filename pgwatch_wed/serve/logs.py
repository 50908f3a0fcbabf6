"""Log lines on standard error: one line each, without what others wrote into a message, a name or an error."""

import logging
import sys
import time

from pgwatch_wed.errors import redact

_MOST = 500


class OneLine(logging.Formatter):
    """One line a record; of an error its type and place, for its text may hold what a query returned."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        text = super().format(record)
        return redact("".join(c if c.isprintable() else " " for c in text))[:_MOST]

    def formatException(self, ei: object) -> str:  # noqa: N802 - the standard library's name
        """Return what failed and where."""
        _kind, error, at = ei if isinstance(ei, tuple) else (None, None, None)
        while at is not None and at.tb_next is not None:
            at = at.tb_next
        where = f" at {at.tb_frame.f_code.co_name}:{at.tb_lineno}" if at is not None else ""
        return f"({type(error).__name__}{where})"


def to_standard_error() -> None:
    """Send what this process logs there."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("pgwatch_wed").setLevel(logging.INFO)
