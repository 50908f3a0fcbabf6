"""Characters that a document must not contain as they are; names may contain any."""

import re

# C0 and C1 controls (except tabs and line ends), bidirectional controls, surrogates.
_HARMFUL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def visible(text: str) -> str:
    r"""Show such characters as escapes: ``\x1b``, ``\u202e``."""
    return _HARMFUL.sub(lambda found: escape(found[0]), text)


def visible_line(text: str) -> str:
    """Show on one line, with escapes for whatever a terminal would not print as a character."""
    return "".join(c if c.isprintable() else " " if c in "\n\t" else escape(c) for c in text)


def escape(character: str) -> str:
    """Return the escape of a character, as Python and PostgreSQL write it."""
    code = ord(character)
    return (
        f"\\x{code:02x}"
        if code < 0x100
        else f"\\u{code:04x}"
        if code < 0x10000
        else f"\\U{code:08x}"
    )


def in_json(text: str) -> str:
    """Escape such characters in a JSON document, in which they can occur only in strings."""
    return _HARMFUL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
