"""The text of a file or of standard input, whatever wrote it, within limits."""

import codecs
import os
import select
import sys
import time
from pathlib import Path

from pgwatch_wed.fleet.inventory.listing import SourceFailureError

MOST_BYTES = 128 * 1024**2
# PowerShell writes what it redirects in UTF-16. The longer marks come first.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def of_file(path: Path) -> str:
    """Return the text of a file."""
    try:
        if path.is_dir():
            raise SourceFailureError(
                "it is a directory; name a file in it, or include = ['*.toml']"
            )
        if path.stat().st_size > MOST_BYTES:
            raise SourceFailureError(f"it has more than {MOST_BYTES // 1024**2} MB")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)  # what is no plain file has no size
        check_size(len(data))
        return decoded(data)
    except OSError as error:
        raise SourceFailureError(f"it cannot be read: {error.strerror or error}") from None
    except ValueError:  # a null character in the name
        raise SourceFailureError("it cannot be read: the name is not valid") from None


def of_standard_input(timeout_s: float) -> str:
    """Return all of standard input; whoever writes it must end in time."""
    try:
        descriptor = sys.stdin.fileno()
    except (OSError, ValueError, AttributeError):  # a test, or closed
        return sys.stdin.read() if sys.stdin else ""
    if os.isatty(descriptor):
        raise SourceFailureError("it is a terminal; pipe JSON into it")
    parts: list[bytes] = []
    size, deadline = 0, time.monotonic() + timeout_s
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            raise SourceFailureError(f"it did not end within {timeout_s:g} s")
        part = os.read(descriptor, 1024**2)
        if not part:
            return decoded(b"".join(parts))
        parts.append(part)
        size += len(part)
        check_size(size)


def check_size(size: int) -> None:
    """Refuse what never ends."""
    if size > MOST_BYTES:
        raise SourceFailureError(f"it gives more than {MOST_BYTES // 1024**2} MB")


def decoded(data: bytes) -> str:
    """Return UTF-8, or what a byte order mark says. Bytes that are neither become surrogates, which readers refuse."""
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(
            encoding, "surrogateescape" if encoding.startswith("utf-8") else "strict"
        )
    except UnicodeDecodeError:
        raise SourceFailureError(f"it is not {encoding.upper()}, as its first bytes say") from None
