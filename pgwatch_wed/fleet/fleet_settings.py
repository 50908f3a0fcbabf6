"""``[fleet]`` of the configuration file.

::

    [fleet]
    inventory = ["fleet.toml", "patroni:http://db1:8008"]   # relative to this file
"""

from pathlib import Path
from typing import Any

from pgwatch_wed import config
from pgwatch_wed.errors import UsageError
from pgwatch_wed.fleet.inventory.service_file import default_files
from pgwatch_wed.suggestions import unknown_key

_KEYS = ("inventory",)


def sources(config_file: Path | None) -> tuple[tuple[str, ...], Path]:
    """Return the sources of the configuration, else libpq's service file, and where relative paths begin."""
    tables, name = config.tables(config_file)
    fleet: Any = tables.get("fleet", {})
    if not isinstance(fleet, dict):
        raise UsageError(f"{name}: fleet must be a table such as [fleet]")
    for key in fleet:
        if key not in _KEYS:
            raise unknown_key(f"{name}: fleet", key, _KEYS)
    listed = fleet.get("inventory", [])
    if isinstance(listed, str):
        listed = [listed]
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise UsageError(f"{name}: fleet.inventory must be a list of sources")
    if listed:
        return tuple(listed), config_file.parent if config_file else Path()
    return tuple(f"service:{path}" for path in default_files()), Path()
