"""The kinds of probes: ``[probes.NAME]`` → probes."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pgwatch_wed.errors import UsageError
from pgwatch_wed.serve.probes.extras import needed
from pgwatch_wed.serve.probes.host_probe import HostProbe, HostSettings
from pgwatch_wed.serve.probes.observation import Limit, Observation
from pgwatch_wed.serve.probes.postgres import PostgresProbe, PostgresSettings
from pgwatch_wed.serve.probes.probe_runner import Probe
from pgwatch_wed.serve.probes.probe_settings import ProbeSettings, check_name, read
from pgwatch_wed.serve.probes.redis_probe import RedisProbe, RedisSettings
from pgwatch_wed.serve.probes.smtp_probe import SmtpProbe, SmtpSettings
from pgwatch_wed.serve.probes.storage_probe import StorageProbe, StorageSettings
from pgwatch_wed.serve.probes.web import StripeSettings, WebProbe, WebSettings


class ProbeKind(NamedTuple):
    """Settings of a kind, what asks, and the package and extra that it needs."""

    settings: type[ProbeSettings]
    probe: Callable[[Any, Callable[[], float]], Callable[[Limit], Observation]]
    package: str = ""
    extra: str = ""


KINDS: Mapping[str, ProbeKind] = {
    "postgres": ProbeKind(PostgresSettings, PostgresProbe),
    "http": ProbeKind(WebSettings, WebProbe, "httpx", "serve"),
    "stripe": ProbeKind(StripeSettings, WebProbe, "httpx", "serve"),
    "storage": ProbeKind(StorageSettings, StorageProbe),
    "redis": ProbeKind(RedisSettings, RedisProbe, "redis", "redis"),
    "smtp": ProbeKind(SmtpSettings, SmtpProbe),
    "host": ProbeKind(HostSettings, HostProbe),
}
# What the names of the API stand for where a table does not say it.
_BY_NAME = {
    "database": "postgres",
    "storage": "storage",
    "stripe": "stripe",
    "email": "smtp",
    "cache": "redis",
    "host": "host",
}


def parse(tables: Any, source: str) -> tuple[ProbeSettings, ...]:
    """Turn the table ``probes`` of a file into settings; raise UsageError that names file and key."""
    if not isinstance(tables, Mapping):
        raise UsageError(f"{source}: probes must be tables such as [probes.database]")
    return tuple(_one(name, table, f"{source}: probes.{name}") for name, table in tables.items())


def _one(name: str, table: Any, where: str) -> ProbeSettings:
    check_name(name, where)
    if not isinstance(table, Mapping):
        raise UsageError(f"{where} must be a table")
    kind = table.get("kind", _BY_NAME.get(name))
    if not isinstance(kind, str) or kind not in KINDS:
        raise UsageError(f"{where}.kind must be one of {', '.join(KINDS)}")
    found = KINDS[kind]
    settings = read(found.settings, name, {**table, "kind": kind}, where)
    if found.package:
        needed(found.package, found.extra)
    return settings


def build(settings: ProbeSettings, now: Callable[[], float]) -> Probe:
    """Return the probe of these settings."""
    ask = KINDS[settings.kind].probe(settings, now)
    return Probe(settings, ask, settings.target or settings.name)
