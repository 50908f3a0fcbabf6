"""Readings → families → Prometheus' text format.

A value that is not a finite number is left out: NaN in an alert's expression is neither above nor below anything.
"""

import math
from collections.abc import Iterable, Mapping

from pgwatch_wed.serve.metrics.metric_registry import Metric, MetricReading
from pgwatch_wed.serve.state import Family, Labels, Sample

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_ESCAPES_IN_HELP = str.maketrans({"\\": "\\\\", "\n": "\\n"})
# Names come from catalogs: what no label should carry is shown as such.
_MOST_CHARACTERS = 200


def families(readings: Iterable[MetricReading]) -> tuple[Family, ...]:
    """Group readings by metric, in the order in which the metrics first appear."""
    found: dict[Metric, dict[Labels, float]] = {}
    for metric, values, value in readings:
        if value is None or not math.isfinite(value):
            continue
        pairs = zip(metric.labels, values, strict=True)
        labels = tuple((name, _label(text)) for name, text in pairs if text)
        # two objects of one name have one series, or no series of the scrape would be accepted
        found.setdefault(metric, {})[labels] = float(value)
    return tuple(_family(metric, samples) for metric, samples in found.items())


def _label(text: str) -> str:
    clean = text.encode("utf-8", "replace").decode() if not text.isascii() else text
    return clean if len(clean) <= _MOST_CHARACTERS else clean[: _MOST_CHARACTERS - 1] + "…"


def _family(metric: Metric, samples: Mapping[Labels, float]) -> Family:
    name = metric.full_name
    return Family(
        name,
        metric.kind,
        metric.help,
        tuple(Sample(name, labels, value) for labels, value in samples.items()),
        metric.source,
    )


def rendered(of: Iterable[Family]) -> bytes:
    """Return families as text; those of one name are one family."""
    lines: list[str] = []
    by_name: dict[str, list[Family]] = {}
    for family in of:
        by_name.setdefault(family.name, []).append(family)
    for name, parts in by_name.items():
        lines.append(f"# HELP {name} {parts[0].help.translate(_ESCAPES_IN_HELP)}")
        lines.append(f"# TYPE {name} {parts[0].kind}")
        for part in parts:
            lines.extend(_line(sample) for sample in part.samples)
    return "".join(f"{line}\n" for line in lines).encode()


def _line(sample: Sample) -> str:
    if not sample.labels:
        return f"{sample.name} {_number(sample.value)}"
    labels = ",".join(f'{name}="{text.translate(_ESCAPES)}"' for name, text in sample.labels)
    return f"{sample.name}{{{labels}}} {_number(sample.value)}"


def _number(value: float) -> str:
    number = float(value)
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
