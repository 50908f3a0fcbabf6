"""JSON as programs print it: one document, several in a row, or one on each line."""

import json
from collections.abc import Iterator
from typing import Any

from pgwatch_wed.fleet.inventory.entries import Entry, SourceDocument, entries
from pgwatch_wed.fleet.inventory.listing import SourceFailureError


def json_documents(text: str, label: str) -> list[SourceDocument]:
    """Return the documents of a text. On lines of their own, a broken one costs only itself."""
    if not text.strip():
        raise SourceFailureError("it gives nothing, not even an empty list")
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    if len(lines) > 1 and _is_document(lines[0][1]):
        return [_of_lines(lines, label)]
    return [_document(value, label) for value in _values(text)]


def _is_document(line: str) -> bool:
    try:
        return line.lstrip().startswith("{") and isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _of_lines(lines: list[tuple[int, str]], label: str) -> list[Entry]:
    found = []
    for number, line in lines:
        place = f"{label}:{number}"
        try:
            found.append(Entry(json.loads(line), place))
        except json.JSONDecodeError as error:
            found.append(Entry(None, place, f"not JSON: {error.msg} (column {error.colno})"))
        except (ValueError, RecursionError):
            found.append(Entry(None, place, "not JSON"))
    return found


def _values(text: str) -> Iterator[Any]:
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        try:
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            where = f"line {error.lineno}, column {error.colno}"
            raise SourceFailureError(f"no JSON: {error.msg} ({where})") from None
        except RecursionError:
            raise SourceFailureError("no JSON: nested too deeply") from None
        except ValueError:  # a number of thousands of digits
            raise SourceFailureError("no JSON: a number in it is too long") from None
        yield value


def _document(value: Any, label: str) -> SourceDocument:
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        return entries(value, label)
    raise SourceFailureError("it is JSON, but neither a list nor an object")
