"""The templates of labels and annotations: the part of Go's that rules use, `{{ $labels.x | title }}`."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pgwatch_wed.errors import UsageError
from pgwatch_wed.serve.alerts.promql import number_texts as texts

_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_TRIM = (re.compile(r"\s*\{\{- "), re.compile(r" -\}\}\s*"))
_WORD = re.compile(
    r"""\s*(?:(?:\$labels|\.Labels)(?:\.(\w+))?\b|(\$value|\.Value)|("(?:[^"\\]|\\.)*"|`[^`]*`)"""
    r"""|(-?\d+(?:\.\d+)?)|([A-Za-z]\w*)|(\|))\s*"""
)
_VERB = re.compile(r"%[-+ 0#]*\d*(?:\.\d+)?([efgsvd%])")
Argument = str | float


class TemplateError(UsageError):
    """A template that is not supported."""


@dataclass(frozen=True, slots=True)
class _Pipe:
    """An action: words by `|`, each stage a list of words."""

    stages: tuple[tuple[tuple[str, str], ...], ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A text with actions."""

    parts: tuple[str | _Pipe, ...]

    def filled(self, labels: Mapping[str, str], value: float) -> str:
        """Return the text for an alert; what fails is said in its place, as Prometheus does."""
        try:
            return "".join(
                p if isinstance(p, str) else _filled(p, labels, value) for p in self.parts
            )
        except (ValueError, TypeError, LookupError, ArithmeticError, re.error) as error:
            return f"<error expanding template: {error}>"


def template(text: str) -> Template:
    """Read a template."""
    text = _TRIM[1].sub(" }}", _TRIM[0].sub("{{ ", text))
    parts: list[str | _Pipe] = []
    end = 0
    for match in _ACTION.finditer(text):
        parts += [text[end : match.start()], _pipe(match[1])]
        end = match.end()
    rest = text[end:]
    if "{{" in rest:
        raise TemplateError("an action {{ has no end")
    return Template((*parts, rest))


def _pipe(action: str) -> _Pipe:
    stages: list[list[tuple[str, str]]] = [[]]
    at = 0
    while at < len(action):
        match = _WORD.match(action, at)
        if match is None:
            raise TemplateError(f"{{{{ {action} }}}} is not supported in a template")
        at = match.end()
        if match[6]:
            stages.append([])
        else:
            stages[-1].append(_word(match))
    for stage in stages:
        _check(stage, action)
    return _Pipe(tuple(tuple(s) for s in stages))


def _word(match: re.Match[str]) -> tuple[str, str]:
    if match[0].lstrip().startswith(("$labels", ".Labels")):
        return "label", match[1] or ""
    if match[2]:
        return "value", ""
    if match[3]:
        return "text", _unquoted(match[3])
    return ("number", match[4]) if match[4] else ("function", match[5])


def _unquoted(text: str) -> str:
    if text[0] == "`":
        return text[1:-1]
    escapes = {"n": "\n", "t": "\t"}
    return re.sub(r"\\(.)", lambda m: escapes.get(m[1], m[1]), text[1:-1])


def _check(stage: list[tuple[str, str]], action: str) -> None:
    if not stage or any(kind == "function" for kind, _ in stage[1:]):
        raise TemplateError(f"{{{{ {action} }}}} is not supported in a template")
    kind, name = stage[0]
    if kind == "function" and name not in _FUNCTIONS:
        raise TemplateError(f"the function {name} is not supported in a template")
    if kind != "function" and len(stage) > 1:
        raise TemplateError(f"{{{{ {action} }}}} is not supported in a template")


def _filled(pipe: _Pipe, labels: Mapping[str, str], value: float) -> str:
    result: Argument | None = None
    for stage in pipe.stages:
        words: list[Argument] = [_meant(w, labels, value) for w in stage if w[0] != "function"]
        if result is not None:
            words.append(result)
        kind, name = stage[0]
        result = _FUNCTIONS[name](words) if kind == "function" else words[0]
    return texts.shown(result) if isinstance(result, float) else str(result)


def _meant(word: tuple[str, str], labels: Mapping[str, str], value: float) -> Argument:
    kind, text = word
    if kind == "label" and not text:
        return f"map[{' '.join(f'{k}:{v}' for k, v in sorted(labels.items()))}]"
    if kind == "label":
        return labels.get(text, "")
    if kind == "value":
        return value
    return float(text) if kind == "number" else text


def _of_number(function: Callable[[float], str]) -> Callable[[list[Argument]], Argument]:
    return lambda words: function(float(words[-1]))


def _printf(words: list[Argument]) -> str:
    rest = iter(words[1:])

    def written(verb: re.Match[str]) -> str:
        if verb[0] == "%%":
            return "%"
        word = next(rest, None)
        if word is None:
            raise ValueError(f"nothing for {verb[0]}")
        if isinstance(word, str) or verb[1] == "v" or not math.isfinite(word):
            return word if isinstance(word, str) else texts.shown(word)
        return verb[0] % word

    return _VERB.sub(written, str(words[0]))


def _replaced(words: list[Argument]) -> str:
    pattern, replacement, text = (str(w) for w in words)
    return re.sub(pattern, re.sub(r"\$\{?(\d+)\}?", r"\\\1", replacement), text)


_FUNCTIONS: dict[str, Callable[[list[Argument]], Argument]] = {
    "humanize": _of_number(texts.humanize),
    "humanize1024": _of_number(texts.humanize_1024),
    "humanizeDuration": _of_number(texts.humanize_duration),
    "humanizePercentage": _of_number(texts.humanize_percentage),
    "humanizeTimestamp": _of_number(texts.humanize_timestamp),
    "printf": _printf,
    "title": lambda words: str(words[-1]).title(),
    "toUpper": lambda words: str(words[-1]).upper(),
    "toLower": lambda words: str(words[-1]).lower(),
    "reReplaceAll": _replaced,
}
