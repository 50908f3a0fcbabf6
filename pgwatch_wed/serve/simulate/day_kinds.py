"""What can happen on a simulated day: incidents, with the alerts that are true of them, and traps, of which none is."""

from collections.abc import Mapping
from dataclasses import dataclass

Range = tuple[float, float]
_BURN = ("SloBurnFast", "SloBurn", "SloBurnSlow", "SloBudgetLow")
_HTTP = ("HttpErrorsHigh", "ResponseTimeHigh", *_BURN)
_SLOW = ("DatabaseQueriesOver5s", "DatabaseQueriesOver200ms", "ResponseTimeHigh", *_BURN)


@dataclass(frozen=True, slots=True)
class DayKind:
    """A kind of event: how many minutes it lasts, which levels it sets, and which alerts it makes true.

    ``resets`` are groups of counters that begin anew when it begins. A trap has no alerts; one that costs requests makes burn
    alerts true, since the budget does burn.
    """

    name: str
    minutes: Range
    sets: Mapping[str, Range]
    alerts: tuple[str, ...] = ()
    is_critical: bool = False
    resets: tuple[str, ...] = ()
    is_maintenance: bool = False
    clock_step_s: float = 0.0


def _one(value: float) -> Range:
    return (value, value)


CRITICAL = (
    DayKind(
        "the application is down",
        (4, 10),
        {"error_ratio": _one(1), "up_app": _one(0)},
        ("ServiceDown", *_HTTP),
        True,
    ),
    DayKind("many requests fail", (6, 15), {"error_ratio": (0.08, 0.5)}, _HTTP, True),
    DayKind(
        "the database is down",
        (4, 12),
        {
            "up_database": _one(0),
            "reason": _one(1),
            "error_ratio": (0.5, 0.9),
            "facts": _one(0),
            "breaker": _one(1),
        },
        ("DatabaseUnreachable", "ServiceDown", "FactsStale", "BreakerOpen", *_HTTP),
        True,
    ),
    DayKind(
        "the database refuses connections",
        (4, 12),
        {"up_database": _one(0), "reason": _one(3), "error_ratio": (0.3, 0.8), "facts": _one(0)},
        ("DatabaseRefuses", "FactsStale", *_HTTP),
        True,
    ),
    DayKind(
        "the database hangs",
        (4, 12),
        {
            "up_database": _one(0),
            "reason": _one(0),
            "latency": (3, 8),
            "error_ratio": (0.2, 0.6),
            "facts": _one(0),
        },
        ("DatabaseUnreachable", "ServiceDown", "FactsStale", *_HTTP),
        True,
    ),
    DayKind(
        "a plan has changed, and queries take seconds",
        (6, 15),
        {"query_mean": (6, 15), "latency": (2, 6), "longest_query": (10, 60)},
        _SLOW,
        True,
    ),
    DayKind(
        "sessions pile up behind a lock",
        (6, 15),
        {
            "calls": (0.1, 0.3),
            "longest_query": (30, 300),
            "blocked": (25, 60),
            "longest_block": (60, 300),
            "latency": (1, 4),
        },
        (*_SLOW, "BlockedSessions", "BlockedSessionsMany", "IdleInTransactionHolds"),
        True,
    ),
    DayKind("payments fail", (6, 15), {"payment_errors": (0.04, 0.2)}, ("PaymentsFailing",), True),
    DayKind(
        "connections are used up",
        (5, 12),
        {"connections": (95, 97)},
        ("ConnectionsExhausted", "ConnectionsNearLimit"),
        True,
    ),
    DayKind(
        "the disk is almost full",
        (10, 20),
        {"disk_free": (0.01, 0.04)},
        ("DiskAlmostFull", "DiskFullSoon"),
        True,
    ),
    DayKind("a page is damaged", (5, 10), {"checksums": _one(0.1)}, ("ChecksumFailures",), True),
    DayKind(
        "transaction ids run out",
        (10, 15),
        {"xid_age": (1.7e9, 1.9e9)},
        ("WraparoundImminent", "WraparoundNear"),
        True,
    ),
)
LESSER = (
    DayKind("responses are slow", (15, 30), {"latency": (0.6, 1.5)}, ("ResponseTimeHigh", *_BURN)),
    DayKind(
        "queries are slow",
        (15, 30),
        {"query_mean": (0.3, 0.9)},
        ("DatabaseQueriesOver200ms", *_BURN),
    ),
    DayKind("the cache does not help", (20, 30), {"cache_hit": (0.4, 0.8)}, ("CacheHitRatioLow",)),
    DayKind("the processor is busy", (16, 30), {"cpu": (0.88, 0.99)}, ("HostCpuHigh",)),
    DayKind("memory is short", (14, 30), {"memory": (0.88, 0.97)}, ("HostMemoryHigh",)),
    DayKind("archiving fails", (40, 50), {"archive": _one(0)}, ("ArchiveFailing",)),
    DayKind("a replica is behind", (10, 25), {"lag": (90, 600)}, ("ReplicationLag",)),
    DayKind(
        "a slot keeps WAL",
        (15, 30),
        {"slot_gb": (12, 40), "slot_active": _one(0)},
        ("SlotRetention",),
    ),
    DayKind(
        "an idle transaction holds a lock",
        (10, 20),
        {"idle_in_transaction": (310, 900), "blocked": (1, 2), "longest_block": (20, 50)},
        ("IdleInTransactionHolds",),
    ),
    DayKind(
        "a few sessions wait for long",
        (6, 15),
        {"blocked": (4, 8), "longest_block": (90, 300), "longest_query": (6, 60)},
        ("BlockedSessions", "DatabaseQueriesOver5s"),
    ),
    DayKind("connections are many", (10, 20), {"connections": (75, 88)}, ("ConnectionsNearLimit",)),
    DayKind("dead rows stay", (75, 90), {"dead_tables": (1, 5)}, ("DeadTuplesHigh",)),
    DayKind("emails bounce", (20, 40), {"email_failures": (0.2, 0.6)}, ("EmailsFailing",)),
    DayKind("rate limits refuse many", (12, 25), {"limited": (0.5, 3)}, ("RateLimitElevated",)),
    DayKind("passwords are guessed", (12, 25), {"logins": (0.3, 2)}, ("LoginsFailing",)),
    DayKind("a breaker is open", (5, 12), {"breaker": _one(1)}, ("BreakerOpen",)),
    DayKind(
        "a certificate expires soon",
        (20, 30),
        {"certificate_days": (3, 13)},
        ("CertificateExpires",),
    ),
    DayKind("transactions deadlock", (8, 15), {"deadlocks": (0.02, 0.1)}, ("Deadlocks",)),
    DayKind("facts are not read", (10, 20), {"facts": _one(0)}, ("FactsStale",)),
    DayKind("storage is away", (8, 15), {"up_storage": _one(0)}, ("ProbeFailing",)),
)
TRAPS = (
    DayKind(
        "the application is restarted",
        (0.4, 0.5),
        {"up_app": _one(0), "traffic": _one(0)},
        resets=("app",),
    ),
    DayKind(
        "the database is restarted",
        (0.4, 0.5),
        {"up_database": _one(0), "reason": _one(1)},
        resets=("database",),
    ),
    DayKind("a deployment", (1, 2), {"cache_hit": (0.85, 0.95)}, resets=("app",)),
    DayKind("requests fail for a moment", (0.5, 0.75), {"error_ratio": (0.06, 0.2)}, _BURN),
    DayKind("one error at night", (0.2, 0.3), {"error_ratio": (0.01, 0.05)}, _BURN),
    DayKind("statement statistics are reset", (0.1, 0.2), {}, resets=("statements",)),
    DayKind("a scrape is lost", (0.3, 0.5), {"lost": _one(1)}),
    DayKind("the processor is busy for minutes", (4, 7), {"cpu": (0.9, 1.0)}),
    DayKind("memory is short for minutes", (4, 7), {"memory": (0.87, 0.93)}),
    DayKind("cards are declined", (10, 20), {"declined": (0.1, 0.5)}),
    DayKind("signatures are forged", (10, 20), {"forged": (0.5, 3)}),
    DayKind("the cache is cold", (5, 7), {"cache_hit": (0.3, 0.7)}, resets=("cache",)),
    DayKind("the clock is set forward", (0.1, 0.2), {}, clock_step_s=40),
    DayKind("the clock is set back", (0.1, 0.2), {}, clock_step_s=-40),
    DayKind(
        "maintenance",
        (10, 15),
        {"up_database": _one(0), "reason": _one(1), "facts": _one(0), "error_ratio": (0.3, 0.9)},
        alerts=_BURN,  # the users were turned away all the same
        resets=("database",),
        is_maintenance=True,
    ),
    DayKind(
        "a batch query runs for minutes",
        (10, 20),
        {"longest_query": (300, 1200), "cpu": (0.5, 0.7)},
    ),
    DayKind(
        "locks are held for seconds", (0.4, 0.7), {"blocked": (3, 8), "longest_block": (5, 20)}
    ),
    DayKind("connections are many for a moment", (1, 3), {"connections": (72, 85)}),
    DayKind(
        "a backup",
        (20, 30),
        {"long_transaction": (1000, 5000), "cpu": (0.6, 0.75), "slot_gb": (2, 5)},
    ),
    DayKind("a replica is behind for a moment", (1, 3), {"lag": (70, 120)}),
    DayKind("one payment fails", (0.3, 0.5), {"payment_errors": _one(0.01)}),
    DayKind("somebody forgot a password", (5, 10), {"logins": (0.01, 0.03)}),
)
