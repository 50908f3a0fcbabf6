"""File names for the names of clusters and databases, which may hold anything."""

import hashlib
import re

_OTHER = re.compile(r"[^a-z0-9._-]+")
_MOST = 80


def safe_file_name(name: str) -> str:
    """Return a name for a file or directory, without an extension: lower-case ASCII, at most 91 characters.

    Two names never have the same one, not even where file systems ignore case or normalize accents: what
    had to be changed ends with a hash of the whole name.
    """
    plain = _OTHER.sub("_", name)
    if plain == name and len(name) <= _MOST and name[:1] not in ("", ".", "-", "_"):
        return name
    mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    readable = _OTHER.sub("_", name.lower())[:_MOST].strip("._-")
    return f"{readable}-{mark}" if readable else mark
