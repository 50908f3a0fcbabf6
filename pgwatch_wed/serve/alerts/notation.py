"""promtool's notation of series: `name{label="value"}` and `0+4x10 _x3 stale`."""

import re
from collections.abc import Iterator

from pgwatch_wed.serve.alerts.sample_memory import NAME, STALE
from pgwatch_wed.serve.state import Labels

_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_RUN = re.compile(r"([-+]?[\d.]+(?:e[-+]?\d+)?)(?:([-+])([\d.]+(?:e[-+]?\d+)?))?x(\d+)")


def labels(series: str) -> Labels:
    """Return the labels of a series, its name among them."""
    name, _, rest = series.partition("{")
    pairs = {k: v.replace('\\"', '"') for k, v in _LABEL.findall(rest)}
    return tuple(sorted({NAME: name, **pairs}.items()))


def values(text: str) -> Iterator[float | None]:
    """Yield the value of each step; nothing where there is no sample."""
    for word in text.split():
        run = _RUN.fullmatch(word)
        if run is not None:
            start = float(run[1])
            step = float(run[3] or 0) * (-1 if run[2] == "-" else 1)
            # promtool adds step by step; so do we, for the same rounding
            for _ in range(int(run[4]) + 1):
                yield start
                start += step
        elif word.startswith("_"):
            yield from [None] * int(word[2:] or 1)
        else:
            yield STALE if word == "stale" else float(word)
