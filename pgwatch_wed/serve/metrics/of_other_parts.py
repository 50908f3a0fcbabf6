"""Metrics that other parts of the service and of the application make themselves: for the documentation and dashboards."""

from pgwatch_wed.serve.metrics.metric_registry import Metric, all_metrics, find, registered

CPU = registered(
    "counter",
    "host_cpu_seconds_total",
    "target mode",
    "host",
    "Processor time per processor that may be used, by mode: busy and idle.",
)
registered("gauge", "host_processors", "target", "host", "Processors that may be used.")
MEMORY = registered("gauge", "host_memory_bytes", "target", "host", "Memory that may be used.")
MEMORY_AVAILABLE = registered(
    "gauge",
    "host_memory_available_bytes",
    "target",
    "host",
    "Memory that is available without swapping.",
)
DISK_FREE = registered(
    "gauge", "filesystem_free_bytes", "target mount", "host", "Free space of a file system."
)
DISK_SIZE = registered(
    "gauge", "filesystem_size_bytes", "target mount", "host", "Size of a file system."
)
NETWORK = registered(
    "counter",
    "host_network_bytes_total",
    "target direction",
    "host",
    "Bytes on all network interfaces but loopback, received or sent.",
)
CACHE_LOOKUPS = registered(
    "counter", "cache_lookups_total", "cache result", "probes", "Lookups of keys: hit or miss."
)
CACHE_MEMORY = registered(
    "gauge", "cache_memory_bytes", "cache", "probes", "Memory of a cache's data."
)
registered(
    "gauge", "cache_memory_limit_bytes", "cache", "probes", "Memory limit of a cache, 0 for none."
)
CACHE_EVICTIONS = registered(
    "counter", "cache_evictions_total", "cache", "probes", "Keys that a cache evicted."
)
registered("gauge", "cache_clients", "cache", "probes", "Clients that are connected to a cache.")
CERTIFICATE = registered(
    "gauge",
    "probe_certificate_expiry_timestamp_seconds",
    "target probe kind",
    "probes",
    "When the certificate that a probe saw expires.",
)
registered(
    "gauge", "storage_free_bytes", "target probe kind", "probes", "Free space that a probe saw."
)
registered(
    "gauge", "storage_size_bytes", "target probe kind", "probes", "Size of what a probe saw."
)
registered(
    "gauge",
    "probe_in_recovery",
    "target probe kind",
    "probes",
    "1 if a probe was connected to a standby, 0 if to a primary.",
)
registered(
    "gauge",
    "probe_replay_lag_seconds",
    "target probe kind",
    "probes",
    "How far behind a standby was when it was probed.",
)
registered(
    "gauge",
    "probe_archive_age_seconds",
    "target probe kind",
    "probes",
    "Age of the last WAL file that was archived when the server was probed.",
)
registered(
    "gauge",
    "alert_suspect_info",
    "alertname rule finding grade",
    "causes",
    "A finding that explains an alert, while it fires; always 1.",
)
NOTIFICATIONS = registered(
    "counter",
    "notifications_total",
    "receiver outcome",
    "notify",
    "Messages about alerts: sent or failed.",
)
SLO_BURN = registered(
    "gauge",
    "slo_burn_rate",
    "slo window",
    "slo",
    "How many times faster than allowed an objective's budget is used; absent without events.",
)
SLO_USED = registered(
    "gauge", "slo_budget_used_ratio", "slo", "slo", "How much of an objective's budget is used."
)
registered(
    "gauge",
    "slo_unknown_ratio",
    "slo",
    "slo",
    "For how much of an objective's window nothing is known.",
)
registered("gauge", "slo_objective_ratio", "slo", "slo", "Share of events that are to be good.")
registered(
    "gauge",
    "slo_least_errors",
    "slo",
    "slo",
    "Bad events in the short window below which no alert is raised.",
)
registered(
    "gauge", "slo_bad_events", "slo window", "slo", "Bad events of an objective in a window."
)

# OpenTelemetry's name, without a prefix.
HTTP = Metric(
    "http_server_request_duration_seconds",
    "histogram",
    ("http_request_method", "http_route", "http_response_status_code"),
    "app",
    "How long the application took to answer requests.",
)


def listed() -> tuple[Metric, ...]:
    """Return all metrics: those of this package, and of the other parts."""
    return all_metrics()


def named(name: str) -> Metric | None:
    """Return the metric of a name without prefix, if there is one."""
    return find(name)
