"""``p95 < 200 ms``, ``errors < 0.1 %``, ``tps > 500`` → objectives, and back."""

import math
import re

from pgwatch_wed.load.load_model import LoadObjective

EXAMPLES = "such as 'p95 < 200 ms', 'errors < 0.1%' or 'tps > 500'"
_FORM = re.compile(
    r"\s*(?P<name>[a-z]+[0-9.]*)\s*(?P<sign>[<>])=?\s*(?P<limit>[0-9.]+)\s*(?P<unit>\S*)\s*"
)
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,3})?)")
_MS = {"ms": 1.0, "s": 1000.0}


def read_objective(text: str) -> LoadObjective:
    """Return the objective in a text; ValueError says what is wrong with it."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an objective {EXAMPLES}")
    name, is_upper = match["name"], match["sign"] == "<"
    limit = _limit(name, _number(match["limit"], text), match["unit"], text)
    if is_upper != (name != "tps"):
        raise ValueError(f"{text!r}: {name} needs {'>' if name == 'tps' else '<'}")
    return LoadObjective(name=name, limit=limit)


def _number(text: str, whole: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{whole!r}: {text!r} is not a number") from None
    if not 0 < number < math.inf:
        raise ValueError(f"{whole!r}: the limit must be above 0")
    return number


def _limit(name: str, number: float, unit: str, whole: str) -> float:
    percentile = _PERCENTILE.fullmatch(name)
    if percentile and float(percentile[1]) > 0:
        if unit not in _MS:
            raise ValueError(f"{whole!r}: the limit of {name} must be a time in ms or s")
        return number * _MS[unit]
    if name == "errors":
        if unit not in ("", "%"):
            raise ValueError(f"{whole!r}: the limit of errors must be a share, such as 0.1%")
        share = number / 100 if unit else number
        if share >= 1:
            raise ValueError(f"{whole!r}: the limit of errors must be below 100%")
        return share
    if name == "tps":
        if unit not in ("", "/s"):
            raise ValueError(f"{whole!r}: the limit of tps must be a number")
        return number
    raise ValueError(
        f"{whole!r}: unknown objective {name!r}; use a percentile (p95), errors or tps"
    )
