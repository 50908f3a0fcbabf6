"""What pgbench writes to stderr → which clients were lost, and the server's first errors.

It speaks English, since it is started so. What the server says may be in any language, and is only shown.
"""

import re
import threading
from collections.abc import Iterable, Sequence
from typing import IO

from pgwatch_wed.errors import redact
from pgwatch_wed.load.load_model import LoadScript

MAX_ERRORS = 5
_LONGEST = 300
_PREFIX = re.compile(r"pgbench: (error: |fatal: |warning: )?")
_CLIENT = re.compile(r"client (\d+)\b")
_SCRIPT = re.compile(r"\bscript (\d+)\b")
# The server's words follow the place: "client 3 script 0 aborted in command 1 query 0: ERROR:  ..."
_PLACE = re.compile(r"client \d+ [^:;]*[:;] +")
_CONTINUES = " got an error in command "  # after which the client goes on
_LOST, _CONNECTING = " aborted", " aborted while establishing connection"


class Complaints:
    """Reads a stream in a thread of its own, so that pgbench never waits for us."""

    def __init__(self, stream: IO[str], scripts: Sequence[LoadScript]) -> None:
        self._scripts = scripts
        self._errors: dict[str, None] = {}  # in order, each once
        self._last = ""
        self.lost: set[int] = set()
        self.not_connected: set[int] = set()
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    @property
    def errors(self) -> tuple[str, ...]:
        """The first errors, each once."""
        return tuple(self._errors)

    def wait(self) -> None:
        """Wait until all was read; pgbench must have ended."""
        self._thread.join(timeout=10)

    def why_it_failed(self) -> str:
        """Return the most telling line, if no transaction ran; not what the server says of values of users."""
        error = next(iter(self._errors), None)
        if error is None:
            return self._last
        if any(script.has_user_values for script in self._scripts):
            return f"{error.partition(':')[0]}: an error, whose text may contain values"
        return error

    def _read(self, stream: Iterable[str]) -> None:
        for line in stream:
            self._note(line)

    def _note(self, line: str) -> None:
        prefix = _PREFIX.match(line)
        if prefix is None:
            return
        text = line[prefix.end() :].strip()
        self._last = self._last or _tidy(text)
        client = _CLIENT.match(text)
        if client is None:
            return
        place = found[0] if (found := _PLACE.match(text)) else text
        if _CONNECTING in place:
            self.not_connected.add(int(client[1]))
        elif _LOST in place:
            self.lost.add(int(client[1]))
        elif not prefix[1] and _CONTINUES not in place:
            return
        if len(self._errors) < MAX_ERRORS:
            self._errors[self._shown(text)] = None

    def _shown(self, text: str) -> str:
        script = _SCRIPT.search(text)
        where = f"{self._scripts[int(script[1])].name}: " if script else ""
        return where + _tidy(_PLACE.sub("", text, count=1))


def _tidy(text: str) -> str:
    line = redact(" ".join(text.split()))
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
