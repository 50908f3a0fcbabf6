"""The server's memory, which SQL cannot tell, and what settings promise to take of it."""

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Unknown

DEFAULT_SOURCES = frozenset({"default"})


def is_default(snapshot: Snapshot, name: str) -> bool:
    """Tell whether nobody set it: judged by its source, since hosts have defaults of their own."""
    setting = snapshot.setting_by_name.get(name)
    if setting is None:
        return False
    untouched = setting.source == "default"
    # initdb writes shared_buffers and max_connections into the file with the built-in values
    same = setting.setting == setting.boot_val and setting.source == "configuration file"
    return untouched or (same and name == "shared_buffers")


def no_memory() -> Unknown:
    """Say that RAM is not known."""
    return Unknown(
        "SQL cannot tell how much memory the server has",
        'put memory = "16GB" (what the server has) into pgwatch_wed.toml',
    )


def worst_case_bytes(snapshot: Snapshot) -> float | None:
    """Return what sorts of all connections could take at once, one each: work_mem × connections."""
    work_mem = snapshot.setting_number("work_mem")
    connections = snapshot.setting_number("max_connections")
    hashes = snapshot.setting_number("hash_mem_multiplier") or 1.0
    if work_mem is None or connections is None:
        return None
    return work_mem * hashes * connections
