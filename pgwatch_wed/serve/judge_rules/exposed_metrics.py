"""What an exporter exposes: metrics with their types and series, from its text format."""

import http.client
import re
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pgwatch_wed.errors import Error
from pgwatch_wed.serve.alerts.sample_memory import NAME
from pgwatch_wed.serve.state import Labels

_SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+\S+)?\s*(?:#.*)?")
_LABEL = re.compile(r'(\w+)\s*=\s*"((?:[^"\\]|\\.)*)"')
_ESCAPES = {"n": "\n", "\\": "\\", '"': '"'}
_PARTS = ("_bucket", "_count", "_sum")
_TIMEOUT_S = 10
_MOST_BYTES = 200_000_000


class MetricsError(Error):
    """Metrics cannot be read."""


@dataclass(frozen=True, slots=True)
class Exposed:
    """Metrics: ``types`` by family, ``series`` with their values by name."""

    types: Mapping[str, str] = field(default_factory=dict)
    series: Mapping[str, Mapping[Labels, float]] = field(default_factory=dict)

    @property
    def is_known(self) -> bool:
        """Tell whether anything was read."""
        return bool(self.series)

    def kind(self, name: str) -> str:
        """Return counter, gauge or nothing, if neither the type nor the name tells."""
        kind = self.types.get(name) or self.types.get(name.removesuffix("_total"), "")
        if kind in ("counter", "gauge"):
            return kind
        base = next((name.removesuffix(p) for p in _PARTS if name.endswith(p)), name)
        if self.types.get(base) in ("histogram", "summary"):
            return "counter"
        if kind or name in self.series:
            return ""
        return "counter" if name.endswith(("_total", "_bucket")) else ""


def read_metrics(sources: Sequence[str]) -> Exposed:
    """Read URLs and files."""
    return parse_metrics("\n".join(_text(source) for source in sources))


def _text(source: str) -> str:
    try:
        if source.startswith(("http://", "https://")):
            with urllib.request.urlopen(source, timeout=_TIMEOUT_S) as answer:  # noqa: S310
                return str(answer.read(_MOST_BYTES).decode("utf-8", "replace"))
        return Path(source).read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or error
        raise MetricsError(f"{source}: metrics cannot be read: {reason}") from None


def parse_metrics(text: str) -> Exposed:
    """Read the text format."""
    types: dict[str, str] = {}
    series: dict[str, dict[Labels, float]] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            words = line.split()
            if len(words) == 4 and words[1] == "TYPE":
                types[words[2]] = words[3]
            continue
        match = _SAMPLE.fullmatch(line.strip())
        if match is None:
            continue
        try:
            value = float(match[3])
        except ValueError:
            continue
        series.setdefault(match[1], {})[_labels(match[1], match[2] or "")] = value
    return Exposed(types, series)


def _labels(name: str, text: str) -> Labels:
    pairs = (
        (k, re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), v))
        for k, v in _LABEL.findall(text)
    )
    return tuple(sorted([(NAME, name), *((k, v) for k, v in pairs if v)]))


def as_scraped(
    exposed: Exposed, job: str = "job", instance: str = "instance"
) -> Iterable[tuple[Labels, float]]:
    """Yield the series as Prometheus stores them, with job and instance."""
    for of in exposed.series.values():
        for labels, value in of.items():
            yield tuple(sorted({"job": job, "instance": instance, **dict(labels)}.items())), value
