"""The metrics of our rules with labels as they are exposed, and generated values."""

from tests.serve.series import Series, for_metrics

_T = {"target": "main"}
_D = {"target": "main", "database": "shop"}
_H = {"http_request_method": "GET", "http_route": "/pay"}
_P = "pgwatch_wed_"
_WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
METRICS: dict[str, list[dict[str, str]]] = {
    f"{_P}probe_up": [
        {**_T, "probe": "database", "kind": "postgres", "essential": "true"},
        {**_T, "probe": "storage", "kind": "s3", "essential": "true"},
        {"target": "", "probe": "email", "kind": "smtp", "essential": "false"},
    ],
    f"{_P}probe_status": [
        {**_T, "probe": "database", "kind": "postgres", "status": s}
        for s in ("pass", "warn", "fail", "unknown")
    ],
    f"{_P}probe_failures_total": [
        {**_T, "probe": "database", "kind": "postgres", "reason": r}
        for r in ("timeout", "auth", "limit", "tls")
    ],
    f"{_P}probe_certificate_expiry_timestamp_seconds": [
        {**_T, "probe": "database", "kind": "postgres"}
    ],
    f"{_P}breaker_state": [
        {"breaker": "stripe", "state": s} for s in ("open", "half_open", "closed")
    ],
    f"{_P}collection_last_success_timestamp_seconds": [
        {**_T, "tier": t} for t in ("moving", "activity", "catalogs")
    ],
    f"{_P}series_dropped_total": [{"family": "table_dead_rows"}, {"family": "replica_lag_bytes"}],
    "http_server_request_duration_seconds_count": [
        {**_H, "http_response_status_code": c} for c in ("200", "404", "500", "503")
    ],
    "http_server_request_duration_seconds_bucket": [
        {**_H, "http_response_status_code": "200", "le": le} for le in ("0.2", "0.5", "1", "+Inf")
    ],
    "app_stripe_webhooks_total": [
        {"type": "charge.succeeded", "outcome": o} for o in ("processed", "failed", "refused")
    ],
    "app_payments_total": [{"outcome": o} for o in ("ok", "declined", "error")],
    "app_emails_total": [{"outcome": o} for o in ("sent", "delivered", "bounced", "failed")],
    "app_rate_limited_total": [{"route": "/login"}, {"route": "/api"}],
    "app_auth_failures_total": [{"reason": "password"}],
    f"{_P}cache_lookups_total": [{"cache": "main", "result": r} for r in ("hit", "miss")],
    f"{_P}host_cpu_seconds_total": [{**_T, "mode": m} for m in ("idle", "user", "system")],
    f"{_P}host_memory_bytes": [_T],
    f"{_P}host_memory_available_bytes": [_T],
    f"{_P}filesystem_free_bytes": [{**_T, "mount": "/"}],
    f"{_P}filesystem_size_bytes": [{**_T, "mount": "/"}],
    f"{_P}statement_seconds_total": [{**_D, "query_id": q} for q in ("1", "2", "other")],
    f"{_P}statement_calls_total": [{**_D, "query_id": q} for q in ("1", "2", "other")],
    f"{_P}connections": [{**_D, "state": s} for s in ("active", "idle", "idle in transaction")],
    f"{_P}max_connections": [_T],
    f"{_P}reserved_connections": [_T],
    f"{_P}longest_query_seconds": [_D],
    f"{_P}longest_transaction_seconds": [_D],
    f"{_P}longest_idle_in_transaction_seconds": [_D],
    f"{_P}blocked_sessions": [_D],
    f"{_P}longest_block_seconds": [_D],
    f"{_P}database_xid_age_xids": [_D],
    f"{_P}database_mxid_age": [_D],
    f"{_P}slot_retained_bytes": [{**_T, "slot": "cdc"}],
    f"{_P}slot_active": [{**_T, "slot": "cdc"}],
    f"{_P}archive_failures_total": [_T],
    f"{_P}archive_last_success_timestamp_seconds": [_T],
    f"{_P}replica_lag_seconds": [{**_T, "replica": "standby1"}],
    f"{_P}replica_lag_bytes": [{**_T, "replica": "standby1"}],
    f"{_P}deadlocks_total": [_D],
    f"{_P}checksum_failures_total": [_D],
    f"{_P}tables_over_dead_ratio": [_D],
    f"{_P}slo_burn_rate": [{"slo": "a", "window": w} for w in _WINDOWS],
    f"{_P}slo_bad_events": [{"slo": "a", "window": w} for w in _WINDOWS],
    f"{_P}slo_least_errors": [{"slo": "a"}],
}


def default_series(seed: int, steps: int) -> list[Series]:
    """Return generated series for every metric that our rules use."""
    return for_metrics(METRICS, seed, steps)
