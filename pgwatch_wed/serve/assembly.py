"""The configuration file → the parts that run beside the HTTP.

Each part reads its own table, and an error there names the file and the key before anything starts.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pgwatch_wed import config
from pgwatch_wed.serve import settings as serving
from pgwatch_wed.serve.collector import settings as collecting
from pgwatch_wed.serve.collector.collector import Collector
from pgwatch_wed.serve.settings import ServeSettings
from pgwatch_wed.serve.state import Board


class ServicePart(Protocol):
    """What runs beside the HTTP."""

    def start(self) -> None:
        """Begin, in a thread of its own; return at once."""

    def stop(self) -> None:
        """End, within a second."""


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """The configuration file as the service reads it; ``source`` is how errors name it."""

    serve: ServeSettings
    analysis: config.Config
    tables: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""

    def table(self, name: str) -> Mapping[str, Any]:
        """Return the table of a part."""
        found: Mapping[str, Any] = self.tables.get(name, {})
        return found


def load(path: Path | None, listen: str | None = None) -> ServiceSettings:
    """Read the configuration file and the environment; an error names the file and the key."""
    tables, source = config.tables(path)
    analysis = config.parse(tables, source)
    table = dict(tables.get("serve", {}))
    if listen is not None:
        serving.address(listen, "--listen")
        table["listen"] = listen
    serve = serving.parse(table, source, os.environ)
    serving.check_access(serve, source)
    return ServiceSettings(serve, analysis, tables, source)


def parts(
    settings: ServiceSettings, board: Board, now: Callable[[], float]
) -> dict[str, ServicePart]:
    """Return them by name, in the order in which they start."""
    return dict(_collectors(settings, board, now))


def _collectors(
    settings: ServiceSettings, board: Board, now: Callable[[], float]
) -> Iterator[tuple[str, ServicePart]]:
    pace = collecting.parse(settings.serve.room("collector"), settings.source)
    for target in settings.serve.targets:
        yield (
            f"collector-{target.name}",
            Collector(
                board, target.name, target.conninfo, pace, settings.analysis, now, time.monotonic
            ),
        )
