"""Facts by their content: what did not change between two runs is stored once.

The texts of statements are kept apart from their counters, in groups of their own: a new statement costs
one group, not all texts.
"""

import hashlib
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from pgwatch_wed.errors import HistoryError, SnapshotError
from pgwatch_wed.facts import Statement
from pgwatch_wed.facts.columns import decode, encode
from pgwatch_wed.facts.fields import fact_types
from pgwatch_wed.facts.rows import Server
from pgwatch_wed.history.schema import blobs

_GROUPS = 16
_SERVER = "server"


def put(connection: sa.Connection, data: bytes) -> str:
    """Store bytes if they are not there yet, and return their address."""
    address = hashlib.sha256(data).hexdigest()[:32]
    known = sa.select(blobs.c.hash).where(blobs.c.hash == address)
    if connection.execute(known).scalar() is None:
        connection.execute(blobs.insert().values(hash=address, data=data))
    return address


def get(connection: sa.Connection, address: str) -> bytes:
    """Return stored bytes. Raises :class:`HistoryError` if they are gone or damaged."""
    data = connection.execute(sa.select(blobs.c.data).where(blobs.c.hash == address)).scalar()
    if data is None or hashlib.sha256(data).hexdigest()[:32] != address:
        state = "gone" if data is None else "damaged"
        raise HistoryError(
            f"a part of the history is {state}: {address}", "the runs that need it cannot be read"
        )
    return bytes(data)


def put_facts(connection: sa.Connection, facts: Mapping[str, tuple[Any, ...]]) -> dict[str, str]:
    """Store collections of facts; return the address of each part."""
    parts: dict[str, bytes] = {}
    for name, rows in facts.items():
        if name == "statements":
            texts = _texts(rows)
            parts.update(_grouped(texts))
            rows = _without_texts(rows, texts)
        if rows:
            parts[name] = encode(rows)
    return {name: put(connection, data) for name, data in parts.items()}


def get_facts(
    connection: sa.Connection, addresses: Mapping[str, str], wanted: Iterable[str]
) -> dict[str, tuple[Any, ...]]:
    """Return collections of facts; those of this version that were not stored are empty."""
    types = fact_types()
    found: dict[str, tuple[Any, ...]] = {}
    for name in wanted:
        if name not in addresses or name not in types:
            continue
        rows = _decoded(types[name], get(connection, addresses[name]), name)
        found[name] = _with_texts(connection, addresses, rows) if name == "statements" else rows
    return found


def put_server(connection: sa.Connection, server: Server) -> str:
    """Store what is known of the server."""
    return put(connection, encode((server,)))


def get_server(connection: sa.Connection, address: str) -> Server:
    """Return what is known of the server."""
    found: Server = _decoded(Server, get(connection, address), _SERVER)[0]
    return found


def _decoded(kind: type, data: bytes, name: str) -> tuple[Any, ...]:
    try:
        return decode(kind, data, name)
    except SnapshotError as error:
        raise HistoryError(f"a part of the history is damaged: {error.message}") from None


# --- texts --------------------------------------------------------------------------------------


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
        f"statement_texts:{number}": zlib.compress(
            "\0".join(group).encode("utf-8", "surrogatepass")
        )
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
            data = zlib.decompress(get(connection, address))
            texts += data.decode("utf-8", "surrogatepass").split("\0")
    try:
        return tuple(r if r.text is None else replace(r, text=texts[int(r.text)]) for r in rows)
    except (IndexError, ValueError):
        raise HistoryError("the texts of a run's statements are damaged") from None
