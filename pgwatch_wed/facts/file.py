"""Snapshots as files, readable only by their owner.

A line of JSON says what the file is and holds all small collections of facts (see :mod:`.columns` and :mod:`.links`); each large one
follows in a line of its own. Each line is compressed with zstd for itself: ``zstd -dc FILE`` prints all of them, and
what that prints can be read as well. The same snapshot always gives the same bytes. A file in a newer format is
refused; collections that this version does not know are ignored. Format 1 was a single document, with facts
row by row.
"""

import os
import tempfile
from datetime import datetime
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from pgwatch_wed.errors import SnapshotError
from pgwatch_wed.facts import columns, documents, links, rowwise
from pgwatch_wed.facts.fields import fact_names, fact_types
from pgwatch_wed.facts.ranges import scalar
from pgwatch_wed.facts.rows import Server
from pgwatch_wed.facts.snapshot import SNAPSHOT_FORMAT, Cause, Missing, Snapshot

_MAGIC = "pgwatch_wed snapshot"
_ROW_BY_ROW = 1
_LARGE = 100_000  # bytes of JSON: compressed separately, it is hardly larger
_WRONG = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)


def dumps(snapshot: Snapshot) -> bytes:
    """Return the file's bytes."""
    rows = {n: found for n in fact_names() if (found := getattr(snapshot, n))}
    facts = {n: columns.document(found) for n, found in rows.items()}
    for name in reversed(links.order([*facts])):
        links.link(name, facts[name], rows)
    texts = {name: documents.text(found) for name, found in facts.items()}
    parts = {n: documents.pack(text) for n, text in texts.items() if len(text) > _LARGE}
    head = {
        "what": _MAGIC,
        "format": SNAPSHOT_FORMAT,
        "tool_version": snapshot.tool_version,
        "measured_since": rowwise.plain(snapshot.measured_since),
        "server": rowwise.written(snapshot.server),
        "missing": {k: [m.reason, m.mend] for k, m in sorted(snapshot.missing.items())},
        "causes": {k: [m.cause, m.said] for k, m in sorted(snapshot.missing.items())},
        "facts": facts | {name: {"bytes": len(part)} for name, part in parts.items()},
    }
    return b"".join((documents.pack(documents.text(head)), *parts.values()))


def loads(data: bytes, name: str = "snapshot") -> Snapshot:
    """Return the snapshot; raise :class:`SnapshotError` for anything that is not one."""
    head, rest = _checked_head(data, name)
    try:
        with columns.without_garbage_collector():
            if head["format"] == _ROW_BY_ROW:
                return _snapshot(head, rowwise.collections(head["facts"]))
            return _snapshot(head, _collections(head["facts"], data, rest, name))
    except _WRONG as error:
        raise SnapshotError(f"{name} is corrupted: {error}") from error


def _checked_head(data: bytes, name: str) -> tuple[dict[str, Any], bytes]:
    """Return what a file says of itself, and what follows it unless that is compressed."""
    head, rest = _head(data, name)
    if not isinstance(head, dict) or head.get("what") != _MAGIC:
        is_report = isinstance(head, dict) and {"schema_version", "findings"} <= head.keys()
        raise SnapshotError(
            f"{name} is a report, not a snapshot"
            if is_report
            else f"{name} is not a db-analyze snapshot",
            "create one with db-analyze collect -o FILE",
        )
    if head.get("format") not in (_ROW_BY_ROW, SNAPSHOT_FORMAT):
        raise SnapshotError(
            f"{name} has snapshot format {head.get('format')!r:.40}, but this version reads "
            f"formats up to {SNAPSHOT_FORMAT}",
            "use the version of db-analyze that wrote it, or a later one",
        )
    return head, rest


def _head(data: bytes, name: str) -> tuple[Any, bytes]:
    """Return the first document, and what follows it unless that is compressed."""
    try:
        return documents.parsed(documents.unpack(data, name, is_all=False))
    except (ValueError, RecursionError) as error:
        raise SnapshotError(
            f"{name} is not a snapshot, or it is truncated",
            "create one with db-analyze collect -o FILE",
        ) from error


def _collections(
    facts: dict[str, Any], data: bytes, rest: bytes, name: str
) -> dict[str, tuple[Any, ...]]:
    types = fact_types()
    apart = {fact: found["bytes"] for fact, found in facts.items() if "bytes" in found}
    parts = _parts(apart, data, name) if documents.is_packed(data) else _lines(apart, rest)
    rows: dict[str, tuple[Any, ...]] = {}
    for fact in links.order([n for n in facts if n in types]):
        label = f"{name} ({fact})"
        found = columns.read_document(parts[fact], label) if fact in parts else facts[fact]
        links.unlink(fact, found, rows)
        rows[fact] = columns.rows_of(types[fact], found, label)
    return rows


def _parts(lengths: dict[str, Any], data: bytes, name: str) -> dict[str, bytes]:
    """Return the large collections, which are at the end of the file."""
    sizes = [scalar(int, length) for length in lengths.values()]
    begin = len(data) - sum(sizes)
    if begin <= 0 or min(sizes, default=0) < 0:
        raise SnapshotError(f"{name} is corrupted or truncated")
    documents.unpack(data[:begin], name)
    places = pairwise(accumulate(sizes, initial=begin))
    parts = {fact: data[a:b] for fact, (a, b) in zip(lengths, places, strict=True)}
    if sum(documents.unpacked_size(part, name) for part in parts.values()) > documents.MAX_BYTES:
        raise SnapshotError(f"{name} is too large")
    return parts


def _lines(lengths: dict[str, Any], rest: bytes) -> dict[str, bytes]:
    lines = filter(None, rest.split(b"\n"))
    return dict(zip(lengths, lines, strict=True))


def _snapshot(head: dict[str, Any], facts: dict[str, tuple[Any, ...]]) -> Snapshot:
    server: Server = rowwise.row(Server, head["server"].keys(), head["server"].values())
    if server.block_size < 1:
        raise ValueError(f"invalid block size: {server.block_size}")
    return Snapshot(
        tool_version=scalar(str, head["tool_version"]),
        server=server,
        measured_since=rowwise.reader(datetime | None)(head.get("measured_since")),
        missing=_missing(head["missing"], head.get("causes", {})),
        **facts,
    )


def _missing(reasons: Any, causes: Any) -> dict[str, Missing]:
    return {scalar(str, fact): _reason(value, causes.get(fact)) for fact, value in reasons.items()}


def _reason(value: Any, cause: Any) -> Missing:
    for text in (*value, *(cause or ())):
        scalar(str, text)
    match value, cause:
        case [reason, mend], [kind, said]:
            known = kind in Cause.__members__.values()
            return Missing(reason, mend, Cause(kind) if known else Cause.OTHER, said)
        case [reason, mend], None:  # a file written before causes were added
            denied = mend.startswith("GRANT ")
            return Missing(reason, mend, Cause.DENIED if denied else Cause.OTHER)
    raise TypeError(f"invalid reason: {value!r:.40}")


def save(snapshot: Snapshot, path: Path) -> None:
    """Write the file completely or not at all, with mode 0600."""
    try:
        write_private(path, dumps(snapshot))
    except OSError as error:
        raise SnapshotError(f"could not write {path}: {error.strerror or error}") from None


def load(path: Path) -> Snapshot:
    """Read a file."""
    return loads(_bytes(path), str(path))


def load_server(path: Path) -> Server:
    """Read of which server and time a file is, and no facts: the rest of it may be damaged."""
    head, _ = _checked_head(_bytes(path), str(path))
    try:
        return _snapshot(head, {}).server
    except _WRONG as error:
        raise SnapshotError(f"{path} is corrupted: {error}") from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SnapshotError(f"could not read {path}: {error.strerror or error}") from None


def write_private(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace a file in one step, so that neither a reader nor a crash sees an incomplete one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
