"""Scripts that pgbench would misread, found before it runs.

It replaces ``:name`` wherever it stands, in literals, too, and knows no slices. In the extended and prepared protocols it
does so even if there is no such variable; the server then reports a wrong number of parameters.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pgwatch_wed.errors import Error
from pgwatch_wed.load.load_model import LoadScript, Order, QueryProtocol

_ALWAYS_DEFINED = frozenset({"client_id", "random_seed", "default_seed", "scale"})
_TOKEN = re.compile(
    r"""
    (?P<comment>--[^\n]*)
  | (?P<text>/\*.*?\*/ | \b[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*"
      | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$)
  | (?P<command>\\[a-z]+(?:\\\r?\n|[^\n])*)
  | (?P<cast>::+(?=.)|:(?==))
  | :(?P<name>[^\W\d]\w*)
  | (?P<parameter>\$\d+)
  | (?P<other>\w+|\S)
    """,
    re.VERBOSE | re.DOTALL,
)
_IN_TEXT = re.compile(r"(?<!:):([^\W\d]\w*)")
_DEFINES = re.compile(r"\\(?:set|setshell)\s+(\w+)")
_DEFINES_OTHERS = re.compile(r"\\(?:gset|aset)\b")
_SLEEPS = re.compile(r"^\s*\\sleep\b", re.MULTILINE)
_PREPARES = re.compile(r"\bprepare\b", re.IGNORECASE)
_BEFORE_A_VALUE = frozenset(
    {
        "and",
        "between",
        "case",
        "else",
        "from",
        "in",
        "like",
        "not",
        "or",
        "select",
        "then",
        "when",
        "where",
    }
)


@dataclass(frozen=True, slots=True)
class _Misread:
    """A fault, and at which character."""

    at: int
    message: str
    hint: str


def check_scripts(order: Order) -> None:
    """Raise :class:`Error` with the first place that pgbench would misread."""
    known = _variables(order.scripts, order.variables)
    is_simple = order.protocol is QueryProtocol.SIMPLE
    for script in order.scripts:
        for fault in _faults(script.text, known, is_simple=is_simple):
            line = script.text.count("\n", 0, fault.at) + 1
            raise Error(f"script {script.name}, line {line}: {fault.message}", fault.hint)


def sleeps(scripts: Sequence[LoadScript]) -> bool:
    r"""Tell whether a script contains ``\sleep``, which counts as latency."""
    return any(_SLEEPS.search(script.text) for script in scripts)


def _variables(scripts: Sequence[LoadScript], given: Mapping[str, str]) -> frozenset[str] | None:
    """Return the variables that are defined; None if queries define some, too. Scripts share them."""
    if any(_DEFINES_OTHERS.search(script.text) for script in scripts):
        return None
    own = {name for script in scripts for name in _DEFINES.findall(script.text)}
    return frozenset(own | given.keys() | _ALWAYS_DEFINED)


def _faults(text: str, known: frozenset[str] | None, *, is_simple: bool) -> Iterator[_Misread]:
    depth, before = 0, ""
    prepares = _PREPARES.search(text) is not None
    for token in _TOKEN.finditer(text):
        if token["text"] is not None and not is_simple:
            yield from _in_text(token)
        elif token["name"] is not None:
            yield from _of_name(token, known, is_slice=depth > 0 and _ends_a_value(before))
        elif token["parameter"] is not None and not prepares:
            yield _Misread(
                token.start(),
                f"the parameter {token['parameter']} has no value",
                r"define a variable with \set, and write :name",
            )
        depth += (token["other"] == "[") - (token["other"] == "]")
        if token["comment"] is None:
            before = token[0]


def _in_text(token: re.Match[str]) -> Iterator[_Misread]:
    for found in _IN_TEXT.finditer(token[0]):
        yield _Misread(
            token.start() + found.start(),
            f"pgbench would take {found[0]} inside {_kind(token[0])} for a variable",
            "use the simple protocol, or write the colon apart from the name",
        )


def _kind(text: str) -> str:
    return {"/": "a comment", '"': "a quoted name"}.get(text[0], "a literal")


def _of_name(
    token: re.Match[str], known: frozenset[str] | None, *, is_slice: bool
) -> Iterator[_Misread]:
    name = token["name"]
    if is_slice:
        yield _Misread(
            token.start(),
            f"pgbench would take the :{name} of a slice for a variable",
            f"write a space before {name}",
        )
    elif known is not None and name not in known:
        yield _Misread(
            token.start(),
            f"the variable :{name} is not defined",
            rf"define it with \set {name} ...",
        )


def _ends_a_value(before: str) -> bool:
    return before.lower() not in _BEFORE_A_VALUE and bool(re.search(r"[\w)\]\"']\Z", before))
