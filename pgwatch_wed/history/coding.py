"""Rows of facts as compressed bytes."""

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

import zstandard

from pgwatch_wed.errors import HistoryError
from pgwatch_wed.facts import file


def encode(rows: tuple[Any, ...]) -> bytes:
    """Return the bytes of a collection."""
    text = json.dumps([asdict(r) for r in rows], default=datetime.isoformat, ensure_ascii=False)
    return zstandard.ZstdCompressor(level=6).compress(text.encode("utf-8", "surrogatepass"))


def decode(kind: type, data: bytes, name: str) -> tuple[Any, ...]:
    """Return the rows of a collection."""
    try:
        rows = json.loads(zstandard.ZstdDecompressor().decompress(data))
        return tuple(file.decode(kind, row.keys(), row.values()) for row in rows)
    except (zstandard.ZstdError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise HistoryError(f"{name} is damaged: {error}") from None
