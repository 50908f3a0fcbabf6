"""File, environment and options → one frozen Config.

``pgwatch_wed.toml`` in the working directory, or ``[tool.pgwatch_wed]`` in ``pyproject.toml``::

    profile = "oltp"            # oltp, mixed or analytics
    only = ["index", "vacuum"]  # rules or areas
    skip_schemas = ["cron", "audit_*"]
    skip_roles = ["rdsadmin"]
    memory = "16GB"             # the server's RAM, which SQL cannot query

    [capacity]
    disk = "500GB"              # how large the database may become, which SQL cannot query either

    [rules.index-unused]
    min_size_bytes = "10MB"
    window = "30 days"

    [[ignore]]
    finding = "0123456789abcdef"   # or rule = "index-*", object = "public.orders_*"
    reason = "needed by the yearly audit"
    until = 2027-01-31
    up_to = "warning"              # if it becomes critical, it is reported again

The tables of :data:`SERVICE_TABLES` are those of ``db-analyze serve``, which reads them itself; ``[fleet]`` is that
of ``db-analyze fleet``.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime, timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any, get_type_hints

from pgwatch_wed import units
from pgwatch_wed.errors import UsageError
from pgwatch_wed.findings import Finding, Severity
from pgwatch_wed.rules import PROFILES, Rule, all_rules, areas
from pgwatch_wed.suggestions import meant, unknown_key

# Schemas managed by hosting providers and tools, not by the reader of the report.
MANAGED_SCHEMAS = (
    *("supabase_functions", "supabase_migrations", "graphql_public", "pgsodium", "pgsodium_masks"),
    *("_timescaledb_*", "timescaledb_*", "rdsadmin", "hdb_catalog", "pglogical", "pgbouncer"),
    *("tiger_data", "pgagent", "neon", "google_ml", "azure_sys"),
)
# Common words that anyone may use for a schema: managed only if a provider's role owns the table.
MANAGED_WHERE_OWNED = ("auth", "storage", "realtime", "vault", "graphql", "net", "cron", "partman")
MANAGED_ROLES = (
    *("rdsadmin", "rdsrepladmin", "cloudsqladmin", "cloudsqlagent", "azuresu", "azure_pg_admin"),
    *("azure_superuser", "supabase_admin", "supabase_*_admin", "pgsodium_*", "cloud_admin"),
)

# Of the service: read by pgwatch_wed/serve, which only `db-analyze serve` imports.
SERVICE_TABLES = ("serve", "probes", "slo", "alerts", "notify", "app")
# Of fleets: read by pgwatch_wed/fleet.
FLEET_TABLE = "fleet"
_KEYS = (
    *("profile", "only", "ignore", "skip_schemas", "skip_roles", "memory", "window"),
    *("min_severity", "history", "capacity", "rules", *SERVICE_TABLES, FLEET_TABLE),
)


@dataclass(frozen=True, slots=True)
class Ignore:
    """An entry that removes findings from the report, with a reason and an expiry date.

    ``up_to`` is the severity up to which it applies: a finding that becomes worse is reported again.
    """

    reason: str
    finding: str = "*"
    rule: str = "*"
    object: str = "*"
    until: date | None = None
    up_to: Severity = Severity.CRITICAL

    def matches(self, finding: Finding, today: date) -> bool:
        """Tell whether it applies to a finding today."""
        if self.has_expired(today) or finding.severity.rank < self.up_to.rank:
            return False
        return self.names(finding)

    def has_expired(self, today: date) -> bool:
        """Tell whether its last day is over."""
        return self.until is not None and today > self.until

    def names(self, finding: Finding) -> bool:
        """Tell whether it is about a finding, however severe, and whether or not it has expired."""
        return (
            fnmatchcase(finding.id, self.finding)
            and self.names_rule(finding.rule, finding.area)
            and fnmatchcase(finding.object.label, self.object)
        )

    def names_rule(self, rule: str, area: str) -> bool:
        """Tell whether it is about findings of a rule."""
        return fnmatchcase(rule, self.rule) or fnmatchcase(area, self.rule)


@lru_cache(maxsize=10_000)  # ten thousand tables are in few schemas
def _is_skipped(schema: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(schema, pattern) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that controls how a run judges."""

    profile: str = "mixed"
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    ignores: tuple[Ignore, ...] = ()
    acknowledged: tuple[Ignore, ...] = ()  # in the history, by a person
    skip_schemas: tuple[str, ...] = MANAGED_SCHEMAS
    skip_roles: tuple[str, ...] = MANAGED_ROLES
    memory_bytes: int | None = None
    disk_bytes: int | None = None
    window_days: float | None = None
    min_severity: Severity = Severity.INFO
    limits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    history: str | None = None

    def skips(self, schema: str, owner: str) -> bool:
        """Tell whether a table belongs to the provider or a tool, or is in a schema to skip."""
        if _is_skipped(schema, self.skip_schemas):
            return True
        return schema in MANAGED_WHERE_OWNED and any(fnmatchcase(owner, p) for p in MANAGED_ROLES)

    def selects(self, rule: Rule) -> bool:
        """Tell whether a rule is to run."""
        wanted = not self.only or rule.id in self.only or rule.area in self.only
        return wanted and rule.id not in self.ignore and rule.area not in self.ignore

    def limits_of(self, rule: Rule) -> Any:
        """Return a rule's thresholds: its defaults, the profile's, ``--window``, the file's."""
        known = {f.name for f in fields(rule.limits)}
        given: dict[str, Any] = dict(_profile_limits(rule, self.profile))
        if self.window_days is not None and "window" in known:
            given["window"] = timedelta(days=self.window_days)
        if self.memory_bytes is not None and "memory_bytes" in known:
            given["memory_bytes"] = self.memory_bytes
        if self.disk_bytes is not None and "disk_bytes" in known:
            given["disk_bytes"] = self.disk_bytes
        given |= self.limits.get(rule.id, {})
        return rule.limits(**given)


def _profile_limits(rule: Rule, profile: str) -> Mapping[str, Any]:
    profiles: Mapping[str, Mapping[str, Any]] = getattr(rule.module, "PROFILES", {})
    return profiles.get(profile, {})


def load(path: Path | None) -> Config:
    """Read the configuration; without a path, look for the usual files. Unknown keys are errors."""
    return parse(*tables(path))


def tables(path: Path | None) -> tuple[dict[str, Any], str]:
    """Return the configuration as it stands in its file, and how errors name that file."""
    if path is not None:
        return _read(path), str(path)
    own = Path("pgwatch_wed.toml")
    if _is_file(own):
        return _read(own), str(own)
    project = Path("pyproject.toml")
    if _is_file(project):
        table = _read(project).get("tool", {}).get("pgwatch_wed")
        if table is not None:
            return table, "pyproject.toml [tool.pgwatch_wed]"
    return {}, "the configuration"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except PermissionError:  # a working directory that this user cannot enter, as after `sudo -u`
        return False


def _read(path: Path) -> dict[str, Any]:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"could not read {path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from None
    if path.name == "pyproject.toml" or "tool" not in data:
        return data
    nested = data["tool"].get("pgwatch_wed", data)
    return dict(nested)


def parse(table: Mapping[str, Any], source: str) -> Config:
    """Turn a TOML table into a Config; every error names the key."""
    config = Config()
    for key, value in table.items():
        match key:
            case "profile":
                if value not in PROFILES:
                    raise UsageError(
                        f"{source}: {key} must be one of {', '.join(PROFILES)}",
                        meant(str(value), PROFILES),
                    )
                config = replace(config, profile=value)
            case "only" | "ignore" if key == "only" or not _is_tables(value):
                names = tuple(_strings(value, source, key))
                check_names(names, f"{source}: {key}")
                if key == "only":
                    config = replace(config, only=names)
                else:
                    config = replace(config, ignore=names)
            case "ignore":
                config = replace(config, ignores=tuple(_ignore(e, source) for e in value))
            case "skip_schemas":
                extra = tuple(_strings(value, source, key))
                config = replace(config, skip_schemas=(*MANAGED_SCHEMAS, *extra))
            case "skip_roles":
                extra = tuple(_strings(value, source, key))
                config = replace(config, skip_roles=(*MANAGED_ROLES, *extra))
            case "memory":
                config = replace(config, memory_bytes=size(value, f"{source}: {key}"))
            case "capacity":
                config = replace(config, disk_bytes=_capacity(value, source))
            case "window":
                days = span(value, f"{source}: {key}").total_seconds() / 86400
                config = replace(config, window_days=days)
            case "min_severity":
                config = replace(config, min_severity=_severity(value, source, key))
            case "history":
                if not isinstance(value, str) or not value:
                    raise _wrong(source, key, "a path or a URL")
                config = replace(config, history=value)
            case "rules":
                config = replace(config, limits=_rule_limits(value, source))
            case _ if key in (*SERVICE_TABLES, FLEET_TABLE):
                if not isinstance(value, dict):
                    raise _wrong(source, key, f"a table such as [{key}]")
            case _:
                raise unknown_key(source, key, _KEYS)
    return config


def check_names(names: tuple[str, ...], where: str) -> None:
    """Raise :class:`UsageError` for a name that is neither a rule nor an area."""
    known = {r.id for r in all_rules()} | set(areas())
    for name in names:
        if name not in known:
            raise UsageError(
                f"{where}: rule or area {name!r} does not exist",
                meant(name, known) or "db-analyze explain lists all rules",
            )


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


def _strings(value: Any, source: str, key: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise _wrong(source, key, "a list of strings")
    return value


def _severity(value: Any, source: str, key: str) -> Severity:
    try:
        return Severity(value)
    except ValueError:
        raise _wrong(source, key, "critical, warning or info") from None


def _ignore(entry: Mapping[str, Any], source: str) -> Ignore:
    known = [f.name for f in fields(Ignore)]
    for key in entry:
        if key not in known:
            raise unknown_key(f"{source}: ignore", key, known)
    if not isinstance(entry.get("reason"), str) or not entry["reason"].strip():
        raise UsageError(f"{source}: ignore: each entry must have a reason")
    if not {"finding", "rule", "object"} & set(entry):
        raise UsageError(f"{source}: ignore: each entry must name a finding, a rule or an object")
    _check_ignored_rule(entry, source)
    until = entry.get("until")
    if isinstance(until, str):
        try:
            until = date.fromisoformat(until)
        except ValueError:
            raise _wrong(source, "ignore.until", "a date such as 2027-01-31") from None
    if isinstance(until, datetime):
        until = until.date()
    if until is not None and not isinstance(until, date):
        raise _wrong(source, "ignore.until", "a date such as 2027-01-31")
    up_to = _severity(entry.get("up_to", Severity.CRITICAL), source, "ignore.up_to")
    return Ignore(**{**entry, "until": until, "up_to": up_to})


def _check_ignored_rule(entry: Mapping[str, Any], source: str) -> None:
    # An entry for a rule that does not exist would be kept for years and do nothing.
    for key in ("finding", "rule", "object"):
        if not isinstance(entry.get(key, ""), str):
            raise _wrong(source, f"ignore.{key}", "a string")
    pattern, known = entry.get("rule", "*"), {r.id for r in all_rules()} | set(areas())
    if not any(fnmatchcase(name, pattern) for name in known):
        raise UsageError(
            f"{source}: ignore.rule: no rule or area is named {pattern!r}",
            meant(pattern, known) or "db-analyze explain lists all rules",
        )


def _capacity(value: Any, source: str) -> int:
    if not isinstance(value, dict) or value.keys() != {"disk"}:
        raise _wrong(source, "capacity", "a table with the key disk, such as disk = '500GB'")
    return size(value["disk"], f"{source}: capacity.disk")


def _rule_limits(value: Any, source: str) -> dict[str, dict[str, Any]]:
    if not isinstance(value, dict):
        raise _wrong(source, "rules", "tables such as [rules.index-unused]")
    rules = {r.id: r for r in all_rules()}
    found: dict[str, dict[str, Any]] = {}
    for name, table in value.items():
        where = f"{source}: rules.{name}"
        if name not in rules:
            raise UsageError(
                f"{where}: no such rule", meant(name, rules) or "db-analyze explain lists all rules"
            )
        if not isinstance(table, dict):
            raise _wrong(source, f"rules.{name}", "a table of limits")
        types = get_type_hints(rules[name].limits)
        for key in table:
            if key not in types:
                known = ", ".join(types) or "none"
                hint = f"{meant(key, types)} valid limits: {known}"
                raise UsageError(f"{where}: unknown limit {key!r}", hint)
        found[name] = {k: _limit(types[k], k, v, where) for k, v in table.items()}
    return found


def _limit(hint: Any, name: str, value: Any, where: str) -> Any:
    key = f"{where}.{name}"
    if hint is timedelta:
        return span(value, key)
    if name.endswith("_bytes"):
        return size(value, key)
    if hint is bool:
        if not isinstance(value, bool):
            raise UsageError(f"{key} must be true or false")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        if isinstance(value, str) and hint is str:
            return value
        raise UsageError(f"{key} must be a number, not {value!r}")
    if hint is int and not isinstance(value, int):
        raise UsageError(f"{key} must be an integer, not {value!r}")
    if value < 0:
        raise UsageError(f"{key} must not be negative")
    return hint(value) if hint in (int, float) else value


def size(value: Any, where: str) -> int:
    """Read ``500MB`` or a bare number of bytes."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    try:
        return units.read_size(value)
    except (TypeError, ValueError):
        raise UsageError(f"{where} must be a size such as '500MB', not {value!r}") from None


def span(value: Any, where: str) -> timedelta:
    """Read ``30 days``, ``12 h``, ``500 ms``; a bare number counts days."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return timedelta(days=float(value))
    try:
        return units.read_span(value)
    except (TypeError, ValueError):
        raise UsageError(f"{where} must be a time such as '30 days', not {value!r}") from None


def _wrong(source: str, key: str, wanted: str) -> UsageError:
    return UsageError(f"{source}: {key} must be {wanted}")
