"""Small parts of a snapshot that nearly each run changes, together in one blob: each by itself would cost more than it holds.

A part of a group has the address of the group and its own name: ``HASH:wal``. In the list of a snapshot's parts, a group
is one row, whose name says which parts it holds: a bit for each of :data:`GROUPED`.
"""

import json
from collections.abc import Mapping

from pgwatch_wed.errors import HistoryError

GROUPED = (
    *("databases", "checkpoints", "wal", "io", "slru", "archiver", "replicas", "slots"),
    *("slot_spills", "recovery", "prepared_transactions", "sessions", "subtransactions"),
    *("lock_waits", "relation_locks", "lock_table", "vacuums", "index_builds"),
    *("statements_info", "system_tables", "large_objects", "table_activity", "index_usage"),
    *("query_costs", "sequences"),
)
"""What is counted, and what is under way. No query looks for these by the addresses of all runs.

Their places are in histories: append, and change none.
"""

_SMALL_BYTES = 16_000
"""What is larger is stored by itself: reading one part of a group reads all of it."""

ROW = ":group "
_SEPARATOR = ":"


def divided(parts: Mapping[str, bytes]) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the parts that are stored together, and the others."""
    together = {n: p for n, p in parts.items() if n in GROUPED and len(p) <= _SMALL_BYTES}
    return together, {name: part for name, part in parts.items() if name not in together}


def written(parts: Mapping[str, bytes]) -> bytes:
    """Return the content of a group."""
    names = sorted(parts)
    sizes = json.dumps({name: len(parts[name]) for name in names}, separators=(",", ":"))
    return b"\n".join((sizes.encode("ascii"), *(parts[name] for name in names)))


def read(content: bytes) -> dict[str, bytes]:
    """Return the parts of a group."""
    head, _, rest = content.partition(b"\n")
    found: dict[str, bytes] = {}
    try:
        for name, size in json.loads(head).items():
            found[name] = rest[:size]
            rest = rest[size + 1 :]
    except (ValueError, TypeError, AttributeError):
        raise HistoryError(
            "a part of the history is damaged: a group", "restore it from a backup"
        ) from None
    return found


def address_in(group: str, name: str) -> str:
    """Return the address of a part of a group."""
    return f"{group}{_SEPARATOR}{name}"


def split(address: str) -> tuple[str, str]:
    """Return the address of a group and the name of the part; of other parts, the address and an empty name."""
    whole, _, name = address.partition(_SEPARATOR)
    return whole, name


def group_in(addresses: Mapping[str, str]) -> str | None:
    """Return the address of the group that holds some of these parts."""
    groups = (split(address) for address in addresses.values())
    return next((whole for whole, name in groups if name), None)


def folded(addresses: Mapping[str, str]) -> dict[str, str]:
    """Return the rows that list these parts: one for each group."""
    rows: dict[str, str] = {}
    groups: dict[str, int] = {}
    for name, address in addresses.items():
        whole, part = split(address)
        if part:
            groups[whole] = groups.get(whole, 0) | 1 << GROUPED.index(part)
        else:
            rows[name] = address
    return rows | {f"{ROW}{bits:x}": whole for whole, bits in groups.items()}


def unfolded(rows: Mapping[str, str]) -> dict[str, str]:
    """Return the parts that rows list."""
    found: dict[str, str] = {}
    for name, address in rows.items():
        if name.startswith(ROW):
            bits = int(name.removeprefix(ROW), 16)
            parts = (part for place, part in enumerate(GROUPED) if bits >> place & 1)
            found |= {part: address_in(address, part) for part in parts}
        else:
            found[name] = address
    return found
