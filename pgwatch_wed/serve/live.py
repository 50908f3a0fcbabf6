"""The series of this process that prometheus_client keeps, as families."""

import importlib
from collections.abc import Iterator
from typing import Any

from pgwatch_wed.serve.state import Family, Sample

_KINDS = ("counter", "gauge", "histogram")


def live_families() -> Iterator[Family]:
    """Yield what is in the registry now."""
    client: Any = importlib.import_module("prometheus_client")
    for metric in client.REGISTRY.collect():
        if (family := of_metric(metric)) is not None:
            yield family


def of_metric(metric: Any) -> Family | None:
    """Return prometheus_client's metric as a family, or None for a kind that no rule uses."""
    if metric.type not in _KINDS or metric.name.endswith("_created"):
        return None
    name = f"{metric.name}_total" if metric.type == "counter" else metric.name
    samples = tuple(
        Sample(s.name, tuple(sorted(s.labels.items())), float(s.value))
        for s in metric.samples
        if not s.name.endswith("_created")
    )
    return Family(name, metric.type, metric.documentation, samples, "live")
