"""What the service would have exposed on a simulated day, every 15 seconds, from what truly happened."""

import math
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence

from pgwatch_wed.serve.simulate.day_plan import DayEvent
from pgwatch_wed.serve.state import PREFIX, Family, Labels, Sample

STEP_S = 15.0
TARGET: Labels = (("target", "shop"),)
DATABASE: Labels = (*TARGET, ("database", "shop"))
_POSTGRES: Labels = (("probe", "database"), ("kind", "postgres"))
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0, 2.5, 5.0, 10.0)
REASONS = ("timeout", "refused", "dns", "auth", "limit", "tls")
_GB = 2**30
_NORMAL = {
    "up_app": 1, "up_database": 1, "up_storage": 1, "facts": 1, "cpu": 0.3, "memory": 0.6, "disk_free": 0.4,
    "cache_hit": 0.97, "query_mean": 0.02, "latency": 0.06, "error_ratio": 0.00002, "connections": 40, "traffic": 1,
    "calls": 1, "xid_age": 2e8, "slot_gb": 0.05, "slot_active": 1, "archive": 1, "certificate_days": 60, "longest_query": 0.5,
}  # fmt: skip
_GROUPS = {
    "app": ("http_", "app_"),
    "cache": (f"{PREFIX}cache_",),
    "statements": (
        f"{PREFIX}statement_nothing",
    ),  # accumulated by the service: a reset never makes one fall
    "database": (f"{PREFIX}deadlocks", f"{PREFIX}checksum", f"{PREFIX}archive_failures"),
}


class SimulatedDay:
    """Steps through a day; ``families`` are those of the last step."""

    def __init__(self, events: Sequence[DayEvent], seed: int, begins: float) -> None:
        self._events = events
        self._chance = random.Random(f"series {seed}")  # noqa: S311 - nothing secret
        self._begins = begins
        self._counters: defaultdict[tuple[str, Labels], float] = defaultdict(float)
        self._gauges: dict[tuple[str, Labels], float] = {}
        self._archived = self._read = begins
        self._born()

    def step(self, second: float, shown_at: float) -> tuple[Family, ...]:
        """Return what is exposed at a second of the day; ``shown_at`` is what the clock says then."""
        active = [e for e in self._events if e.begins < second and e.ends > second - STEP_S]
        for event in active:
            if event.begins > second - STEP_S:
                self._reset(event.kind.resets)
        levels = defaultdict(float, _NORMAL)
        for event in active:
            if event.ends >= second:
                levels.update(event.levels)
        normal = _NORMAL["error_ratio"]
        ratios = [self._share(e, second) * e.levels.get("error_ratio", normal) for e in active]
        levels["error_ratio"] = max(ratios, default=normal)
        self._requests(second, levels)
        self._application(levels)
        self._database(levels, shown_at)
        self._host(levels, second)
        return self._families(is_lost=levels["lost"] > 0, are_facts_read=levels["facts"] > 0)

    def _share(self, event: DayEvent, second: float) -> float:
        return max(min(event.ends, second) - max(event.begins, second - STEP_S), 0.0) / STEP_S

    def _reset(self, groups: Iterable[str]) -> None:
        names = tuple(name for group in groups for name in _GROUPS[group])
        for key in self._counters:
            if key[0].startswith(names):
                self._counters[key] = 0.0

    def _born(self) -> None:
        # Every label set of a counter is born at 0.
        for status in ("200", "404", "500"):
            self._observe(status, 0, 0.06)
        for outcome in ("processed", "failed", "refused"):
            self._count("app_stripe_webhooks_total", 0, ("outcome", outcome))
        for outcome in ("ok", "declined", "error"):
            self._count("app_payments_total", 0, ("outcome", outcome))
        for outcome in ("sent", "bounced", "failed"):
            self._count("app_emails_total", 0, ("outcome", outcome))
        for reason in REASONS:
            self._count(
                f"{PREFIX}probe_failures_total",
                0,
                *TARGET,
                *_POSTGRES,
                ("reason", reason),
            )

    def _requests(self, second: float, levels: dict[str, float]) -> None:
        mean = traffic(second) * STEP_S * levels["traffic"]
        number = self._poisson(mean)
        failed = self._binomial(number, levels["error_ratio"])
        missing = self._binomial(number - failed, 0.02)
        self._observe("500", failed, levels["latency"])
        self._observe("404", missing, levels["latency"] / 2)
        self._observe("200", number - failed - missing, levels["latency"])
        calls = self._poisson(mean * 4 * (levels["calls"] if levels["facts"] else 0))
        self._count(f"{PREFIX}statement_calls_total", calls, *DATABASE, ("query_id", "other"))
        seconds = calls * levels["query_mean"] * self._chance.uniform(0.9, 1.1)
        self._count(f"{PREFIX}statement_seconds_total", seconds, *DATABASE, ("query_id", "other"))
        lookups = self._poisson(mean * 2)
        hits = self._binomial(lookups, levels["cache_hit"])
        self._count(f"{PREFIX}cache_lookups_total", hits, ("cache", "redis"), ("result", "hit"))
        self._count(
            f"{PREFIX}cache_lookups_total", lookups - hits, ("cache", "redis"), ("result", "miss")
        )

    def _observe(self, status: str, number: int, median: float) -> None:
        name, label = "http_server_request_duration_seconds", ("http_response_status_code", status)
        left, below = number, 0.0
        for bound in BOUNDS:
            share = _below(bound, median)
            inside = self._binomial(
                left, min((share - below) / (1 - below), 1.0) if below < 1 else 0.0
            )
            left, below = left - inside, share
            self._count(f"{name}_bucket", number - left, label, ("le", f"{bound:g}"))
        self._count(f"{name}_bucket", number, label, ("le", "+Inf"))
        self._count(f"{name}_count", number, label)

    def _application(self, levels: dict[str, float]) -> None:
        for name, label, rate in (
            ("stripe_webhooks", "processed", 0.02),
            ("stripe_webhooks", "failed", levels["payment_errors"]),
            ("stripe_webhooks", "refused", levels["forged"]),
            ("payments", "ok", 0.02),
            ("payments", "declined", 0.001 + levels["declined"]),
            ("payments", "error", levels["payment_errors"]),
            ("emails", "sent", 0.1),
            ("emails", "bounced", 0.1 * levels["email_failures"]),
        ):
            self._count(f"app_{name}_total", self._poisson(rate * STEP_S), ("outcome", label))
        self._count(
            "app_rate_limited_total",
            self._poisson((0.002 + levels["limited"]) * STEP_S),
            ("route", "/api"),
        )
        self._count(
            "app_auth_failures_total",
            self._poisson((0.002 + levels["logins"]) * STEP_S),
            ("reason", "password"),
        )

    def _database(self, levels: dict[str, float], now: float) -> None:
        failed = 1 - levels["up_database"]
        reason = REASONS[int(levels["reason"])]
        is_refusing = reason in ("auth", "limit")  # it is there: a warning, not down
        self._count(
            f"{PREFIX}probe_failures_total",
            failed,
            *TARGET,
            *_POSTGRES,
            ("reason", reason),
        )
        for probe, kind, is_essential in (
            ("app", "http", "true"),
            ("database", "postgres", "true"),
            ("storage", "s3", "false"),
        ):
            labels = (*TARGET, ("probe", probe), ("kind", kind), ("essential", is_essential))
            self._gauge(
                "probe_up", max(levels[f"up_{probe}"], is_refusing * (probe == "database")), *labels
            )
        warns = float(is_refusing and not levels["up_database"])
        self._gauge("probe_status", warns, *TARGET, *_POSTGRES, ("status", "warn"))
        self._read = now if levels["facts"] else self._read
        self._archived = now if levels["archive"] else self._archived
        self._count(f"{PREFIX}archive_failures_total", 1 - levels["archive"], *TARGET)
        self._count(
            f"{PREFIX}deadlocks_total", self._poisson(levels["deadlocks"] * STEP_S), *DATABASE
        )
        self._count(
            f"{PREFIX}checksum_failures_total",
            self._poisson(levels["checksums"] * STEP_S),
            *DATABASE,
        )
        self._gauge(
            "collection_last_success_timestamp_seconds", self._read, *TARGET, ("tier", "moving")
        )
        self._gauge("archive_last_success_timestamp_seconds", self._archived, *TARGET)
        self._gauge("connections", round(levels["connections"]), *DATABASE, ("state", "idle"))
        self._gauge("max_connections", 100, *TARGET)
        self._gauge("reserved_connections", 3, *TARGET)
        for name, level in _DATABASE_GAUGES.items():
            self._gauge(name, round(levels[level]), *DATABASE)
        lag = levels["lag"]
        self._gauge("replica_lag_seconds", lag, *TARGET, ("replica", "standby"))
        self._gauge("replica_lag_bytes", lag * 2e6, *TARGET, ("replica", "standby"))
        self._gauge("slot_retained_bytes", levels["slot_gb"] * _GB, *TARGET, ("slot", "standby"))
        self._gauge("slot_active", levels["slot_active"], *TARGET, ("slot", "standby"))
        expires = now + levels["certificate_days"] * 86_400
        self._gauge(
            "probe_certificate_expiry_timestamp_seconds", expires, *TARGET, ("probe", "database")
        )
        self._gauge("breaker_state", levels["breaker"], ("breaker", "database"), ("state", "open"))

    def _host(self, levels: dict[str, float], second: float) -> None:
        idle = STEP_S * (1 - levels["cpu"]) * self._chance.uniform(0.95, 1.02)
        self._count(f"{PREFIX}host_cpu_seconds_total", idle, *TARGET, ("mode", "idle"))
        self._gauge("host_memory_bytes", 16 * _GB, *TARGET)
        self._gauge("host_memory_available_bytes", 16 * _GB * (1 - levels["memory"]), *TARGET)
        free = levels["disk_free"] - 0.05 * second / 86_400 * (levels["disk_free"] > 0.2)
        mount = (*TARGET, ("mount", "/var/lib/postgresql"))
        self._gauge("filesystem_free_bytes", 100 * _GB * free, *mount)
        self._gauge("filesystem_size_bytes", 100 * _GB, *mount)

    def _count(self, name: str, number: float, *labels: tuple[str, str]) -> None:
        self._counters[name, labels] += number

    def _gauge(self, name: str, value: float, *labels: tuple[str, str]) -> None:
        self._gauges[f"{PREFIX}{name}", labels] = float(value)

    def _families(self, *, is_lost: bool, are_facts_read: bool) -> tuple[Family, ...]:
        found: defaultdict[str, list[Sample]] = defaultdict(list)
        for source in (self._counters, self._gauges):
            for (name, labels), value in source.items():
                # What was read last is shown for three intervals at most; then it is not known.
                is_fact = name.startswith(_FACTS)
                if not (is_fact and (is_lost or not are_facts_read)):
                    found[name].append(Sample(name, labels, value))
        return tuple(
            Family(
                name,
                "counter" if name.endswith(("_total", "_count", "_bucket")) else "gauge",
                "",
                tuple(samples),
            )
            for name, samples in found.items()
        )

    def _poisson(self, mean: float) -> int:
        if mean > 50:
            return max(round(self._chance.gauss(mean, math.sqrt(mean))), 0)
        limit, number, product = math.exp(-mean), 0, self._chance.random()
        while product > limit:
            number, product = number + 1, product * self._chance.random()
        return number

    def _binomial(self, number: int, share: float) -> int:
        if number <= 0 or share <= 0:
            return 0
        if share >= 1:
            return number
        mean = number * share
        if number > 60 and 10 < mean < number - 10:
            return min(
                max(round(self._chance.gauss(mean, math.sqrt(mean * (1 - share)))), 0), number
            )
        if number > 60:
            small = min(share, 1 - share)
            found = min(self._poisson(number * small), number)
            return found if share == small else number - found
        return sum(self._chance.random() < share for _ in range(number))


_DATABASE_GAUGES = {
    "longest_query_seconds": "longest_query",
    "blocked_sessions": "blocked",
    "longest_block_seconds": "longest_block",
    "longest_idle_in_transaction_seconds": "idle_in_transaction",
    "longest_transaction_seconds": "long_transaction",
    "database_xid_age_xids": "xid_age",
    "database_mxid_age": "mxid_age",
    "tables_over_dead_ratio": "dead_tables",
}
_FACTS = tuple(
    f"{PREFIX}{name}"
    for name in (
        *_DATABASE_GAUGES, "connections", "max_connections", "reserved_connections", "replica_", "slot_", "archive_",
        "deadlocks", "checksum", "statement_",
    )
)  # fmt: skip


def traffic(second: float) -> float:
    """Return the requests a second: quiet nights, busy noons."""
    noon = max(math.sin((second / 86_400 - 0.25) * 2 * math.pi), 0.0)
    return 0.6 + 24 * noon * math.sqrt(noon)


def _below(bound: float, median: float) -> float:
    """Return the share of responses up to a bound: a log-normal distribution."""
    return 0.5 * (1 + math.erf(math.log(bound / median) / (0.5 * math.sqrt(2))))
