"""Facts by their content: what did not change between two runs is stored once, and what changed little as the difference.

A difference is from one that is stored whole, with zstd; only if two writers chose different bases at the same time, it is
from another difference. The texts of statements
are kept apart from their counters, in groups of their own, and statements by their keys: so both stay near to those of
the run before. Small parts that nearly each run changes are stored together: see :mod:`part_groups`.
"""

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
import zstandard
from sqlalchemy.dialects import postgresql

from pgwatch_wed.errors import HistoryError, SnapshotError
from pgwatch_wed.facts import Statement, documents
from pgwatch_wed.facts.columns import WantedRows, decode, document
from pgwatch_wed.facts.fields import fact_types
from pgwatch_wed.facts.rows import Server
from pgwatch_wed.history import part_groups, turns
from pgwatch_wed.history.schema import blobs
from pgwatch_wed.history.turns import Turn

_GROUPS = 16
_SERVER = "server"
BY_KEY = "statements_by_key"
"""The part that holds statements in the order of their keys; they were read in that of their times."""

_LEVEL = 9
# A difference that is not much smaller is not worth it: the next ones would be no smaller either.
_WORTH = 0.6
_LARGEST = 1 << 26
_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class _Packing:
    """Bytes as they are stored: as the difference from ``base``, or if there is none, whole."""

    whole: bytes
    difference: bytes = b""
    base: str | None = None
    is_repair: bool = False
    """Whether what is stored under the address is damaged."""


def put(connection: sa.Connection, content: bytes, near: str | None = None) -> str:
    """Store bytes if they are not there yet, or damaged, and return their address.

    ``near`` is the address of others that they are likely to resemble. An address does not depend on the version of
    zstd: it is that of the content.
    """
    address = address_of(content)
    waiting = _waiting(connection)
    if waiting is not None and address in waiting:
        return address
    is_there = _row(connection, address) is not None
    is_damaged = is_there and not _is_sound(connection, address, content)
    if waiting is not None:
        is_new = is_damaged or not is_there
        packing = _packed(connection, content, near) if is_new else _spare(content)
        waiting[address] = replace(packing, is_repair=is_damaged)
    elif is_damaged:
        whole = _values(address, _packed(connection, content, None))
        connection.execute(blobs.update().where(blobs.c.hash == address).values(**whole))
    elif not is_there:
        connection.execute(blobs.insert(), [_values(address, _packed(connection, content, near))])
    return address


def _is_sound(connection: sa.Connection, address: str, content: bytes) -> bool:
    """Tell whether stored bytes can be read."""
    try:
        return get(connection, address) == content
    except HistoryError:
        return False


def get(connection: sa.Connection, address: str) -> bytes:
    """Return stored bytes. Raises :class:`HistoryError` if they are gone or damaged."""
    if part_groups.split(address)[1]:
        return _got(connection, address, {})
    waiting = _waiting(connection) or {}
    if address in waiting:
        return _content(waiting[address].whole)
    row = _row(connection, address)
    if row is None:
        raise _lost(address, "gone")
    base = None if row.base is None else get(connection, row.base)
    return _checked(address, bytes(row.data), base)


def get_many(
    connection: sa.Connection, addresses: Iterable[str]
) -> Iterator[tuple[str, bytes | None]]:
    """Yield the bytes of each address once, None if they are gone or damaged; with few queries."""
    each = list(dict.fromkeys(addresses))
    for part in (each[i : i + _AT_ONCE] for i in range(0, len(each), _AT_ONCE)):
        rows = _rows(connection, part)
        bases = _rows(connection, {row.base for row in rows.values() if row.base} - rows.keys())
        whole: dict[str, bytes] = {}
        for address in part:
            yield address, _either(connection, address, {**bases, **rows}, whole)


def _rows(connection: sa.Connection, addresses: Iterable[str]) -> dict[str, Any]:
    query = sa.select(blobs.c.hash, blobs.c.data, blobs.c.base)
    found = connection.execute(query.where(blobs.c.hash.in_(list(addresses))))
    return {row.hash: row for row in found}


def _either(
    connection: sa.Connection, address: str, rows: Mapping[str, Any], whole: dict[str, bytes]
) -> bytes | None:
    row = rows.get(address)
    if row is None:
        return None
    try:
        if row.base is None:
            return _checked(address, bytes(row.data), None)
        if row.base not in whole:
            base = rows[row.base]
            deeper = None if base.base is None else get(connection, base.base)
            whole[row.base] = _checked(row.base, bytes(base.data), deeper)
        return _checked(address, bytes(row.data), whole[row.base])
    except (HistoryError, KeyError):
        return None


def _checked(address: str, data: bytes, base: bytes | None) -> bytes:
    try:
        content = _content(data) if base is None else _patched(data, base)
    except (zstandard.ZstdError, zlib.error, SnapshotError):
        raise _lost(address, "damaged") from None
    # older versions took the address of the compressed form
    if address not in (address_of(content), address_of(data)):
        raise _lost(address, "damaged")
    return content


# --- several writers -------------------------------------------------------------------------------

# On PostgreSQL, blobs are inserted last of all: whoever inserts the same ones at the same time waits for no more than a
# commit, and in the order of addresses nobody waits in a circle. Until then, another may remove some that were there.
_KEY = "pgwatch_wed_blobs"


def collect(connection: sa.Connection) -> None:
    """From now on, keep what is put until :func:`write` is called."""
    connection.info[_KEY] = {}


def write(connection: sa.Connection) -> None:
    """Insert what was put and is not there, and keep everything that was put from being removed until the end."""
    waiting = _waiting(connection)
    if not waiting:
        return
    turns.share(connection, Turn.PARTS)
    bases = {each.base for each in waiting.values() if each.base is not None}
    known = _known(connection, sorted({*waiting, *bases}))
    new, repaired = [], []
    for address, each in sorted(waiting.items()):
        if address not in known:
            is_whole = each.base not in known and each.base not in waiting
            new.append(_values(address, each, is_whole=is_whole))
        elif each.is_repair:
            repaired.append(_values(address, each, is_whole=True))
    for values in repaired:
        connection.execute(blobs.update().where(blobs.c.hash == values["hash"]).values(**values))
    if new:
        # another may insert the same at this moment
        connection.execute(postgresql.insert(blobs).on_conflict_do_nothing(), new)
    waiting.clear()


def _known(connection: sa.Connection, addresses: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for begin in range(0, len(addresses), 500):
        part = blobs.c.hash.in_(addresses[begin : begin + 500])
        found.update(connection.execute(sa.select(blobs.c.hash).where(part)).scalars())
    return found


def _waiting(connection: sa.Connection) -> dict[str, _Packing] | None:
    found: dict[str, _Packing] | None = connection.info.get(_KEY)
    return found


# --- packing -----------------------------------------------------------------------------------------


def address_of(content: bytes) -> str:
    """Return the address of bytes."""
    return hashlib.sha256(content).hexdigest()[:32]


def _row(connection: sa.Connection, address: str) -> Any:
    query = sa.select(blobs.c.data, blobs.c.base).where(blobs.c.hash == address)
    return connection.execute(query).first()


def _lost(address: str, state: str) -> HistoryError:
    return HistoryError(
        f"a part of the history is {state}: {address}", "the runs that need it cannot be read"
    )


def _values(address: str, packing: _Packing, *, is_whole: bool = False) -> dict[str, Any]:
    if packing.base is None or is_whole:
        return {"hash": address, "data": packing.whole, "base": None}
    return {"hash": address, "data": packing.difference, "base": packing.base}


def _spare(content: bytes) -> _Packing:
    """Compress quickly what is stored already: it is needed only if somebody removes that by then."""
    return _Packing(zstandard.ZstdCompressor(level=1).compress(content))


def _packed(connection: sa.Connection, content: bytes, near: str | None) -> _Packing:
    """Compress, against what is near if that makes it much smaller."""
    whole = _Packing(zstandard.ZstdCompressor(level=_LEVEL).compress(content))
    base = None if near is None or part_groups.split(near)[1] else _whole(connection, near)
    if base is None or len(content) > _LARGEST:
        return whole
    try:
        other = get(connection, base)
    except HistoryError:
        return whole
    if len(other) > _LARGEST:
        return whole
    size = len(content) + len(other)
    settings = zstandard.ZstdCompressionParameters.from_level(
        _LEVEL, source_size=size, window_log=min(max(size.bit_length(), 10), 27)
    )
    raw = zstandard.ZstdCompressionDict(other, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    packer = zstandard.ZstdCompressor(compression_params=settings, dict_data=raw)
    difference = packer.compress(content)
    is_worth_it = len(difference) < _WORTH * len(whole.whole)
    return replace(whole, difference=difference, base=base) if is_worth_it else whole


def make_whole(connection: sa.Connection, address: str) -> None:
    """Store bytes without those that they are compressed against; what is damaged stays so."""
    try:
        packing = _packed(connection, get(connection, address), None)
    except HistoryError:
        return
    mine = blobs.c.hash == address
    connection.execute(blobs.update().where(mine).values(data=packing.whole, base=None))


def _whole(connection: sa.Connection, address: str) -> str | None:
    row = (_waiting(connection) or {}).get(address) or _row(connection, address)
    return None if row is None else row.base or address


def _content(data: bytes) -> bytes:
    return documents.unpack(data, "") if documents.is_packed(data) else zlib.decompress(data)


def _patched(data: bytes, base: bytes) -> bytes:
    raw = zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    documents.unpacked_size(data, "")
    return zstandard.ZstdDecompressor(dict_data=raw, max_window_size=1 << 27).decompress(data)


def put_facts(
    connection: sa.Connection,
    facts: Mapping[str, tuple[Any, ...]],
    earlier: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Store collections of facts; return the address of each part. ``earlier`` are those of the run before."""
    parts: dict[str, bytes] = {}
    for name, rows in facts.items():
        part = name
        if name == "statements":
            texts = _texts(rows)
            parts.update(_grouped(texts))
            rows = _without_texts(rows, texts)
            part, rows = _by_key(rows)
        if rows:
            parts[part] = documents.text(document(rows))
    known = earlier or {}
    together, apart = part_groups.divided(parts)
    found = {name: put(connection, data, known.get(name)) for name, data in apart.items()}
    if together:
        group = put(connection, part_groups.written(together), part_groups.group_in(known))
        found |= {name: part_groups.address_in(group, name) for name in together}
    return found


def get_facts(
    connection: sa.Connection, addresses: Mapping[str, str], wanted: Iterable[str]
) -> dict[str, tuple[Any, ...]]:
    """Return collections of facts; those of this version that were not stored are empty."""
    types = fact_types()
    found: dict[str, tuple[Any, ...]] = {}
    groups: dict[str, dict[str, bytes]] = {}
    for name in wanted:
        if name == "statements":
            found[name] = _statements(connection, addresses)
        elif name in addresses and name in types:
            data = _got(connection, addresses[name], groups)
            found[name] = _decoded(types[name], data, name)
    return found


def _got(connection: sa.Connection, address: str, groups: dict[str, dict[str, bytes]]) -> bytes:
    """Return stored bytes; of a group, all parts are remembered."""
    group, name = part_groups.split(address)
    if not name:
        return get(connection, address)
    if group not in groups:
        groups[group] = part_groups.read(get(connection, group))
    found = groups[group].get(name)
    if found is None:
        raise _lost(address, "gone")
    return found


def _statements(connection: sa.Connection, addresses: Mapping[str, str]) -> tuple[Statement, ...]:
    rows: tuple[Statement, ...] = ()
    if BY_KEY in addresses:
        rows = in_order(connection, addresses[BY_KEY])
    elif "statements" in addresses:
        rows = _decoded(Statement, get(connection, addresses["statements"]), "statements")
    return _with_texts(connection, addresses, rows)


def get_rows(
    connection: sa.Connection, address: str, name: str, where: WantedRows
) -> tuple[Any, ...]:
    """Return some rows of one collection of facts."""
    return _decoded(fact_types()[name], get(connection, address), name, where)


def put_server(connection: sa.Connection, server: Server, near: str | None = None) -> str:
    """Store what is known of the server."""
    return put(connection, documents.text(document((server,))), near)


def get_server(connection: sa.Connection, address: str) -> Server:
    """Return what is known of the server."""
    found: Server = _decoded(Server, get(connection, address), _SERVER)[0]
    return found


def _decoded(
    kind: type, data: bytes, name: str, where: WantedRows | None = None
) -> tuple[Any, ...]:
    try:
        return decode(kind, data, name, where)
    except SnapshotError as error:
        raise HistoryError(f"a part of the history is damaged: {error.message}") from None


# --- texts --------------------------------------------------------------------------------------


def _by_key(rows: tuple[Statement, ...]) -> tuple[str, tuple[Statement, ...]]:
    """Return statements in the order of their keys if the one in which they were read can be told."""
    found = tuple(sorted(rows, key=lambda s: (s.user_oid, s.query_id, s.is_toplevel)))
    return (BY_KEY, found) if _costliest_first(found) == rows else ("statements", rows)


def in_order(connection: sa.Connection, address: str) -> tuple[Statement, ...]:
    """Return statements in the order in which they were read; instead of texts they have numbers."""
    return _costliest_first(_decoded(Statement, get(connection, address), "statements"))


def _costliest_first(rows: Iterable[Statement]) -> tuple[Statement, ...]:
    return tuple(sorted(rows, key=lambda s: (-s.total_exec_ms, s.query_id, s.user_oid)))


def _group_of(text: str) -> int:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[0] % _GROUPS


def _texts(rows: Iterable[Statement]) -> list[list[str]]:
    """Return the distinct texts in groups, each sorted."""
    groups: list[set[str]] = [set() for _ in range(_GROUPS)]
    for text in {row.text for row in rows if row.text is not None}:
        groups[_group_of(text)].add(text)
    return [sorted(group) for group in groups]


def _grouped(texts: list[list[str]]) -> dict[str, bytes]:
    return {
        f"statement_texts:{number}": "\0".join(group).encode("utf-8", "surrogatepass")
        for number, group in enumerate(texts)
        if group
    }


def _without_texts(rows: Iterable[Statement], texts: list[list[str]]) -> tuple[Statement, ...]:
    """Put the number of the text in its place."""
    numbers = {text: str(i) for i, text in enumerate(t for group in texts for t in group)}
    return tuple(replace(r, text=None if r.text is None else numbers[r.text]) for r in rows)


def _with_texts(
    connection: sa.Connection, addresses: Mapping[str, str], rows: Iterable[Statement]
) -> tuple[Statement, ...]:
    texts: list[str] = []
    for number in range(_GROUPS):
        address = addresses.get(f"statement_texts:{number}")
        if address is not None:
            texts += get(connection, address).decode("utf-8", "surrogatepass").split("\0")
    try:
        return tuple(r if r.text is None else replace(r, text=texts[int(r.text)]) for r in rows)
    except (IndexError, ValueError):
        raise HistoryError("the texts of a run's statements are damaged") from None
