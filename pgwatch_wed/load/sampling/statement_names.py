"""One name for a statement, whether the server tells its query id, and whatever values are in its text."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from pgwatch_wed.load.sampling.active_samples import NO_STATEMENT, SampledStatement
from pgwatch_wed.load.sampling.session_look import SeenProcess, SessionLook
from pgwatch_wed.sqltext.statement_link import linkable
from pgwatch_wed.sqltext.text import normalise

# Thousands of texts differ only in these; reading each as SQL would take longer than the block.
_VALUES = re.compile(r"'(?:[^']|'')*'|(?<![\w$])\d+(?:\.\d+)?\b")
_SHOWN = 1_000


@dataclass(slots=True)
class StatementNames:
    """Gives statements their keys. ``text_size`` is where the server cuts texts."""

    text_size: int = 1024
    _by_id: dict[int, str] = field(default_factory=dict)
    _by_text: dict[str, str] = field(default_factory=dict)
    _texts: dict[str, str] = field(default_factory=dict)

    def learn(self, looks: Iterable[SessionLook]) -> None:
        """Take note of texts: the server is asked for each only once, which may be before the looks that count."""
        for look in looks:
            for process in look.processes:
                if process.query_id is not None and process.query:
                    self.key(process)

    def key(self, process: SeenProcess) -> str:
        """Return the key of what a process runs, or ran last."""
        if process.query_id is not None and process.query_id in self._by_id:
            return self._by_id[process.query_id]
        text = process.query or ""
        if not text:
            key = NO_STATEMENT if process.query_id is None else f"id {process.query_id}"
        elif len(text.encode()) >= self.text_size - 4 and process.query_id is not None:
            key = f"id {process.query_id}"  # what was cut off may differ
            self._texts.setdefault(key, normalise(text)[:_SHOWN])
        else:
            key = self._of_text(text)
        if process.query_id is not None:
            self._by_id[process.query_id] = key
        return key

    def _of_text(self, text: str) -> str:
        short = _VALUES.sub(lambda m: "''" if m[0][0] == "'" else "0", text)
        if short not in self._by_text:
            key = linkable(short)
            self._by_text[short] = key
            self._texts.setdefault(key, normalise(short)[:_SHOWN])
        return self._by_text[short]

    def statements(self) -> dict[str, SampledStatement]:
        """Return what is known of each key."""
        ids: dict[str, list[int]] = {}
        for query_id, key in self._by_id.items():
            ids.setdefault(key, []).append(query_id)
        return {
            key: SampledStatement(
                key=key, text=self._texts.get(key, ""), query_ids=tuple(sorted(ids.get(key, ())))
            )
            for key in (*self._texts, *(k for k in ids if k not in self._texts))
            if key != NO_STATEMENT
        }
