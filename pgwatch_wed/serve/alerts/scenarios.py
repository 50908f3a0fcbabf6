"""A healthy night, and the fault of each of our rules, as series that promtool reads.

``0+4x10`` is 0, 4, … 40; ``5x3`` is 5 four times; a step is 15 seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass

STEP_S = 15
NIGHT_STEPS = 4 * 240
# The fault begins after ten minutes of health.
FAULT_STEP = 40
P = "pgwatch_wed_"
T = 'target="main"'
D = f'{T},database="shop"'
Notation = Mapping[str, str]


def held(value: float, steps: int) -> str:
    """Return a value for so many steps."""
    return f"{value:.15g}x{steps - 1}"


def growing(start: float, step: float, steps: int) -> str:
    """Return a value that grows for so many steps."""
    return f"{start:.15g}{'+' if step >= 0 else '-'}{abs(step):.15g}x{steps - 1}"


def _flat(value: float) -> str:
    return held(value, NIGHT_STEPS)


def _once(value: float, *bursts: tuple[int, int, float]) -> str:
    """Return a value with others in between: first step, how many, which."""
    parts, at = [], 0
    for first, steps, other in bursts:
        parts += [held(value, first - at), held(other, steps)]
        at = first + steps
    return " ".join([*parts, held(value, NIGHT_STEPS - at)])


def _count(pace: float, *bursts: tuple[int, int, float]) -> str:
    """Return a counter with a pace a step, and others in between."""
    parts, at, value = [], 0, 0.0
    for first, steps, other in (*bursts, (NIGHT_STEPS, 0, 0.0)):
        parts.append(growing(value, pace, first - at))
        value += pace * (first - at)
        if steps:
            parts.append(growing(value, other, steps))
            value += other * steps
        at = first + steps
    return " ".join(parts)


def _restarted(pace: float, at: int) -> str:
    return f"{growing(100_000, pace, at)} {growing(0, pace, NIGHT_STEPS - at)}"


def _http(code: str) -> str:
    return (
        'http_server_request_duration_seconds_count{http_request_method="GET",http_route="/pay",'
        f'http_response_status_code="{code}"}}'
    )


def _bucket(le: str, code: str = "200") -> str:
    return (
        'http_server_request_duration_seconds_bucket{http_request_method="GET",http_route="/pay",'
        f'http_response_status_code="{code}",le="{le}"}}'
    )


# Few requests with two errors, a cold cache, a backup that takes the CPU and runs a query for an hour, a batch of slow
# statements, a deployment that resets counters, a lost scrape, an idle transaction that blocks nobody.
NIGHT: dict[str, str] = {
    f'{P}probe_up{{{T},probe="database",kind="postgres",essential="true"}}': _once(1, (300, 1, 0)),
    f'{P}probe_up{{{T},probe="storage",kind="s3",essential="true"}}': _once(1, (400, 3, 0)),
    f'{P}probe_up{{{T},probe="email",kind="smtp",essential="false"}}': _once(1, (500, 12, 0)),
    f'{P}probe_failures_total{{{T},probe="database",kind="postgres",reason="timeout"}}': _count(
        0, (300, 1, 1)
    ),
    f'{P}probe_failures_total{{{T},probe="database",kind="postgres",reason="limit"}}': _count(
        0, (600, 1, 1)
    ),
    # slow for ten minutes, and once without room
    f'{P}probe_status{{{T},probe="database",kind="postgres",status="warn"}}': _once(
        0, (350, 40, 1), (600, 1, 1)
    ),
    f'{P}probe_failures_total{{{T},probe="database",kind="postgres",reason="auth"}}': _flat(0),
    f'{P}probe_certificate_expiry_timestamp_seconds{{{T},probe="database",kind="postgres"}}': _flat(
        5_184_000
    ),
    f'{P}breaker_state{{breaker="stripe",state="open"}}': _once(0, (600, 2, 1)),
    f'{P}breaker_state{{breaker="stripe",state="closed"}}': _once(1, (600, 2, 0)),
    f'{P}collection_last_success_timestamp_seconds{{{T},tier="moving"}}': growing(
        0, 15, NIGHT_STEPS
    ),
    f'{P}collection_last_success_timestamp_seconds{{{T},tier="activity"}}': growing(
        -60, 15, NIGHT_STEPS
    ),
    f'{P}collection_last_success_timestamp_seconds{{{T},tier="catalogs"}}': _flat(0),
    f'{P}series_dropped_total{{family="table_dead_rows"}}': _flat(0),
    _http("200"): _count(0.3),
    _http("404"): _count(0.1, (350, 20, 5)),
    _http("500"): _count(0, (200, 1, 1), (700, 1, 1)),
    _bucket("0.2"): _count(0.25),
    _bucket("0.5"): _count(0.28),
    _bucket("1"): _count(0.3, (640, 4, 0.1)),
    _bucket("+Inf"): _count(0.3),
    _bucket("0.2", "404"): _count(0.1, (350, 20, 5)),
    _bucket("+Inf", "404"): _count(0.1, (350, 20, 5)),
    'app_stripe_webhooks_total{type="charge.succeeded",outcome="processed"}': _count(0.01),
    'app_stripe_webhooks_total{type="charge.succeeded",outcome="failed"}': _count(0, (420, 1, 1)),
    'app_stripe_webhooks_total{type="other",outcome="refused"}': _count(0, (430, 40, 2)),
    'app_payments_total{outcome="ok"}': _count(0.01),
    'app_payments_total{outcome="declined"}': _count(0, (430, 40, 1)),
    'app_payments_total{outcome="error"}': _flat(0),
    'app_emails_total{outcome="sent"}': _count(0.05),
    'app_emails_total{outcome="bounced"}': _count(0, (210, 1, 2)),
    'app_emails_total{outcome="failed"}': _flat(0),
    'app_rate_limited_total{route="/login"}': _count(0, (440, 10, 2)),
    'app_auth_failures_total{reason="password"}': _count(0, (440, 10, 3)),
    f'{P}cache_lookups_total{{cache="main",result="hit"}}': _count(0.3, (510, 20, 0)),
    f'{P}cache_lookups_total{{cache="main",result="miss"}}': _count(0.1, (510, 20, 4)),
    f'{P}host_cpu_seconds_total{{{T},mode="idle"}}': _count(14, (540, 30, 0.5)),
    f'{P}host_cpu_seconds_total{{{T},mode="user"}}': _count(1, (540, 30, 14.5)),
    f"{P}host_memory_bytes{{{T}}}": _flat(16e9),
    f"{P}host_memory_available_bytes{{{T}}}": _once(6e9, (540, 30, 2e9)),
    f'{P}filesystem_free_bytes{{{T},mount="/"}}': f"{growing(60e9, -2e7, 480)} {held(70e9, 480)}",
    f'{P}filesystem_size_bytes{{{T},mount="/"}}': _flat(100e9),
    f'{P}statement_seconds_total{{{D},query_id="1"}}': _restarted(0.02, 800),
    f'{P}statement_calls_total{{{D},query_id="1"}}': _restarted(2, 800),
    f'{P}statement_seconds_total{{{D},query_id="other"}}': _count(0, (560, 20, 4)),
    f'{P}statement_calls_total{{{D},query_id="other"}}': _count(0, (560, 20, 0.05)),
    f'{P}connections{{{D},state="active"}}': _once(3, (540, 30, 12)),
    f'{P}connections{{{D},state="idle"}}': _flat(20),
    f"{P}max_connections{{{T}}}": _flat(100),
    f"{P}reserved_connections{{{T}}}": _flat(3),
    f"{P}longest_query_seconds{{{D}}}": f"{held(0.1, 400)} {growing(0, 15, 240)} {held(0.1, 320)}",
    f"{P}longest_transaction_seconds{{{D}}}": f"{held(1, 400)} {growing(0, 15, 240)} {held(1, 320)}",
    f"{P}longest_idle_in_transaction_seconds{{{D}}}": f"{held(0, 700)} {growing(0, 15, 120)} {held(0, 140)}",
    f"{P}blocked_sessions{{{D}}}": _once(0, (600, 2, 4), (680, 8, 1)),
    f"{P}longest_block_seconds{{{D}}}": f"{held(0, 680)} {growing(0, 15, 8)} {held(0, 272)}",
    f"{P}database_xid_age_xids{{{D}}}": growing(150e6, 1000, NIGHT_STEPS),
    f"{P}database_mxid_age{{{D}}}": _flat(1e6),
    f'{P}slot_retained_bytes{{{T},slot="cdc"}}': _once(16e6, (540, 60, 6e8)),
    f'{P}slot_active{{{T},slot="cdc"}}': _once(1, (540, 60, 0)),
    f"{P}archive_failures_total{{{T}}}": _count(0, (610, 1, 1)),
    f"{P}archive_last_success_timestamp_seconds{{{T}}}": f"{growing(0, 15, 610)} {held(9135, 20)} "
    f"{growing(9450, 15, 330)}",
    f'{P}replica_lag_seconds{{{T},replica="standby1"}}': f"{held(0.1, 300)} {growing(0, 15, 400)} "
    f"{held(0.1, 260)}",  # nothing is written on the primary
    f'{P}replica_lag_bytes{{{T},replica="standby1"}}': _flat(0),
    f"{P}deadlocks_total{{{D}}}": _count(0, (620, 1, 2)),
    f"{P}checksum_failures_total{{{D}}}": _flat(0),
    f"{P}tables_over_dead_ratio{{{D}}}": _once(0, (540, 180, 2)),
    **{
        f'{P}slo_burn_rate{{slo="availability",window="{w}"}}': _once(0.4, (700, 1, 20))
        for w in ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
    },
    **{
        f'{P}slo_bad_events{{slo="availability",window="{w}"}}': _once(0, (700, 1, 2))
        for w in ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
    },
    f'{P}slo_least_errors{{slo="availability"}}': _flat(10),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong from ``FAULT_STEP`` on, and after how many seconds the alert fires at the latest."""

    series: Notation
    fires_s: int


AFTER = 300


def _level(before: float, after: float) -> str:
    return f"{held(before, FAULT_STEP)} {held(after, AFTER)}"


def _pace(before: float, after: float, start: float = 0) -> str:
    reached = start + before * FAULT_STEP
    return f"{growing(start, before, FAULT_STEP)} {growing(reached, after, AFTER)}"


def _stopped_clock() -> str:
    return f"{growing(0, 15, FAULT_STEP)} {held(15 * FAULT_STEP, AFTER)}"


_WARNS = f'{P}probe_status{{{T},probe="database",kind="postgres",status="warn"}}'
_PROBE = f'{P}probe_up{{{T},probe="database",kind="postgres",essential="true"}}'
_LIMIT = f'{P}probe_failures_total{{{T},probe="database",kind="postgres",reason="limit"}}'
_CALLS = f'{P}statement_calls_total{{{D},query_id="1"}}'
_SECONDS = f'{P}statement_seconds_total{{{D},query_id="1"}}'
_CONNECTIONS = f'{P}connections{{{D},state="active"}}'
_MAX = {
    f"{P}max_connections{{{T}}}": _level(100, 100),
    f"{P}reserved_connections{{{T}}}": _level(3, 3),
}
_BLOCKED = f"{P}blocked_sessions{{{D}}}"
_IDLE = f"{P}longest_idle_in_transaction_seconds{{{D}}}"


def _burn(long: str, short: str, factor: float) -> Notation:
    slo = 'slo="availability"'
    return {
        f'{P}slo_burn_rate{{{slo},window="{long}"}}': _level(0.4, factor),
        f'{P}slo_burn_rate{{{slo},window="{short}"}}': _level(0.4, factor),
        f'{P}slo_bad_events{{{slo},window="{short}"}}': _level(0, 50),
        f"{P}slo_least_errors{{{slo}}}": _level(10, 10),
    }


FAULTS: dict[str, Fault] = {
    "Watchdog": Fault({}, 0),
    "MonitorDown": Fault({'up{job="pgwatch-wed",instance="a"}': _level(1, 0)}, 60),
    "ServiceDown": Fault({_PROBE: _level(1, 0)}, 60),
    "ProbeFailing": Fault(
        {f'{P}probe_up{{{T},probe="email",kind="smtp",essential="false"}}': _level(1, 0)}, 300
    ),
    "BreakerOpen": Fault({f'{P}breaker_state{{breaker="stripe",state="open"}}': _level(0, 1)}, 60),
    "CertificateExpires": Fault(
        {
            f'{P}probe_certificate_expiry_timestamp_seconds{{{T},probe="database",kind="postgres"}}': _level(
                86400 * 60, 86400 * 13
            )
        },
        600,
    ),
    "FactsStale": Fault(
        {f'{P}collection_last_success_timestamp_seconds{{{T},tier="moving"}}': _stopped_clock()},
        375,
    ),
    "SeriesLimit": Fault(
        {f'{P}series_dropped_total{{family="table_dead_rows"}}': _pace(0, 3)}, 330
    ),
    "HttpErrorsHigh": Fault({_http("200"): _pace(30, 27), _http("500"): _pace(0, 3)}, 195),
    "ResponseTimeHigh": Fault(
        {
            _http("200"): _pace(30, 30),
            _bucket("0.2"): _pace(29, 10),
            _bucket("0.5"): _pace(30, 20),
            _bucket("1"): _pace(30, 30),
            _bucket("+Inf"): _pace(30, 30),
        },
        420,
    ),
    "PaymentsFailing": Fault(
        {
            'app_stripe_webhooks_total{type="charge.succeeded",outcome="failed"}': _pace(0, 1),
            'app_payments_total{outcome="error"}': _pace(0, 0),
        },
        60,
    ),
    "EmailsFailing": Fault(
        {
            'app_emails_total{outcome="sent"}': _pace(1, 1),
            'app_emails_total{outcome="bounced"}': _pace(0, 0.5),
            'app_emails_total{outcome="failed"}': _pace(0, 0),
        },
        900,
    ),
    "CacheHitRatioLow": Fault(
        {
            f'{P}cache_lookups_total{{cache="main",result="hit"}}': _pace(95, 60),
            f'{P}cache_lookups_total{{cache="main",result="miss"}}': _pace(5, 40),
        },
        720,
    ),
    "RateLimitElevated": Fault({'app_rate_limited_total{route="/login"}': _pace(0, 10)}, 105),
    "LoginsFailing": Fault({'app_auth_failures_total{reason="password"}': _pace(0, 10)}, 105),
    "HostCpuHigh": Fault(
        {
            f'{P}host_cpu_seconds_total{{{T},mode="idle"}}': _pace(12, 1),
            f'{P}host_cpu_seconds_total{{{T},mode="user"}}': _pace(3, 14),
        },
        735,
    ),
    "HostMemoryHigh": Fault(
        {
            f"{P}host_memory_bytes{{{T}}}": _level(16e9, 16e9),
            f"{P}host_memory_available_bytes{{{T}}}": _level(6e9, 1e9),
        },
        600,
    ),
    "DiskFullSoon": Fault(
        {
            f'{P}filesystem_free_bytes{{{T},mount="/"}}': f"{held(14e9, FAULT_STEP)} "
            f"{growing(14e9, -2e7, AFTER)}",
            f'{P}filesystem_size_bytes{{{T},mount="/"}}': _level(100e9, 100e9),
        },
        3000,
    ),
    "DiskAlmostFull": Fault(
        {
            f'{P}filesystem_free_bytes{{{T},mount="/"}}': _level(60e9, 4e9),
            f'{P}filesystem_size_bytes{{{T},mount="/"}}': _level(100e9, 100e9),
        },
        60,
    ),
    "DatabaseUnreachable": Fault({_PROBE: _level(1, 0)}, 30),
    "DatabaseRefuses": Fault({_WARNS: _level(0, 1), _LIMIT: _pace(0, 1)}, 60),
    "DatabaseQueriesOver5s": Fault({_CALLS: _pace(5, 5), _SECONDS: _pace(0.05, 40)}, 135),
    "DatabaseQueriesOver200ms": Fault({_CALLS: _pace(50, 50), _SECONDS: _pace(0.5, 20)}, 510),
    "ConnectionsExhausted": Fault({_CONNECTIONS: _level(30, 96), **_MAX}, 60),
    "ConnectionsNearLimit": Fault({_CONNECTIONS: _level(30, 75), **_MAX}, 300),
    "BlockedSessions": Fault(
        {_BLOCKED: _level(0, 5), f"{P}longest_block_seconds{{{D}}}": _pace(0, 15)}, 135
    ),
    "BlockedSessionsMany": Fault(
        {_BLOCKED: _level(0, 25), f"{P}longest_block_seconds{{{D}}}": _pace(0, 15)}, 75
    ),
    "IdleInTransactionHolds": Fault({_IDLE: _pace(0, 15), _BLOCKED: _level(0, 1)}, 390),
    "LongTransaction": Fault({f"{P}longest_transaction_seconds{{{D}}}": _level(1, 20000)}, 300),
    "WraparoundNear": Fault({f"{P}database_xid_age_xids{{{D}}}": _level(150e6, 1.2e9)}, 600),
    "WraparoundImminent": Fault({f"{P}database_mxid_age{{{D}}}": _level(1e6, 1.7e9)}, 60),
    "SlotRetention": Fault(
        {
            f'{P}slot_retained_bytes{{{T},slot="cdc"}}': _level(16e6, 2e9),
            f'{P}slot_active{{{T},slot="cdc"}}': _level(1, 0),
        },
        600,
    ),
    "ArchiveFailing": Fault(
        {
            f"{P}archive_failures_total{{{T}}}": _pace(0, 1),
            f"{P}archive_last_success_timestamp_seconds{{{T}}}": _stopped_clock(),
        },
        1230,
    ),
    "ReplicationLag": Fault(
        {
            f'{P}replica_lag_seconds{{{T},replica="standby1"}}': _level(0.1, 90),
            f'{P}replica_lag_bytes{{{T},replica="standby1"}}': _level(0, 1e9),
        },
        300,
    ),
    "Deadlocks": Fault({f"{P}deadlocks_total{{{D}}}": _pace(0, 1)}, 90),
    "ChecksumFailures": Fault({f"{P}checksum_failures_total{{{D}}}": _pace(0, 1)}, 30),
    "DeadTuplesHigh": Fault({f"{P}tables_over_dead_ratio{{{D}}}": _level(0, 2)}, 3600),
    "SloBurnFast": Fault(_burn("1h", "5m", 15), 0),
    "SloBurn": Fault(_burn("6h", "30m", 7), 0),
    "SloBurnSlow": Fault(_burn("1d", "2h", 4), 0),
    "SloBudgetLow": Fault(_burn("3d", "6h", 2), 0),
}
