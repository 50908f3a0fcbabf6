"""What clusters are compared by: a small document of each visit, stored beside the runs.

Reports over a thousand clusters read these, and no facts.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from pgwatch_wed import units
from pgwatch_wed.errors import HistoryError
from pgwatch_wed.facts import Index, Setting, Snapshot, Table
from pgwatch_wed.findings import ForecastLine
from pgwatch_wed.fleet.experiment.clues import clues_of
from pgwatch_wed.history import blobs
from pgwatch_wed.history.forecast_lines import forecast_lines
from pgwatch_wed.quote import ident

# Whose value the server or the session gave, not an administrator.
_NOT_CHANGED = frozenset(("default", "client", "session", "environment variable", "interactive"))
# They say where something is, and differ between any two servers; some of them can hold passwords.
_OF_PLACE = frozenset(
    (
        *("data_directory", "config_file", "hba_file", "ident_file", "external_pid_file", "port"),
        *("listen_addresses", "unix_socket_directories", "cluster_name", "log_directory"),
        *(
            "log_filename",
            "primary_conninfo",
            "primary_slot_name",
            "archive_command",
            "event_source",
        ),
        *("restore_command", "archive_cleanup_command", "recovery_end_command", "bonjour_name"),
        *("ssl_cert_file", "ssl_key_file", "ssl_ca_file", "ssl_crl_file", "ssl_crl_dir"),
        *("ssl_dh_params_file", "ssl_passphrase_command", "krb_server_keyfile"),
        *("stats_temp_directory", "synchronous_standby_names", "recovery_target_lsn"),
        *(
            "recovery_target_name",
            "recovery_target_time",
            "recovery_target_xid",
            "application_name",
        ),
        *("transaction_read_only", "transaction_isolation", "transaction_deferrable"),
        *("in_hot_standby", "shared_memory_size", "shared_memory_size_in_huge_pages"),
        *("promote_trigger_file", "server_version", "server_version_num", "num_os_semaphores"),
    )
)
_MOST_TABLES = 5_000
_TEXT = 200

Indexes = Mapping[str, Sequence[str]]
"""The indexes of each table, by what they are: ``{"public.orders": ["UNIQUE btree (id)"]}``."""


@dataclass(frozen=True, slots=True)
class Traits:
    """Of a cluster: what it has in common with its siblings, or not.

    ``settings`` are those that differ from the server's defaults, as SHOW prints them. ``extensions`` are the installed
    ones with their versions, by database. ``databases`` names the schema of each, which stands in ``schemas`` once if
    several have the same. ``limits`` are the forecasts (:func:`limits_of` reads them). ``clues`` are
    :class:`~pgwatch_wed.fleet.experiment.clues.Clues`: which statements became slower. ``unread`` says of each part that could not be read why.
    """

    version: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    extensions: dict[str, dict[str, str]] = field(default_factory=dict)
    is_in_recovery: bool = False
    databases: dict[str, str] = field(default_factory=dict)
    schemas: dict[str, Indexes] = field(default_factory=dict)
    limits: list[dict[str, Any]] = field(default_factory=list)
    clues: dict[str, Any] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)

    def indexes(self, database: str) -> Indexes | None:
        """Return the indexes of a database by table; None if they are not known."""
        return self.schemas.get(self.databases.get(database, ""))


def of(snapshots: Sequence[Snapshot], disk_bytes: int | None = None) -> Traits:
    """Return the traits of the cluster whose databases were read, with what its history tells if that was recalled."""
    first = snapshots[0]
    by_database = {s.server.database: _schema(s) for s in snapshots if _has_schema(s)}
    keys = {name: _digest(schema) for name, schema in by_database.items()}
    return Traits(
        version=first.server.version,
        settings=dict(_settings(first)),
        extensions={
            s.server.database: {
                e.name: e.installed_version for e in s.extensions if e.installed_version
            }
            for s in snapshots
            if "extensions" not in s.missing
        },
        is_in_recovery=first.server.is_in_recovery,
        databases=keys,
        schemas={keys[name]: schema for name, schema in by_database.items()},
        limits=[_limit(line) for line in forecast_lines(snapshots, disk_bytes)],
        clues=clues_of(snapshots).to_json(),
        unread=dict(_unread(snapshots)),
    )


def _unread(snapshots: Sequence[Snapshot]) -> Iterator[tuple[str, str]]:
    for s in snapshots:
        for name in ("settings", "extensions", "indexes", "forecasts"):
            if name in s.missing:
                yield name, s.missing[name].reason[:_TEXT]
        if len(s.tables) > _MOST_TABLES:
            yield "indexes", f"database {s.server.database} has more than {_MOST_TABLES:,} tables"


# --- settings -----------------------------------------------------------------------------------


def _settings(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    for each in snapshot.settings:
        if _is_changed(each):
            yield each.name, units.setting(each.setting, each.unit)[:_TEXT]


def _is_changed(each: Setting) -> bool:
    is_own = each.source not in _NOT_CHANGED and each.name not in _OF_PLACE
    return is_own and each.setting != each.boot_val


# --- indexes --------------------------------------------------------------------------------------


def _has_schema(snapshot: Snapshot) -> bool:
    is_read = not {"tables", "indexes"} & snapshot.missing.keys()
    return is_read and len(snapshot.tables) <= _MOST_TABLES


def _schema(snapshot: Snapshot) -> dict[str, list[str]]:
    """Return what indexes each table has; partitions are like their parents, and come and go."""
    found: dict[str, list[str]] = {}
    for table in snapshot.tables:
        if not table.is_partition and not table.is_in_extension:
            usable = (i for i in snapshot.indexes_of.get(table.oid, ()) if i.is_valid)
            found[f"{table.schema}.{table.name}"] = sorted(
                _form(snapshot, table, i) for i in usable
            )
    return dict(sorted(found.items()))


def _form(snapshot: Snapshot, table: Table, index: Index) -> str:
    """Say what an index is, whatever it is called."""
    text = snapshot.definition_by_oid.get(index.oid, "")
    _, found, rest = text.partition(f".{ident(table.name)} USING ")
    if not found:
        columns = ", ".join(map(ident, snapshot.column_names(table.oid, index.keys)))
        rest = f"{index.access_method} ({columns})"
    return f"{'UNIQUE ' if index.is_unique else ''}{rest}"[:_TEXT]


def _digest(schema: Indexes) -> str:
    text = json.dumps(schema, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


# --- limits ---------------------------------------------------------------------------------------


def _limit(line: ForecastLine) -> dict[str, Any]:
    values = asdict(line)
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return [_plain(each) for each in value] if isinstance(value, tuple | list) else value


def limits_of(traits: Traits) -> tuple[ForecastLine, ...]:
    """Return where the sizes and numbers of a cluster are heading."""
    return tuple(map(_line, traits.limits))


def _line(values: Mapping[str, Any]) -> ForecastLine:
    known: dict[str, Any] = {n: values.get(n) for n in ForecastLine.__dataclass_fields__}
    known["pace"] = tuple(known["pace"]) if known["pace"] else None
    known["reached"] = tuple(map(_moment, known["reached"] or (None, None, None)))
    known["since"], known["told_at"] = _moment(known["since"]), _moment(known["told_at"])
    return ForecastLine(**known)


def _moment(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


# --- in the history -------------------------------------------------------------------------------


def put(connection: sa.Connection, traits: Traits, near: str | None = None) -> str:
    """Store traits; return their address. ``near`` is that of a sibling's, or of the visit before."""
    text = json.dumps(asdict(traits), ensure_ascii=False, sort_keys=True)
    return blobs.put(connection, text.encode("utf-8", "surrogatepass"), near)


def get(connection: sa.Connection, address: str) -> Traits:
    """Return stored traits; what a newer version added is left out."""
    return read(blobs.get(connection, address))


def found(connection: sa.Connection, address: str) -> Traits | None:
    """Return stored traits, or None if they are gone or damaged: then the others are compared all the same."""
    try:
        return get(connection, address)
    except (HistoryError, ValueError):
        return None


def read(content: bytes) -> Traits:
    """Read what :func:`put` stored."""
    values = json.loads(content.decode("utf-8", "surrogatepass"))
    known = {name: values[name] for name in Traits.__dataclass_fields__ if name in values}
    return Traits(**known)
