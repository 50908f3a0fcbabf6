"""A server that takes encrypted connections only, with certificates made for it."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgwatch_wed.whatif.lab import dump
from tests import servers

PASSPHRASE = "s3cr3t of the key"
# The database `offers` may be reached either way: there, TLS is what `prefer` prefers.
HBA = """
local all all trust
host offers all all scram-sha-256
hostssl all certified all cert
hostssl all all all scram-sha-256
"""


@dataclass(frozen=True, slots=True)
class Certificates:
    """A private authority, another that nobody trusts, and what the first has signed."""

    folder: Path

    def __post_init__(self) -> None:
        for name in ("authority", "stranger"):
            self._make_authority(name)
        self._sign("server", "db.test", "subjectAltName=DNS:db.test,DNS:localhost")
        self._sign("client", "certified", "extendedKeyUsage=clientAuth")
        locked = ["-aes256", "-passout", f"pass:{PASSPHRASE}"]
        self._openssl("ec", "-in", self.key("client"), *locked, "-out", self.key("locked"))
        for key in self.folder.glob("*.key"):
            key.chmod(0o600)

    def pem(self, name: str) -> Path:
        """The certificate of ``authority``, ``stranger``, ``server`` or ``client``."""
        return self.folder / f"{name}.pem"

    def key(self, name: str) -> Path:
        """The key of one of them, or the client's behind a passphrase: ``locked``."""
        return self.folder / f"{name}.key"

    def _make_authority(self, name: str) -> None:
        new = [
            "req",
            "-x509",
            "-nodes",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ]
        out: list[str | Path] = ["-keyout", self.key(name), "-out", self.pem(name)]
        self._openssl(*new, "-days", "2", "-subj", f"/CN={name}", *out)

    def _sign(self, name: str, subject: str, extension: str) -> None:
        new = ["req", "-new", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        request, more = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        more.write_text(extension)
        self._openssl(*new, "-subj", f"/CN={subject}", "-keyout", self.key(name), "-out", request)
        by: list[str | Path] = [
            "-CA",
            self.pem("authority"),
            "-CAkey",
            self.key("authority"),
            "-CAcreateserial",
        ]
        end: list[str | Path] = ["-days", "2", "-extfile", more, "-out", self.pem(name)]
        self._openssl("x509", "-req", "-in", request, *by, *end)

    @staticmethod
    def _openssl(*args: str | Path) -> None:
        subprocess.run(["openssl", *args], check=True, capture_output=True, timeout=60)


@dataclass(slots=True)
class TlsServer:
    """The server; in its log one sees which connections were encrypted."""

    server: servers.Server
    certificates: Certificates
    _seen: int = field(default=0)

    def dsn(self, dbname: str = "postgres", **more: str) -> str:
        """A conninfo by TCP, with the superuser's password and libpq's own sslmode."""
        return make_conninfo(self._address(), dbname=dbname, **more)

    def _address(self) -> str:
        local = self.server.local
        return make_conninfo(local.dsn(tcp=True) if local else self.server.dsn(), host="localhost")

    @property
    def port(self) -> str:
        """Where it listens, on localhost."""
        return str(conninfo_to_dict(self._address())["port"])

    def execute(self, statement: str, dbname: str = "postgres") -> None:
        """Execute statements outside any transaction."""
        with psycopg.connect(self.dsn(dbname), autocommit=True) as connection:
            connection.execute(statement.encode())

    def mark(self) -> None:
        """Forget what is in the log so far."""
        self._seen = len(self._log())

    def authorized(self, least: int = 1) -> list[str]:
        """Return the log's lines about the connections of ours since :meth:`mark`."""
        deadline = time.monotonic() + 10
        while True:
            lines = self._log()[self._seen :]
            ours = [x for x in lines if "connection authorized" in x and "pgwatch_wed" in x]
            if len(ours) >= least or time.monotonic() > deadline:
                return ours
            time.sleep(0.1)

    def _log(self) -> list[str]:
        if self.server.local:
            return self.server.local.log.read_text(errors="replace").splitlines()
        return b"".join(self.server.container.get_logs()).decode(errors="replace").splitlines()


@contextmanager
def running(folder: Path) -> Iterator[TlsServer]:
    """Start the server, or skip where none is built with TLS; in CI that is a failure."""
    spec = servers.with_tls(dump.major())
    if spec is None:
        why = "no server with TLS: neither a chosen container nor an installed PostgreSQL"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    server = servers.start(spec, {"log_connections": "on"})
    try:
        found = TlsServer(server, Certificates(folder))
        _demand(found)
        yield found
    finally:
        server.stop()


def _demand(found: TlsServer) -> None:
    """Give the server its certificate and let nobody in without TLS; all by SQL, wherever it runs."""
    own = found.certificates
    found.execute("create role certified superuser login")
    found.execute("create database offers")
    with psycopg.connect(found.dsn(), autocommit=True) as admin:
        for name, text in (
            ("server.crt", own.pem("server").read_text()),
            ("server.key", own.key("server").read_text()),
            ("root.crt", own.pem("authority").read_text()),
            ("pg_hba.conf", HBA),
        ):
            write = "copy (select unnest({}::text[])) to program {}"
            command = f"umask 077; cat > {name}"
            admin.execute(sql.SQL(write).format(text.strip().splitlines(), command))
        for name, value in (("ssl", "on"), ("ssl_ca_file", "root.crt")):
            admin.execute(f"alter system set {name} = '{value}'".encode())
        admin.execute("select pg_reload_conf()")
    _wait_for_tls(found)


def _wait_for_tls(found: TlsServer) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            psycopg.connect(found.dsn(sslmode="require"), connect_timeout=5).close()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
