"""The four dashboards: the service and its peers, the database, the business, the machines."""

from pgwatch_wed.serve.dashboards.panels import (
    Dashboard,
    Panel,
    PanelQuery,
    gauge,
    largest,
    name_of,
    per_second,
    rate,
    selected,
    share,
    total,
)
from pgwatch_wed.serve.metrics import collection_families as collection
from pgwatch_wed.serve.metrics import database_families as database
from pgwatch_wed.serve.metrics import of_other_parts as others
from pgwatch_wed.serve.metrics import probe_families as probes
from pgwatch_wed.serve.metrics import server_families as server
from pgwatch_wed.serve.metrics import statement_families as statements
from pgwatch_wed.serve.metrics import table_sizes as tables
from pgwatch_wed.serve.metrics.exporter import RENDER_SECONDS, SERIES, SERIES_LIMIT


def all_dashboards(namespace: str = "app") -> tuple[Dashboard, ...]:
    """Return the dashboards; ``namespace`` is the prefix of the application's metrics."""
    return service(), of_database(), business(namespace), infrastructure()


def service() -> Dashboard:
    """Return the dashboard of requests, probes, objectives and the service itself."""
    http = others.HTTP
    count, bucket = "_count", "_bucket"
    errors = (
        f'sum(rate({name_of(http)}_count{{http_response_status_code=~"5.."}}[$__rate_interval]))'
    )
    quantiles = tuple(
        PanelQuery(f"histogram_quantile({q}, {per_second(http, 'le', suffix=bucket)})", f"{q:.0%}")
        for q in (0.5, 0.95, 0.99)
    )
    took = f"rate({selected(probes.PROBE_SECONDS, '_sum')}[$__rate_interval])"
    mean = share(took, f"rate({selected(probes.PROBE_SECONDS, count)}[$__rate_interval])")
    return Dashboard(
        "pgwatch-wed-service",
        "Service",
        (
            Panel(
                "Requests",
                "reqps",
                (PanelQuery(per_second(http, "http_route", suffix=count), "{{http_route}}"),),
                http.help,
            ),
            Panel(
                "Errors",
                "percentunit",
                (PanelQuery(share(errors, per_second(http, suffix=count)), "5xx"),),
                "Share of requests that failed.",
            ),
            Panel("Response time", "s", quantiles, http.help),
            gauge("Probes", probes.UP, "target", "probe"),
            Panel(
                "Duration of probes",
                "s",
                (PanelQuery(mean, "{{target}} {{probe}}"),),
                probes.PROBE_SECONDS.help,
            ),
            rate("Failures of probes", probes.FAILURES, "probe", "reason"),
            gauge("Open circuit breakers", probes.BREAKER_STATE, "breaker", state="open"),
            gauge("Budget used", others.SLO_USED, "slo"),
            gauge("Burn rate", others.SLO_BURN, "slo", "window"),
            rate("Messages about alerts", others.NOTIFICATIONS, "receiver", "outcome"),
            gauge("Cost on the server", collection.COST, "target"),
            gauge("Collection succeeded", collection.SUCCESS, "target", "tier"),
            gauge("Interval of collection", collection.INTERVAL, "target", "tier"),
            Panel(
                "Series",
                "short",
                (
                    PanelQuery(largest(SERIES), "exposed"),
                    PanelQuery(largest(SERIES_LIMIT), "limit"),
                ),
                SERIES.help,
            ),
            rate("CPU for rendering", RENDER_SECONDS),
        ),
    )


def of_database() -> Dashboard:
    """Return the dashboard of PostgreSQL."""
    hit = per_second(database.BLOCKS, "target", "database", source="hit")
    blocks = per_second(database.BLOCKS, "target", "database")
    per_call = share(
        per_second(statements.SECONDS, "target", "database"),
        per_second(statements.CALLS, "target", "database"),
    )
    free = f"{total(server.CONNECTIONS, 'target')} / on (target) ({selected(server.MAX_CONNECTIONS)} - {selected(server.RESERVED_CONNECTIONS)})"
    return Dashboard(
        "pgwatch-wed-database",
        "Database",
        (
            Panel(
                "Connections",
                "short",
                (PanelQuery(total(server.CONNECTIONS, "target", "state"), "{{target}} {{state}}"),),
                server.CONNECTIONS.help,
            ),
            Panel("Connections in use", "percentunit", (PanelQuery(free, "{{target}}"),)),
            rate("Transactions", database.TRANSACTIONS, "target", "database", "outcome"),
            Panel(
                "Hit ratio of shared buffers",
                "percentunit",
                (PanelQuery(share(hit, blocks), "{{target}} {{database}}"),),
                "Of the blocks that were needed; look at how many these are, too.",
            ),
            rate("Blocks", database.BLOCKS, "target", "database", "source"),
            rate("Rows", database.ROWS, "target", "database", "operation"),
            Panel(
                "Mean time of statements",
                "s",
                (PanelQuery(per_call, "{{target}} {{database}}"),),
                "Of statements that ended.",
            ),
            rate("Time in statements", statements.SECONDS, "target", "query_id"),
            rate("Calls of statements", statements.CALLS, "target", "query_id"),
            gauge("Longest query", server.LONGEST_QUERY, "target", "database"),
            gauge("Longest transaction", server.LONGEST_TRANSACTION, "target", "database"),
            gauge("Longest idle in transaction", server.LONGEST_IDLE, "target", "database"),
            gauge("Blocked sessions", server.BLOCKED, "target", "database"),
            gauge("Longest wait for a lock", server.LONGEST_BLOCK, "target", "database"),
            rate("Deadlocks", database.DEADLOCKS, "target", "database"),
            rate("Temporary files", database.TEMP_BYTES, "target", "database"),
            gauge("Age of transaction IDs", database.XID_AGE, "target", "database"),
            gauge("Size", database.DATABASE_SIZE, "target", "database"),
            gauge("Tables over their trigger", database.OVER_TRIGGER, "target", "database"),
            gauge("Dead rows", tables.DEAD, "target", "schema", "table"),
            rate("Checkpoints", server.CHECKPOINTS, "target", "kind"),
            rate("Blocks written", server.BUFFERS_WRITTEN, "target", "by"),
            rate("WAL", server.WAL_BYTES, "target"),
            rate("Failures of archiving", server.ARCHIVE_FAILURES, "target"),
            gauge("Lag of standbys", server.REPLICA_LAG_BYTES, "target", "replica"),
            gauge("WAL kept for slots", server.SLOT_RETAINED, "target", "slot"),
            Panel(
                "Findings",
                "short",
                (
                    PanelQuery(
                        total(collection.FINDINGS, "target", "severity"), "{{target}} {{severity}}"
                    ),
                ),
                "What the rules found; db-analyze run explains each.",
            ),
        ),
    )


def business(namespace: str) -> Dashboard:
    """Return the dashboard of what the application does for its users."""

    def counted(title: str, name: str, *by: str, unit: str = "ops") -> Panel:
        what = f"rate({namespace}_{name}[$__rate_interval])"
        grouped = f"sum by ({', '.join(by)}) ({what})" if by else f"sum({what})"
        legend = " ".join(f"{{{{{label}}}}}" for label in by) or "all"
        return Panel(title, unit, (PanelQuery(grouped, legend),))

    def timed(title: str, name: str) -> Panel:
        buckets = f"sum by (le) (rate({namespace}_{name}_bucket[$__rate_interval]))"
        return Panel(title, "s", (PanelQuery(f"histogram_quantile(0.95, {buckets})", "95%"),))

    return Dashboard(
        "pgwatch-wed-business",
        "Business",
        (
            counted("Payments", "payments_total", "outcome"),
            counted("Webhooks of Stripe", "stripe_webhooks_total", "type", "outcome"),
            timed("Delay of webhooks", "stripe_webhook_lag_seconds"),
            counted("Forms", "forms_submitted_total", "outcome"),
            timed("Time to process a form", "form_seconds"),
            counted("PDF files", "pdf_processed_total", "outcome"),
            counted("Pages", "pdf_pages_total"),
            timed("Time to process a PDF file", "pdf_processing_seconds"),
            counted("Emails", "emails_total", "outcome"),
            counted(
                "Operations on caches", "cache_operations_total", "cache", "operation", "result"
            ),
            counted("Failed logins", "auth_failures_total", "reason"),
            counted("Requests over the limit", "rate_limited_total", "route"),
        ),
        has_targets=False,
    )


def infrastructure() -> Dashboard:
    """Return the dashboard of machines, caches and certificates."""
    idle = f'avg by (target) (rate({name_of(others.CPU)}{{mode="idle"}}[$__rate_interval]))'
    hit = per_second(others.CACHE_LOOKUPS, "cache", result="hit")
    left = f"min by (probe) ({name_of(others.CERTIFICATE)}) - time()"
    return Dashboard(
        "pgwatch-wed-infrastructure",
        "Infrastructure",
        (
            Panel(
                "CPU", "percentunit", (PanelQuery(f"1 - {idle}", "{{target}}"),), others.CPU.help
            ),
            Panel(
                "Memory",
                "percentunit",
                (
                    PanelQuery(
                        f"1 - {name_of(others.MEMORY_AVAILABLE)} / {name_of(others.MEMORY)}",
                        "{{target}}",
                    ),
                ),
                others.MEMORY.help,
            ),
            Panel(
                "Free space",
                "percentunit",
                (
                    PanelQuery(
                        f"{name_of(others.DISK_FREE)} / {name_of(others.DISK_SIZE)}",
                        "{{target}} {{mount}}",
                    ),
                ),
                others.DISK_FREE.help,
            ),
            Panel(
                "Network",
                "Bps",
                (
                    PanelQuery(
                        f"sum by (target, direction) (rate({name_of(others.NETWORK)}[$__rate_interval]))",
                        "{{target}} {{direction}}",
                    ),
                ),
                others.NETWORK.help,
            ),
            Panel(
                "Hit ratio of caches",
                "percentunit",
                (PanelQuery(share(hit, per_second(others.CACHE_LOOKUPS, "cache")), "{{cache}}"),),
                others.CACHE_LOOKUPS.help,
            ),
            rate("Lookups", others.CACHE_LOOKUPS, "cache", "result"),
            gauge("Memory of caches", others.CACHE_MEMORY, "cache"),
            rate("Evictions", others.CACHE_EVICTIONS, "cache"),
            Panel("Time left of certificates", "s", (PanelQuery(left, "{{probe}}"),)),
        ),
        has_targets=False,
    )
