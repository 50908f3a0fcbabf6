"""Snapshot files taken apart and put together, in both formats: for tests that look into them or falsify them."""

import json
from collections.abc import Callable
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

import zstandard

from pgwatch_wed.facts import Snapshot, fact_names
from pgwatch_wed.facts import file as snapshot_file

Edit = Callable[[dict[str, Any]], object]


def unpacked(data: bytes) -> bytes:
    """Return all that was compressed."""
    return zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).readall()


def document(snapshot: Snapshot) -> dict[str, Any]:
    """Return a file as one document, with each collection in its place under ``facts``."""
    head, *parts = map(json.loads, unpacked(snapshot_file.dumps(snapshot)).splitlines())
    apart = [name for name, found in head["facts"].items() if "bytes" in found]
    head["facts"] |= dict(zip(apart, parts, strict=True))
    return dict(head)


def lines(changed: dict[str, Any]) -> bytes:
    """Write a document as a file that is not compressed, with every second collection in a line of its own."""
    facts = changed.get("facts")
    if not isinstance(facts, dict):
        return json.dumps(changed).encode()
    apart = {name: facts[name] for name in list(facts)[::2]}
    head = changed | {"facts": facts | {name: {"bytes": 0} for name in apart}}
    return b"\n".join(json.dumps(each).encode() for each in (head, *apart.values()))


def edited(snapshot: Snapshot, edit: Edit) -> bytes:
    """Return a file in which somebody changed something."""
    changed = document(snapshot)
    edit(changed)
    return lines(changed)


def row_by_row(snapshot: Snapshot) -> dict[str, Any]:
    """Return a snapshot as format 1 has it."""
    causes = snapshot.missing.items()
    return {
        "what": "pgwatch_wed snapshot",
        "format": 1,
        "tool_version": snapshot.tool_version,
        "measured_since": _plain(snapshot.measured_since),
        "server": _plain(asdict(snapshot.server)),
        "missing": {name: [m.reason, m.mend] for name, m in causes},
        "causes": {name: [m.cause, m.said] for name, m in causes},
        "facts": {n: _table(getattr(snapshot, n)) for n in fact_names() if getattr(snapshot, n)},
    }


def edited_row_by_row(snapshot: Snapshot, edit: Edit) -> bytes:
    """Return a file in format 1 in which somebody changed something."""
    changed = row_by_row(snapshot)
    edit(changed)
    return json.dumps(changed).encode()


def _table(rows: tuple[Any, ...]) -> dict[str, Any]:
    names = [f.name for f in fields(rows[0])]
    values = [list(_plain(asdict(row)).values()) for row in rows]
    return {"columns": names, "rows": values}


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case tuple() | list():
            return [_plain(v) for v in value]
        case dict():
            return {k: _plain(v) for k, v in value.items()}
    return value
