"""Snapshots as files: JSON in columns, compressed with zstd, readable only by their owner.

The same snapshot always gives the same bytes. A file in a newer format is refused; columns that
this version does not know are ignored, and columns that the file lacks must have a default.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import fields
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

import zstandard

from pgwatch_wed.errors import SnapshotError
from pgwatch_wed.facts.fields import fact_names, fact_types, field_types
from pgwatch_wed.facts.rows import Server
from pgwatch_wed.facts.snapshot import SNAPSHOT_FORMAT, Cause, Missing, Snapshot

_MAGIC = "pgwatch_wed snapshot"
_MAX_BYTES = 4 << 30  # a malicious file must not unpack without limit
# No server's numbers or clock exceed these; larger values were made up, and arithmetic with them would fail.
# (The plan of many cross joins may cost 1e200.)
_LARGEST: dict[type, float] = {bool: 1, int: 1 << 64, float: 1e300}
_FIRST_YEAR, _LAST_YEAR = 1970, 9000
_ZSTD = b"\x28\xb5\x2f\xfd"


def dumps(snapshot: Snapshot) -> bytes:
    """Return the file's bytes."""
    document = {
        "what": _MAGIC,
        "format": SNAPSHOT_FORMAT,
        "tool_version": snapshot.tool_version,
        "measured_since": _plain(snapshot.measured_since),
        "server": _row_object(snapshot.server),
        "missing": {k: [m.reason, m.mend] for k, m in sorted(snapshot.missing.items())},
        "causes": {k: [m.cause, m.said] for k, m in sorted(snapshot.missing.items())},
        "facts": {
            name: _table(getattr(snapshot, name))
            for name in fact_names()
            if getattr(snapshot, name)
        },
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    packer = zstandard.ZstdCompressor(level=6, write_content_size=True)
    return packer.compress(text.encode("utf-8", "surrogatepass"))


def loads(data: bytes, name: str = "snapshot") -> Snapshot:
    """Return the snapshot; raise :class:`SnapshotError` for anything that is not one."""
    try:
        document = json.loads(_unpack(data, name).decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise SnapshotError(
            f"{name} is not a snapshot, or it is truncated",
            "create one with db-analyze collect -o FILE",
        ) from error
    if not isinstance(document, dict) or document.get("what") != _MAGIC:
        raise SnapshotError(f"{name} is not a db-analyze snapshot")
    if document.get("format") != SNAPSHOT_FORMAT:
        raise SnapshotError(
            f"{name} has snapshot format {document.get('format')!r}, but this version reads "
            f"format {SNAPSHOT_FORMAT}",
            "use the version of db-analyze that wrote it, or a later one",
        )
    try:
        return _snapshot(document)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise SnapshotError(f"{name} is corrupted: {error}") from error


def save(snapshot: Snapshot, path: Path) -> None:
    """Write the file completely or not at all, with mode 0600."""
    try:
        write_private(path, dumps(snapshot))
    except OSError as error:
        raise SnapshotError(f"could not write {path}: {error.strerror or error}") from None


def load(path: Path) -> Snapshot:
    """Read a file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SnapshotError(f"could not read {path}: {error.strerror or error}") from None
    return loads(data, str(path))


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


def _unpack(data: bytes, name: str) -> bytes:
    if not data.startswith(_ZSTD):
        return data
    try:
        size = zstandard.frame_content_size(data)
        if size < 0 or size > _MAX_BYTES:
            raise SnapshotError(f"{name} is too large or does not state its size")
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=_MAX_BYTES)
    except zstandard.ZstdError as error:
        raise SnapshotError(f"{name} is corrupted or truncated: {error}") from None


def _table(rows: tuple[Any, ...]) -> dict[str, Any]:
    names = [f.name for f in fields(rows[0])]
    return {"columns": names, "rows": [[_plain(getattr(r, n)) for n in names] for r in rows]}


def _row_object(row: Any) -> dict[str, Any]:
    return {f.name: _plain(getattr(row, f.name)) for f in fields(row)}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    if hasattr(value, "__dataclass_fields__"):
        return _row_object(value)
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


def _snapshot(document: dict[str, Any]) -> Snapshot:
    types = fact_types()
    server: Server = decode(Server, document["server"].keys(), document["server"].values())
    if server.block_size < 1:
        raise ValueError(f"invalid block size: {server.block_size}")
    return Snapshot(
        tool_version=str(document["tool_version"]),
        server=server,
        measured_since=_reader(datetime | None)(document.get("measured_since")),
        missing=_missing(document["missing"], document.get("causes", {})),
        **{
            name: tuple(decode(types[name], table["columns"], row) for row in table["rows"])
            for name, table in document["facts"].items()
            if name in types
        },
    )


def _missing(reasons: Any, causes: Any) -> dict[str, Missing]:
    return {fact: _reason(value, causes.get(fact)) for fact, value in reasons.items()}


def _reason(value: Any, cause: Any) -> Missing:
    match value, cause:
        case [str(reason), str(mend)], [str(kind), str(said)]:
            known = kind in Cause.__members__.values()
            return Missing(reason, mend, Cause(kind) if known else Cause.OTHER, said)
        case [str(reason), str(mend)], None:  # a file written before causes were added
            denied = mend.startswith("GRANT ")
            return Missing(reason, mend, Cause.DENIED if denied else Cause.OTHER)
    raise TypeError(f"invalid reason: {value!r:.40}")


def decode(kind: type, names: Iterable[str], values: Iterable[Any]) -> Any:
    """Build a fact from plain JSON values, checking each against its field's type."""
    pairs = zip(_readers(kind, tuple(names)), values, strict=True)
    return kind(**{name: read(value) for (name, read), value in pairs if read is not None})


Read = Callable[[Any], Any]


@cache
def _readers(kind: type, names: tuple[str, ...]) -> tuple[tuple[str, Read | None], ...]:
    """Return how to read each named column; a column that this version does not know is not read."""
    types = field_types(kind)
    return tuple((name, _reader(types[name]) if name in types else None) for name in names)


@cache
def _reader(hint: Any) -> Read:
    if isinstance(hint, UnionType):
        inner = _reader(get_args(hint)[0])
        return lambda value: None if value is None else inner(value)
    if get_origin(hint) is tuple:
        each = _reader(get_args(hint)[0])
        return lambda value: tuple(map(each, value))
    if hint is datetime:
        return _moment
    if hasattr(hint, "__dataclass_fields__"):
        return lambda value: decode(hint, value.keys(), value.values())
    return partial(_plain_value, hint)


def _moment(value: Any) -> datetime:
    """Read a timestamp that is safe for arithmetic: with a time zone, and not near the ends of the calendar."""
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None or not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise ValueError(f"invalid timestamp: {value:.40}")
    return moment


def _plain_value(hint: type[Any], value: Any) -> Any:
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint:
        raise TypeError(f"{value!r:.40} is not {hint.__name__}")
    if hint is str:
        value.isascii() or value.encode()  # a lone surrogate could not be written back
    elif not -_LARGEST[hint] <= value <= _LARGEST[hint]:  # nor is NaN
        raise ValueError(f"{value!r:.40} is out of range")
    return value
