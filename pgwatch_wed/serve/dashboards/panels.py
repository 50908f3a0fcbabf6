"""What a panel shows: expressions that are made from metrics of the registry, so that no name is misspelled."""

from dataclasses import dataclass

from pgwatch_wed.serve.metrics.metric_registry import Metric

# Grafana's names of units, by how a metric's name ends.
_UNITS = (("_seconds", "s"), ("_bytes", "bytes"), ("_ratio", "percentunit"))
_WINDOW = "[$__rate_interval]"


@dataclass(frozen=True, slots=True)
class PanelQuery:
    """An expression, and how its series are called: ``{{label}}`` is a label's value."""

    expression: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel: its title, its queries, and Grafana's name for the unit of their values."""

    title: str
    unit: str
    queries: tuple[PanelQuery, ...]
    about: str = ""


@dataclass(frozen=True, slots=True)
class Dashboard:
    """``uid`` is what links refer to; it never changes."""

    uid: str
    title: str
    panels: tuple[Panel, ...]
    has_targets: bool = True


def name_of(metric: Metric) -> str:
    """Return the name in expressions; OpenTelemetry's has no prefix."""
    return metric.name if metric.source == "app" else metric.full_name


def selected(metric: Metric, suffix: str = "", **labels: str) -> str:
    """Return a selector: of the chosen targets, if the metric has any."""
    pairs = [f'{label}="{value}"' for label, value in labels.items()]
    if "target" in metric.labels:
        pairs.insert(0, 'target=~"$target"')
    inside = f"{{{','.join(pairs)}}}" if pairs else ""
    return f"{name_of(metric)}{suffix}{inside}"


def per_second(metric: Metric, *by: str, suffix: str = "", **labels: str) -> str:
    """Return the rate of a counter, added up by labels."""
    return _grouped("sum", f"rate({selected(metric, suffix, **labels)}{_WINDOW})", by)


def largest(metric: Metric, *by: str, **labels: str) -> str:
    """Return the largest value of a gauge by labels."""
    return _grouped("max", selected(metric, **labels), by)


def total(metric: Metric, *by: str, **labels: str) -> str:
    """Return the values of a gauge, added up by labels."""
    return _grouped("sum", selected(metric, **labels), by)


def share(part: str, whole: str) -> str:
    """Return a ratio; nothing, rather than NaN, while nothing happens."""
    return f"{part} / ({whole} > 0)"


def _grouped(how: str, what: str, by: tuple[str, ...]) -> str:
    return f"{how} by ({', '.join(by)}) ({what})" if by else f"{how}({what})"


def unit_of(metric: Metric) -> str:
    """Return Grafana's name of the unit of a gauge."""
    return next((unit for end, unit in _UNITS if metric.name.endswith(end)), "short")


def gauge(title: str, metric: Metric, *by: str, **labels: str) -> Panel:
    """Return a panel of the largest values of a gauge."""
    query = PanelQuery(largest(metric, *by, **labels), _legend(by))
    return Panel(title, unit_of(metric), (query,), metric.help)


def rate(title: str, metric: Metric, *by: str, unit: str | None = None, **labels: str) -> Panel:
    """Return a panel of the rates of a counter: bytes and seconds a second, else events a second."""
    query = PanelQuery(per_second(metric, *by, **labels), _legend(by))
    of_total = {"s": "percentunit", "bytes": "Bps"}
    base = next((u for end, u in _UNITS if metric.name.endswith(f"{end}_total")), "")
    return Panel(title, unit or of_total.get(base, "ops"), (query,), metric.help)


def _legend(by: tuple[str, ...]) -> str:
    return " ".join(f"{{{{{label}}}}}" for label in by) or "all"
