"""``/metrics``: what the parts rendered when they made it, and the few live series of this process."""

import importlib
from collections.abc import Callable
from typing import Any

from pgwatch_wed.serve.state import Board

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
# Rendered under this name for another path.
ELSEWHERE = ("postgres_exporter",)


class Exposition:
    """Joins them; asks nobody."""

    def __init__(self, board: Board) -> None:
        self._board = board
        client: Any = importlib.import_module("prometheus_client")
        self._live: Callable[[], bytes] = lambda: client.generate_latest(client.REGISTRY)

    def body(self) -> bytes:
        """Return the text format."""
        rendered = self._board.state.rendered
        parts = [text for name, text in sorted(rendered.items()) if name not in ELSEWHERE]
        return b"".join((*parts, self._live()))

    def other(self, name: str) -> bytes | None:
        """Return what was rendered for another path."""
        return self._board.state.rendered.get(name)
