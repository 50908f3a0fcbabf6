"""The series of this process that prometheus_client keeps, as families: counters of requests, and the application's."""

import importlib
from collections.abc import Iterator
from typing import Any

from pgwatch_wed.serve.state import Family, Sample

_KINDS = ("counter", "gauge", "histogram")


def live_families() -> Iterator[Family]:
    """Yield what is in the registry now."""
    client: Any = importlib.import_module("prometheus_client")
    for metric in client.REGISTRY.collect():
        if metric.type in _KINDS:
            name = f"{metric.name}_total" if metric.type == "counter" else metric.name
            samples = tuple(
                Sample(s.name, tuple(sorted(s.labels.items())), float(s.value))
                for s in metric.samples
                if not s.name.endswith("_created")
            )
            yield Family(name, metric.type, metric.documentation, samples, "live")
