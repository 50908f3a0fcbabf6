"""PostgreSQL: connect, read, perhaps write; role, lag, archiving and certificate."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from psycopg import conninfo as libpq
from psycopg import sql
from psycopg.rows import dict_row

from pgwatch_wed import units
from pgwatch_wed.errors import ConnectError, UsageError
from pgwatch_wed.serve.probes import certificates
from pgwatch_wed.serve.probes.observation import Limit, Observation, ProbeFailure, network
from pgwatch_wed.serve.probes.probe_settings import Address, ProbeSettings, Secret, plain
from pgwatch_wed.serve.state import Health, Reason
from pgwatch_wed.target import connect, wire
from pgwatch_wed.target.door import Door, Guards, opened
from pgwatch_wed.target.queries import composed
from pgwatch_wed.target.refusal import Refusal, Stage, why_refused

# A certificate changes rarely, and asking for it is a connection of its own.
_CERTIFICATE_S = 3600.0
_DAY_S = 86_400
_SERVERS_SHARE = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresSettings(ProbeSettings):
    """A server, and what it is expected to be.

    ``auth`` is ``warn``: the role is the probe's own, and a server that refuses it serves others.
    """

    url: Address
    password: Secret | None = None
    essential: bool = True
    auth: Health = Health.WARN
    role: str = "any"  # primary, standby or any
    lag_s: float | None = 60.0  # a standby farther behind is a warning
    archive_age_s: float | None = None  # if no WAL was archived for longer
    certificate_s: float = 14 * _DAY_S
    write: bool = False
    table: str = "public.pgwatch_wed_probe"

    def check(self, where: str) -> None:
        """Raise UsageError for values that do not fit together."""
        ProbeSettings.check(self, where)
        if self.role not in ("primary", "standby", "any"):
            raise UsageError(f"{where}.role must be primary, standby or any, not {self.role!r}")
        if self.write and self.role == "standby":
            raise UsageError(f"{where}.write: nothing can be written to a standby")
        try:
            connect.resolve(plain(self.url))
        except UsageError as error:
            raise UsageError(f"{where}.url: {error.message}", error.hint) from None

    def conninfo(self) -> str:
        """Return the libpq conninfo, with the present password."""
        found = connect.resolve(plain(self.url))
        return (
            libpq.make_conninfo(found, password=self.password.value()) if self.password else found
        )


@dataclass(slots=True)
class PostgresProbe:
    """Asks a server over a new connection each time: whether one can be had is the first question."""

    settings: PostgresSettings
    now: Callable[[], float]
    _expires_at: float | None = None
    _looked_at: float | None = None
    _has_table: bool = field(default=False)

    def __call__(self, limit: Limit) -> Observation:
        """Ask it."""
        conninfo = self.settings.conninfo()
        guards = Guards(
            connect_s=max(2, int(limit.left())), statement_ms=_timeout_ms(limit), lock_ms=1000
        )
        try:
            with opened(conninfo, guards) as door:
                seen = self._judged(_row(door, limit))
                seen = self._certified(seen, door, limit)
        except ConnectError:
            raise _refused(conninfo, limit) from None
        except psycopg.Error as error:
            raise of_server(error, limit) from None
        return self._written(conninfo, seen, limit) if self.settings.write else seen

    def _judged(self, row: dict[str, Any]) -> Observation:
        is_standby = bool(row["is_standby"])
        readings = {"probe_in_recovery": float(is_standby)}
        seen = Observation(readings=readings)
        if self.settings.role != "any" and is_standby != (self.settings.role == "standby"):
            found = "standby" if is_standby else "primary"
            seen = seen.failed(f"the server is a {found}, not a {self.settings.role}")
        if is_standby:
            seen = self._behind(seen, row, readings)
        elif self.settings.role == "primary" and row["is_read_only"]:
            seen = seen.failed("transactions are read-only (default_transaction_read_only)")
        return self._archived(seen, row, readings)

    def _behind(
        self, seen: Observation, row: dict[str, Any], readings: dict[str, float]
    ) -> Observation:
        if row["is_paused"]:
            return seen.warned("replay is paused")
        source = "" if row["has_walreceiver"] else ", and no WAL receiver runs"
        if row["has_walreceiver"] and row["is_caught_up"]:
            lag = 0.0  # nothing was written since: the age of the last transaction says nothing
        elif row["replay_age_s"] is None:
            return seen.warned(f"nothing was replayed since the standby started{source}")
        else:
            lag = max(0.0, float(row["replay_age_s"]))
        readings["probe_replay_lag_seconds"] = lag
        if self.settings.lag_s is not None and lag > self.settings.lag_s:
            return seen.warned(f"the last replayed transaction is {round(lag)} s old{source}")
        return seen

    def _archived(
        self, seen: Observation, row: dict[str, Any], readings: dict[str, float]
    ) -> Observation:
        limit = self.settings.archive_age_s
        age = row["archive_age_s"]
        if age is not None:
            readings["probe_archive_age_seconds"] = max(0.0, float(age))
        if limit is None or row["is_standby"]:
            return seen
        if not row["is_archiving"]:
            return seen.warned("WAL is not archived (archive_mode is off)")
        why = ", and the last attempt failed" if row["has_archive_failed"] else ""
        if age is None:
            return seen.warned(f"no WAL has been archived yet{why}")
        if age > limit:
            return seen.warned(f"the last WAL was archived {round(age)} s ago{why}")
        return seen

    def _certified(self, seen: Observation, door: Door, limit: Limit) -> Observation:
        at = limit.monotonic()
        if self._looked_at is None or at - self._looked_at >= _CERTIFICATE_S:
            with network():
                self._expires_at = _certificate(door, limit)
            self._looked_at = at
        if self._expires_at is None:
            return seen
        left = self._expires_at - self.now()
        more = {"probe_certificate_expiry_timestamp_seconds": self._expires_at}
        seen = replace(seen, readings={**seen.readings, **more})
        return warned_of_expiry(seen, left, self.settings.certificate_s)

    def _written(self, conninfo: str, seen: Observation, limit: Limit) -> Observation:
        if seen.readings["probe_in_recovery"]:
            return seen.failed("nothing can be written: the server is a standby")
        try:
            connection = wire.connect(
                conninfo, psycopg.Connection[Any], connect_s=max(2, int(limit.left()))
            )
        except ConnectError:
            raise _refused(conninfo, limit) from None
        try:
            with wire.watched(
                connection, limit.left()
            ):  # if the server's own timeout does not end it
                self._write(connection, limit)
        except psycopg.errors.InsufficientPrivilege:
            return seen.warned("the probe may not write to its table")
        except psycopg.Error as error:
            raise of_server(error, limit) from None
        finally:
            wire.end(connection)
        return seen

    def _write(self, connection: psycopg.Connection[Any], limit: Limit) -> None:
        table = sql.Identifier(*self.settings.table.split("."))
        timeout = sql.Literal(f"{_timeout_ms(limit)}ms")
        with connection.transaction():
            connection.execute(sql.SQL("set local statement_timeout = {}").format(timeout))
            if not self._has_table:
                connection.execute(
                    sql.SQL(
                        "create table if not exists {} (probe text primary key, at timestamptz)"
                    ).format(table)
                )
            connection.execute(
                sql.SQL(
                    "insert into {} (probe, at) values ({}, now()) on conflict (probe) do update set at = now()"
                ).format(table, sql.Literal(self.settings.name))
            )
        self._has_table = True


def warned_of_expiry(seen: Observation, left_s: float, threshold_s: float) -> Observation:
    """Return what was seen, with a warning if a certificate expires soon."""
    if left_s < 0:
        return seen.warned("the certificate has expired")
    if left_s < threshold_s:
        return seen.warned(
            f"the certificate expires in {units.count(int(left_s // _DAY_S), 'day')}"
        )
    return seen


def _timeout_ms(limit: Limit) -> int:
    """Return the server's own limit: it comes first, so that the server can say that it lives."""
    return max(1, int(limit.left() * 1000 * _SERVERS_SHARE))


def _row(door: Door, limit: Limit) -> dict[str, Any]:
    guards = Guards(statement_ms=_timeout_ms(limit), lock_ms=1000)
    with door.asking("probe", guards) as connection:
        row = (
            connection.cursor(row_factory=dict_row).execute(composed("target", "probe")).fetchone()
        )
    if row is None:
        raise ProbeFailure(Reason.PROTOCOL)
    return row


def _certificate(door: Door, limit: Limit) -> float | None:
    host = door.info.hostaddr or door.info.host
    if not host or host.startswith("/") or not door.info.pgconn.ssl_in_use:
        return None
    return certificates.of_server(host, door.info.port, limit.left())


def _refused(conninfo: str, limit: Limit) -> ProbeFailure:
    return of_refusal(why_refused(conninfo, limit.left()))


def of_refusal(refusal: Refusal) -> ProbeFailure:
    """Return the failure of a connection."""
    match refusal.stage:
        case Stage.NAME:
            return ProbeFailure(Reason.DNS)
        case Stage.SILENT:
            return ProbeFailure(Reason.TIMEOUT)
        case Stage.CLOSED:
            return ProbeFailure(Reason.REFUSED)
        case Stage.TLS:
            return ProbeFailure(
                Reason.TLS, "no encrypted connection that the target's sslmode accepts"
            )
        case Stage.IN:
            return ProbeFailure(
                Reason.PROTOCOL, "the connection was lost, and the next one was not"
            )
    return of_sqlstate(refusal.sqlstate)


def of_server(error: psycopg.Error, limit: Limit) -> ProbeFailure:
    """Return the failure of a query."""
    if error.sqlstate is None:
        limit.left()  # if there is none, we ended the wait ourselves
        return ProbeFailure(Reason.PROTOCOL, "the connection was lost")
    return of_sqlstate(error.sqlstate)


# By the code or its class, the most exact first.
_MEANINGS = (
    ("3D000", Reason.CONDITION, "the database does not exist"),
    ("53100", Reason.CONDITION, "the server's disk is full"),
    ("53", Reason.LIMIT, "the server answers, and has no room for another connection"),
    ("28", Reason.AUTH, "the server answers, and refuses this role or its password"),
    ("42501", Reason.AUTH, "the server answers, and this role lacks a privilege"),
    ("57P03", Reason.REFUSED, "the server is starting up, shutting down or recovering"),
    ("57P", Reason.REFUSED, "the server is shutting down"),
    ("57014", Reason.TIMEOUT, "the server answers, and did not finish a query in time"),
    ("55P03", Reason.TIMEOUT, "a lock was not granted in time"),
    ("25006", Reason.CONDITION, "transactions are read-only"),
    ("25P0", Reason.TIMEOUT, "the server ended a transaction that took too long"),
    (
        "55",
        Reason.CONDITION,
        "the server answers, and does not accept connections to this database",
    ),
    ("", Reason.PROTOCOL, "the server answers with an error"),
)


def of_sqlstate(code: str) -> ProbeFailure:
    """Return the failure that a server's code stands for."""
    return next(
        ProbeFailure(reason, detail)
        for begin, reason, detail in _MEANINGS
        if code[: len(begin)] == begin
    )
