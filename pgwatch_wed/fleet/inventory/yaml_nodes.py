"""YAML → plain values, never objects; each entry of a list knows its line, and costs only itself.

Values are those of YAML 1.2, as Go reads them: ``no`` and ``on`` are texts, and so is ``012``.
"""

import re
from collections.abc import Iterator
from typing import Any

from pgwatch_wed.fleet.inventory.entries import Entry, SourceDocument
from pgwatch_wed.fleet.inventory.listing import SourceFailureError
from pgwatch_wed.origin import pip_install

try:
    import yaml
except ImportError:  # an extra
    yaml = None  # type: ignore[assignment]

_CORE = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(
    f"{_CORE}{name}"
    for name in ("str", "int", "float", "bool", "null", "timestamp", "merge", "value", "map", "seq")
)
_INTEGER = re.compile(r"[-+]?(0|[1-9]\d{0,17})\Z")
_NUMBER = re.compile(r"[-+]?(\d+\.\d*|\.\d+)\Z")
_ITEM = re.compile(r"^- ?", re.MULTILINE)
_QUOTED = re.compile(r"'[^\n]*'")
_SURROGATE = re.compile("[\ud800-\udfff]")
_DEEPEST = 50


class _NodeError(Exception):
    """A node that is no plain value: its line, from 1, and why."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line


def yaml_documents(text: str, label: str) -> list[SourceDocument]:
    """Return the documents of a text that are not empty; raise a failure if there is none."""
    if yaml is None:
        raise SourceFailureError(f"YAML needs PyYAML: {pip_install('fleet')}")
    text = _SURROGATE.sub("\ufffd", text)  # libyaml takes UTF-8 only
    try:
        nodes = list(_composed(text))
    except yaml.YAMLError as error:
        return [_by_items(text, label, error)]
    except RecursionError:
        raise SourceFailureError("no YAML: nested too deeply") from None
    found = [_document(node, label) for node in nodes if node is not None]
    if not found:
        raise SourceFailureError("it is empty")
    return found


def _composed(text: str) -> Iterator[Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        while loader.check_node():
            yield loader.get_node()
    finally:
        loader.dispose()


def _document(node: Any, label: str) -> SourceDocument:
    if isinstance(node, yaml.SequenceNode):
        known: dict[int, Any] = {}
        return [_entry(item, label, 0, known) for item in node.value]
    try:
        value = _value(node, {}, ())
    except _NodeError as error:
        raise SourceFailureError(f"line {error.line}: {error}") from None
    if not isinstance(value, dict):
        raise SourceFailureError("it is YAML, but neither a list nor a mapping")
    return value


def _entry(node: Any, label: str, lines_before: int, known: dict[int, Any]) -> Entry:
    line = node.start_mark.line + 1 + lines_before
    try:
        return Entry(_value(node, known, ()), f"{label}:{line}")
    except _NodeError as error:
        return Entry(None, f"{label}:{error.line + lines_before}", str(error))


def _by_items(text: str, label: str, whole: Any) -> list[Entry]:
    """Read the items of a list one by one, since the list as a whole is no valid YAML."""
    starts = [found.start() for found in _ITEM.finditer(text)]
    if len(starts) < 2:
        line, why = _problem(whole)
        raise SourceFailureError(f"line {line}: no YAML: {why}")
    found, line, before = [], 0, 0
    for begin, end in zip(starts, [*starts[1:], len(text)], strict=True):
        line += text.count("\n", before, begin)
        before = begin
        try:
            nodes = [node for node in _composed(text[begin:end]) if node is not None]
        except (yaml.YAMLError, RecursionError) as error:
            at, why = _problem(error)
            found.append(Entry(None, f"{label}:{at + line}", f"not valid YAML: {why}"))
            continue
        for node in nodes:
            items = node.value if isinstance(node, yaml.SequenceNode) else [node]
            found += [_entry(item, label, line, {}) for item in items]
    return found


def _problem(error: Any) -> tuple[int, str]:
    """Return the line of an error, from 1, and what it says; never what the file says."""
    why = getattr(error, "problem", None) or "nested too deeply"
    # of what is never closed, where it begins
    marks = [getattr(error, name, None) for name in ("context_mark", "problem_mark")]
    mark = marks[0] if marks[0] is not None and "end of stream" in why else marks[1]
    return (mark.line + 1 if mark is not None else 1), _QUOTED.sub("'…'", str(why))


def _value(node: Any, known: dict[int, Any], above: tuple[int, ...]) -> Any:
    """Return the value of a node; one that several places refer to is computed once."""
    if id(node) in known:
        return known[id(node)]
    line = node.start_mark.line + 1
    if id(node) in above:
        raise _NodeError(line, "an alias that refers to what it is part of")
    if len(above) > _DEEPEST:
        raise _NodeError(line, "nested too deeply")
    if node.tag not in _PLAIN_TAGS:
        tag = node.tag.replace(_CORE, "!!")[:60]
        raise _NodeError(line, f"the tag {tag!r} would build an object; only plain values are read")
    inner = (*above, id(node))
    if isinstance(node, yaml.ScalarNode):
        value: Any = _scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = [_value(each, known, inner) for each in node.value]
    else:
        value = _mapping(node, known, inner)
    known[id(node)] = value
    return value


def _mapping(node: Any, known: dict[int, Any], above: tuple[int, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    shared: dict[str, Any] = {}
    for key, each in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise _NodeError(line, "a key that is no text")
        value = _value(each, known, above)
        if key.tag == f"{_CORE}merge":
            for part in value if isinstance(value, list) else [value]:
                if not isinstance(part, dict):
                    raise _NodeError(line, "<< must refer to a mapping")
                shared = {**part, **shared}
        elif key.value in found:
            raise _NodeError(line, f"the key {key.value[:60]!r} is there twice")
        else:
            found[key.value] = value
    return {**shared, **found}


def _scalar(node: Any) -> str | int | float | bool | None:
    text: str = node.value
    if "\ufffd" in text:
        raise _NodeError(node.start_mark.line + 1, "a text that is not UTF-8")
    if node.tag == f"{_CORE}str":
        return text
    if node.tag == f"{_CORE}null":
        return None
    if node.tag == f"{_CORE}bool" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if _INTEGER.match(text):
        return int(text)
    return float(text) if _NUMBER.match(text) else text
