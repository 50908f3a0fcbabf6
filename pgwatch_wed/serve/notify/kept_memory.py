"""What was told survives a restart: one small file, replaced whole. A corrupt one costs what it held, not the start."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pgwatch_wed.serve.notify.fingerprints import identity
from pgwatch_wed.serve.notify.grouped import GroupKey, GroupMemory
from pgwatch_wed.serve.state import Alert

Memories = dict[GroupKey, GroupMemory]
_VERSION = 1
_LATEST = 7_258_118_400.0  # in the year 2200; what comes later could not be written as a date


def load(path: Path) -> tuple[Memories, str]:
    """Return what is kept, and one line about a file that cannot be used; it is put aside."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}, ""
    except (OSError, UnicodeDecodeError) as error:
        return (
            {},
            f"could not read {path}: {getattr(error, 'strerror', None) or 'it is not text'}; starting without it",
        )
    try:
        document = json.loads(text)
        if document["version"] != _VERSION:
            raise ValueError
        return dict(_group(each) for each in document["groups"]), ""
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        aside = path.with_name(path.name + ".corrupt")
        with suppress(OSError):
            path.replace(aside)
        return {}, f"{path} is corrupt; it is now {aside.name}, and what had been told is forgotten"


def save(path: Path, memories: Memories) -> str:
    """Write what is to be kept; return one line about why that is not possible."""
    groups = [_document(g, m) for g, m in memories.items() if not m.is_empty]
    content = json.dumps({"version": _VERSION, "groups": groups})
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        return (
            f"could not write {path}: {error.strerror or error}; what was told is lost at a restart"
        )
    return ""


def _document(group: GroupKey, memory: GroupMemory) -> dict[str, Any]:
    return {
        "group": [list(pair) for pair in group],
        "told": [_alert(a) for a in memory.told.values()],
        "owed": [_alert(a) for a in memory.owed.values()],
        "changed_at": memory.changed_at,
        "sent_at": memory.sent_at,
        "sequence": memory.sequence,
    }


def _group(document: Mapping[str, Any]) -> tuple[GroupKey, GroupMemory]:
    group = tuple((str(name), str(value)) for name, value in document["group"])
    told, owed = ([_read(a) for a in document[key]] for key in ("told", "owed"))
    return group, GroupMemory(
        told={identity(a): a for a in told},
        owed={identity(a): a for a in owed},
        changed_at=_moment(document["changed_at"]),
        sent_at=_moment(document["sent_at"]),
        sequence=int(document["sequence"]),
    )


def _alert(alert: Alert) -> dict[str, Any]:
    return {
        "name": alert.name,
        "labels": [list(pair) for pair in alert.labels],
        "annotations": [list(pair) for pair in alert.annotations],
        "active_at": alert.active_at,
        "fired_at": alert.fired_at,
    }


def _read(document: Mapping[str, Any]) -> Alert:
    return Alert(
        name=str(document["name"]),
        labels=tuple((str(n), str(v)) for n, v in document["labels"]),
        annotations=tuple((str(n), str(v)) for n, v in document["annotations"]),
        state="firing",
        value=0.0,
        active_at=_known_moment(document["active_at"]),
        fired_at=_moment(document["fired_at"]),
    )


def _moment(value: Any) -> float | None:
    return None if value is None else _known_moment(value)


def _known_moment(value: Any) -> float:
    if not 0 <= (at := float(value)) < _LATEST:
        raise ValueError("no moment of ours")
    return at
