"""Documents as bytes: a line of JSON, compressed with zstd."""

import json
from typing import Any

import zstandard

from pgwatch_wed.errors import SnapshotError

MAX_BYTES = 4 << 30  # malicious bytes must not unpack without limit
_ZSTD = b"\x28\xb5\x2f\xfd"


def pack(written: bytes) -> bytes:
    """Compress a document."""
    packer = zstandard.ZstdCompressor(level=6, write_content_size=True, write_checksum=True)
    return packer.compress(written + b"\n")


def text(document: Any) -> bytes:
    """Write a document as JSON, as short as that can be."""
    written = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return written.encode("utf-8", "surrogatepass")


def is_packed(data: bytes) -> bool:
    """Tell whether bytes are compressed; others are taken as they are."""
    return data.startswith(_ZSTD)


def unpacked_size(data: bytes, name: str) -> int:
    """Return how large bytes claim to be when unpacked."""
    if not is_packed(data):
        return len(data)
    try:
        size = zstandard.frame_content_size(data)
    except zstandard.ZstdError as error:
        raise SnapshotError(f"{name} is corrupted or truncated: {error}") from None
    if size < 0 or size > MAX_BYTES:
        raise SnapshotError(f"{name} is too large or does not state its size")
    return size


def unpack(data: bytes, name: str, *, is_all: bool = True) -> bytes:
    """Return what was compressed, unless it is incomplete or too large; ``is_all``: nothing may follow."""
    unpacked_size(data, name)
    if not is_packed(data):
        return data
    try:
        return zstandard.ZstdDecompressor().decompress(
            data, max_output_size=MAX_BYTES, allow_extra_data=not is_all
        )
    except zstandard.ZstdError as error:
        raise SnapshotError(f"{name} is corrupted or truncated: {error}") from None


class NotANumber(str):
    """NaN or Infinity, which are not JSON: a text that is not of any type."""

    __slots__ = ()


def parsed(written: bytes) -> tuple[Any, bytes]:
    """Read the first document, and return what follows it."""
    decoder = json.JSONDecoder(parse_constant=NotANumber)
    document, end = decoder.raw_decode(found := written.decode("utf-8", "surrogatepass").lstrip())
    return document, found[end:].encode("utf-8", "surrogatepass")
