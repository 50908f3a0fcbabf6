"""docs/guide.md: every line of the monitoring guide is in it, and what it says of each exists and runs."""

import importlib
import pkgutil
import re
from functools import cache
from pathlib import Path

import click
import psycopg
import pytest
from prometheus_client import CollectorRegistry
from starlette.routing import Route

from pgwatch_wed import install
from pgwatch_wed.app.breakers import breaker
from pgwatch_wed.app.metrics import AppMetrics
from pgwatch_wed.cli import cli, report_files
from pgwatch_wed.schedule.tasks import Timetable, tasks
from pgwatch_wed.serve import metrics
from pgwatch_wed.serve.alerts.export import service_groups
from pgwatch_wed.serve.alerts.rule_files import every_rule
from pgwatch_wed.serve.http.exposition import Exposition
from pgwatch_wed.serve.http.publisher import Publisher
from pgwatch_wed.serve.http.routes import Readiness, Views
from pgwatch_wed.serve.http.streaming import Watching
from pgwatch_wed.serve.metrics.metric_registry import all_metrics
from pgwatch_wed.serve.metrics.of_other_parts import HTTP
from pgwatch_wed.serve.probes.probe_kinds import KINDS as PROBES
from pgwatch_wed.serve.slo.slo_settings import GUIDE as OBJECTIVES
from pgwatch_wed.serve.state import Board
from tests.installing import GUIDE as CALLS
from tests.typed_commands import accepted

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "guide.md").read_text(encoding="utf-8")
ALERTS = {r.name: r for r in every_rule(service_groups(())) if not r.is_record}
# What fails as the guide has it: the column is another one.
FAILING = (
    "SELECT query, mean_time, calls FROM pg_stat_statements WHERE mean_time > 100 ORDER BY mean_time DESC;",
    "SELECT schemaname, tablename, indexrelname, idx_scan FROM pg_stat_user_indexes WHERE idx_scan = 0 AND NOT indexrelname LIKE '%_pkey';",
)

# The guide, line by line, in its words.
LINES = {
    "Service level objectives": (
        "Availability: 99.99% uptime (8.76 minutes downtime/month)",
        "Response Time: 95% of requests < 200ms",
        "Error Rate: < 0.1% of requests fail",
        "Throughput: Handle 10k+ concurrent users",
        "Database Performance: Query times < 50ms average",
    ),
    "Key performance indicators": (
        "User Experience: Page load times, form submission success rates",
        "Business Metrics: PDF processing rate, payment completion rate",
        "System Health: CPU/memory usage, database connections",
        "Security: Failed authentication attempts, rate limit triggers",
    ),
    "Calls of the application": (
        "metrics.trackBusinessMetrics.pdfProcessed(pageCount, processingTime, success)",
        "metrics.trackBusinessMetrics.paymentProcessed(amount, success)",
        "metrics.trackBusinessMetrics.formSubmitted(formId, responseTime, success)",
        "logger.info(…)",
        "circuitBreakers.database.getHealth()",
        "circuitBreakers.stripe.getHealth()",
        "cache.isHealthy()",
        "cache.hits, cache.misses, cache.sets, cache.deletes",
        "auditPayment.webhookReceived(eventData, request)",
        "auditPayment.paymentProcessed(paymentData, request)",
        "EmailService.getDeliveryStats()",
    ),
    "SQL": (
        "SELECT * FROM get_table_stats();",
        "SELECT * FROM get_index_stats();",
        "SELECT * FROM wedsync_performance_summary;",
        "SELECT * FROM index_usage_stats WHERE usage_status IN ('UNUSED', 'RARELY_USED');",
        "SELECT * FROM get_slow_queries(100);",
        "SELECT * FROM get_cache_stats();",
        "SELECT * FROM get_lock_stats();",
        "SELECT * FROM get_table_stats() WHERE n_dead_tup > n_live_tup * 0.2;",
        "SELECT * FROM pg_stat_activity;",
        "SELECT count(*) as active_connections FROM pg_stat_activity WHERE state = 'active';",
        "SELECT query, mean_time, calls FROM pg_stat_statements WHERE mean_time > 100 ORDER BY mean_time DESC;",
        "SELECT round(blks_hit::numeric / (blks_hit + blks_read) * 100, 2) as cache_hit_ratio FROM pg_stat_database WHERE datname = current_database();",
        "SELECT schemaname, tablename, indexrelname, idx_scan FROM pg_stat_user_indexes WHERE idx_scan = 0 AND NOT indexrelname LIKE '%_pkey';",
    ),
    "Endpoints": (
        "GET /api/health",
        "GET /api/health/database",
        "GET /api/health/storage",
        "GET /api/health/stripe",
        "GET /api/health/email",
        "Database connectivity",
        "Storage availability",
        "External service status",
        "Memory/CPU metrics",
        "Response time thresholds",
    ),
    "Commands": (
        "npm run stress-test:ci",
        "npm run stress-test:heavy",
        "npm run db-analyze",
        "npm run perf-quick",
        "npm run perf-suite",
        "npm run perf-suite:heavy",
        'grep "ERROR" /var/log/wedsync/app.log \\| tail -50',
    ),
    "Reports": (
        "stress-test-results/report-{timestamp}.html",
        "db-analysis-results/analysis-report-{timestamp}.html",
        "performance-reports/dashboard-{timestamp}.html",
    ),
    "Metrics that are collected": (
        "HTTP Request Metrics: Response times, status codes, endpoint usage",
        "Database Metrics: Query times, connection counts, cache hit ratios",
        "Business Metrics: PDF processing rates, form submissions, payments",
        "System Metrics: Memory usage, CPU utilization, disk I/O",
    ),
    "Alerts": (
        "Service Down: Health check failure for > 1 minute",
        "High Error Rate: > 5% error rate for > 2 minutes",
        "Database Issues: Connection failures",
        "Database Issues: query times > 5 seconds",
        "Payment Failures: Stripe webhook failures or payment processing errors",
        "Response Time: 95th percentile > 500ms for > 5 minutes",
        "Cache Issues: Redis cache hit ratio < 90%",
        "High Load: CPU > 80% for > 10 minutes",
        "High Load: memory > 85% for > 10 minutes",
        "Database Performance: Query times > 200ms average",
        "Capacity Planning: Connection count > 70% of limit",
        "Index Maintenance: Tables with > 20% dead tuples",
        "Security Events: Elevated rate limit triggers",
    ),
    "Dashboard": (
        "Overall system status",
        "Response time trends",
        "Error rate trends",
        "Throughput metrics",
        "Active connections",
        "Query performance",
        "Cache hit ratios",
        "Lock contention",
        "PDF processing rates",
        "Form submission success",
        "Payment completion rates",
        "User engagement metrics",
        "CPU/Memory utilization",
        "Disk usage",
        "Network I/O",
        "Service dependencies",
    ),
    "Troubleshooting": (
        "Check Database Performance",
        "Review Slow Queries",
        "Monitor Cache Hit Ratio",
        "Check Application Logs",
        "Review Circuit Breaker Status",
        "Validate External Service Health",
        "Connection Pool Status",
        "Lock Analysis",
        "Table Maintenance",
        "Run Full Performance Analysis",
        "Compare Against Baselines",
        "Implement Recommended Optimizations",
    ),
    "Tasks": (
        "Health check validation via CI/CD",
        "Light performance testing",
        "Log rotation and cleanup",
        "Security scan execution",
        "Heavy load testing",
        "Database statistics update",
        "Index usage analysis",
        "Cache performance review",
        "Full database analysis with optimization",
        "Capacity planning review",
        "Performance baseline updates",
        "Infrastructure scaling assessment",
        "Complete security audit",
        "Disaster recovery testing",
        "Performance benchmark updates",
        "Infrastructure architecture review",
    ),
    "Checklist": (
        "Implement response caching where appropriate",
        "Optimize database queries (use EXPLAIN ANALYZE)",
        "Use connection pooling effectively",
        "Enable compression for API responses",
        "Implement proper error handling and retry logic",
        "Add indexes for frequently queried columns",
        "Configure auto-vacuum settings appropriately",
        "Monitor and address slow queries",
        "Optimize PostgreSQL configuration",
        "Implement query result caching",
        "Set up horizontal scaling with load balancers",
        "Use CDN for static asset delivery",
        "Implement Redis caching for session data",
        "Monitor resource usage and scale proactively",
        "Set up proper backup and recovery procedures",
        "Implement rate limiting",
        "Monitor for security threats",
        "Audit user access patterns",
        "Validate input sanitization",
        "Keep dependencies updated",
    ),
    "Incidents": (
        "P0: Service completely down (< 5 min response)",
        "P1: Major functionality impaired (< 30 min response)",
        "P2: Minor functionality issues (< 2 hour response)",
        "P3: Enhancement requests (< 24 hour response)",
        "Check health endpoints",
        "Review recent deployments",
        "Analyze error patterns",
        "Implement circuit breakers if needed",
        "Scale resources if capacity issue",
        "Rollback if deployment-related",
        "Analyze performance reports",
        "Review application logs",
        "Document findings and improvements",
    ),
    "Success metrics": (
        "Mean Time to Detection (MTTD): < 2 minutes",
        "Mean Time to Resolution (MTTR): < 15 minutes for P0 issues",
        "False Positive Rate: < 5% of alerts",
        "Coverage: > 95% of critical paths monitored",
    ),
    "Next steps": (
        "Set up metrics collection",
        "Configure alerting rules",
        "Create monitoring dashboards",
        "Run initial performance tests",
        "Document current performance levels",
        "Set up trending analysis",
        "Integrate with CI/CD pipelines",
        "Set up scheduled health checks",
        "Implement automated responses",
        "Document runbooks",
        "Conduct incident response drills",
        "Establish on-call procedures",
    ),
}


def tables() -> dict[str, list[list[str]]]:
    """Return the rows of the table under each heading, without those of its head."""
    found = {}
    for part in PAGE.split("\n## ")[1:]:
        title, _, text = part.partition("\n")
        lines = [line for line in text.splitlines() if line.startswith("|")]
        rows = [re.split(r"(?<!\\) \| ", line[2:-2]) for line in lines]
        found[title] = rows[2:]
    return found


ROWS = [(title, row) for title, rows in tables().items() for row in rows]
ANSWERS = [row[2 if title == "Alerts" else 1] for title, row in ROWS]


def code(start: str, text: str = PAGE) -> list[str]:
    """Return what stands in backquotes and begins so."""
    return [c for c in dict.fromkeys(re.findall(r"`([^`\n]+)`", text)) if re.match(start, c)]


# Nothing of the guide is left out.


@pytest.mark.parametrize("title", LINES)
def test_every_line_of_the_guide_is_in_the_map_and_nothing_else(title: str) -> None:
    assert [row[0].replace("`", "") for row in tables()[title]] == list(LINES[title])


def test_there_are_no_other_tables() -> None:
    assert list(tables()) == list(LINES)
    assert len(ROWS) > 150


def test_every_answer_names_something_or_says_that_it_is_outside() -> None:
    silent = [a for a in ANSWERS if not re.search(r"`|\]\(|\boutside\b|^the same$|^as written", a)]
    assert silent == ["one of 770 alerts in these days"] * silent.count(
        "one of 770 alerts in these days"
    )


# What it says exists.


@pytest.mark.parametrize("line", code("db-analyze"))
def test_commands_are_accepted(line: str) -> None:
    accepted(line)


def test_targets_of_make_exist_and_are_explained() -> None:
    text = (DOCS.parent / "Makefile").read_text(encoding="utf-8")
    targets = {t for line in re.findall(r"^([a-z -]+): ", text, re.MULTILINE) for t in line.split()}
    named = [c.removeprefix("make ") for c in code("make ")]
    assert len(named) == 6
    assert [n for n in named if n not in targets or f"make {n} " not in text] == []


def test_endpoints_are_routes() -> None:
    over = Board()
    publisher = Publisher(over, lambda: 0.0)
    watching = Watching(over, publisher, lambda: 0.0)
    views = Views(publisher, Exposition(over), Readiness(), watching, lambda: 0.0)
    patterns = [r.path_regex for r in views.routes() if isinstance(r, Route) and "GET" in (r.methods or ())]  # fmt: skip
    paths = [c.removeprefix("GET ") for c in code("GET ")]
    assert len(paths) == 6
    assert [p for p in paths if not any(each.match(p) for each in patterns)] == []


def test_sql_runs_as_it_stands(db: str) -> None:
    with psycopg.connect(db, autocommit=True) as connection:
        connection.execute("create extension if not exists pg_stat_statements")
        connection.execute("create table orders (id int primary key)")
        install.upgrade(db, "public")
        statements = code("SELECT ")
        assert {" ".join(c.split()) for c in CALLS} <= set(statements)
        for statement in statements:
            if statement in FAILING:
                with pytest.raises(psycopg.errors.UndefinedColumn):
                    connection.execute(statement.encode())
            else:
                connection.execute(statement.encode())


def test_alerts_have_the_thresholds_of_the_guide() -> None:
    for guide, severity, name, threshold, held in tables()["Alerts"]:
        rule = ALERTS[name.strip("`")]
        assert rule.labels["severity"] == severity, guide
        assert re.search(rf"{re.escape(threshold.strip('`'))}(?![\d.])", rule.query), guide
        unit = {"s": 1000, "m": 60_000, "h": 3_600_000}[held[-1]]
        assert rule.for_ms == int(held[:-1]) * unit, guide
        asked = re.search(r"for > (\d+) minutes?$", guide)
        assert asked is None or rule.for_ms == int(asked[1]) * 60_000, guide


def test_what_looks_like_an_alert_is_one() -> None:
    named = code(r"(?:[A-Z][a-z0-9]+){2,}(?:ms|s)?$", "\n".join(ANSWERS))
    assert len(named) > 15
    assert [n for n in named if n not in ALERTS] == []


@cache
def metric_names() -> set[str]:
    for part in pkgutil.iter_modules(metrics.__path__):
        importlib.import_module(f"{metrics.__name__}.{part.name}")
    names = {m.full_name for m in all_metrics()} | {HTTP.name}
    registry = CollectorRegistry()
    AppMetrics(registry=registry)
    breaker("guide")
    for family in registry.collect():
        names |= {family.name, *(sample.name for sample in family.samples)}
    return names


def test_metrics_are_exposed() -> None:
    named = code(r"(?:app|pgwatch_wed|http_server)_\w+$")
    assert len(named) > 20
    assert [n for n in named if n not in metric_names()] == []


def test_calls_of_the_application_exist() -> None:
    named = code(r"metrics\.[a-z_]+\(", "\n".join(ANSWERS))
    assert len(named) == 7
    for call in named:
        assert callable(getattr(AppMetrics, call.removeprefix("metrics.").partition("(")[0]))
    for place in code(r"pgwatch_wed\.app\."):
        module, _, name = place.rpartition(".")
        assert callable(getattr(importlib.import_module(module), name))


def test_objectives_are_those_of_the_guide() -> None:
    named = {c[5:-1] for c in code(r"\[slo\.")}
    assert named == set(OBJECTIVES)
    assert [o["objective"] for o in OBJECTIVES.values()] == ["99.99%", "95%", "99.9%", "99%"]
    assert [o.get("within") for o in OBJECTIVES.values()] == [None, "200 ms", None, "50 ms"]


def test_probes_exist() -> None:
    named = re.findall(r"probes? ((?:`\w+`(?:, | and )?)+)", PAGE)
    kinds = {kind for some in named for kind in re.findall(r"`(\w+)`", some)}
    assert kinds == set(PROBES)


def test_reports_are_named_so_by_the_commands() -> None:
    prefixes = {}
    for name, command in ((row[0], row[1]) for row in tables()["Reports"]):
        folder, file = name.strip("`").split("/")
        given = _command(command)
        default = next(p.default for p in given.params if p.name in ("folder", "output"))
        assert str(default() if callable(default) else default).rstrip("/") == folder
        prefixes[given.name] = file.removesuffix("-{timestamp}.html")
    # That each command does so is tested with its own tests.
    assert prefixes == {
        "run": report_files.ANALYSIS_REPORT,
        "stress": report_files.STRESS_REPORT,
        "suite": report_files.PERFORMANCE_REPORT,
    }


def _command(cell: str) -> click.Command:
    (line,) = code("db-analyze", cell)
    command: click.Command = cli
    for word in line.split()[1:]:
        if isinstance(command, click.Group):
            found = command.get_command(click.Context(command), word)
            assert found is not None
            command = found
    return command


def test_tasks_are_scheduled_under_these_names() -> None:
    names = {t.name for t in tasks(Timetable("s", "s", updates_statistics=True, tests_load=True))}
    told = set(re.findall(r"\(((?:daily|weekly|monthly|quarterly)-\w+)\)", PAGE))
    assert len(told) > 6
    assert told <= names


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_links_lead_to_sections_that_exist() -> None:
    links = re.findall(r"\]\(([^)#]+)#?([^)]*)\)", PAGE)
    assert len(links) > 30
    for path, anchor in links:
        page = DOCS / path
        assert page.exists(), path
        assert not anchor or anchor in anchors(page), f"{path}#{anchor}"
