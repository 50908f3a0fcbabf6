"""Every way to a server, and every way in which it can be refused: one line, and what to do."""

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.errors import ConnectError, UsageError, redact
from pgwatch_wed.target import connect, wire
from pgwatch_wed.target.collect import collect
from pgwatch_wed.target.wire import failure
from tests.proxy import Proxy, proxied
from tests.standby import standby_of

SECRET = "s3cr3t-Pa55 w'ord\\"


@pytest.fixture(scope="module")
def tcp() -> Iterator[embedded.EmbeddedServer]:
    """A server on loopback, in both families, with SCRAM."""
    with embedded.start({"listen_addresses": "127.0.0.1,::1"}, tcp=True) as server:
        hba = server.data / "pg_hba.conf"
        rules = "hostnossl all tls_only all reject\n" + hba.read_text(encoding="utf-8")
        hba.write_text(rules, encoding="utf-8")
        server.restart()
        with psycopg.connect(server.dsn(), autocommit=True) as admin:
            admin.execute("create role reader login in role pg_monitor")
            admin.execute(
                psycopg.sql.SQL("alter role reader password {}").format(psycopg.sql.Literal(SECRET))
            )
            admin.execute("create role tls_only login password 'x'")
            admin.execute("create database closed")
            admin.execute("revoke connect on database closed from public")
        yield server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost that nobody but itself has signed, with its key."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    key = path.with_suffix(".key")
    subprocess.run(
        [
            *("openssl", "req", "-new", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", path),
        ],
        check=True,
        capture_output=True,
    )
    path.write_bytes(path.read_bytes() + key.read_bytes())
    return path


@pytest.fixture
def encrypted(tcp: embedded.EmbeddedServer, certificate: Path) -> Iterator[int]:
    """The port of the same server behind TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with proxied(reader(tcp), tls=context) as (proxy, _):
        yield proxy.port


def reader(server: embedded.EmbeddedServer, **more: str | int) -> str:
    parts: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": server.port,
        "dbname": "postgres",
        "user": "reader",
        "password": SECRET,
        **more,
    }
    return make_conninfo(**parts)


def refused(dsn: str) -> ConnectError:
    with pytest.raises(ConnectError) as caught:
        collect(dsn, budget_s=20)
    error = caught.value
    assert error.exit_status == 3
    assert "\n" not in error.message + error.hint
    assert error.hint
    assert SECRET not in str(error)
    return error


# Ways in


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_tcp_with_scram_in_both_families(tcp: embedded.EmbeddedServer, host: str) -> None:
    snapshot = collect(reader(tcp, host=host), only=["settings"])
    assert snapshot.server.role == "reader"
    assert snapshot.settings


@pytest.mark.parametrize("sslmode", ["prefer", "require", "verify-ca", "verify-full"])
def test_tls(tcp: embedded.EmbeddedServer, certificate: Path, encrypted: int, sslmode: str) -> None:
    known = {"sslrootcert": str(certificate)} if sslmode.startswith("verify") else {}
    dsn = reader(tcp, host="localhost", port=encrypted, sslmode=sslmode, **known)
    assert collect(dsn, only=["settings"]).settings


def test_a_tls_connection_that_goes_silent_is_cut_off(
    tcp: embedded.EmbeddedServer, certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    begun = time.monotonic()
    with proxied(reader(tcp), at=20, act=Proxy.stall, tls=context) as (_, dsn):
        snapshot = collect(dsn, budget_s=2)
    assert time.monotonic() - begun < 20
    assert [m for m in snapshot.missing.values() if "did not respond" in m.reason]


def test_the_unix_socket(tcp: embedded.EmbeddedServer) -> None:
    assert collect(tcp.dsn(), only=["settings"]).server.address is None


@pytest.mark.parametrize(
    "scheme", ["postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg2"]
)
def test_a_uri_with_a_quoted_password_and_ipv6(tcp: embedded.EmbeddedServer, scheme: str) -> None:
    password = SECRET.replace("\\", "%5C").replace(" ", "%20").replace("'", "%27")
    uri = f"{scheme}://reader:{password}@[::1]:{tcp.port}/postgres?sslmode=disable"
    assert collect(connect.resolve(uri), only=["settings"]).server.role == "reader"
    assert SECRET not in redact(uri)
    assert password not in redact(uri)


def test_a_service_and_a_password_file(
    tcp: embedded.EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services, passwords = tmp_path / "services", tmp_path / "passwords"
    services.write_text(
        f"[shop]\nhost=127.0.0.1\nport={tcp.port}\nuser=reader\ndbname=postgres\n", encoding="utf-8"
    )
    escaped = SECRET.replace("\\", "\\\\").replace(":", "\\:")
    passwords.write_text(f"127.0.0.1:{tcp.port}:*:reader:{escaped}\n", encoding="utf-8")
    passwords.chmod(0o600)
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    conninfo = connect.resolve("shop")
    assert collect(conninfo, only=["settings"]).server.role == "reader"
    assert connect.label(conninfo) == "service shop"


def test_a_label_tells_two_servers_apart_that_have_their_sockets_in_one_directory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PGPORT", raising=False)
    assert connect.label("host=/run/pg dbname=shop") == "/run/pg/shop"
    assert connect.label("host=/run/pg port=5433 dbname=shop") == "/run/pg:5433/shop"


def test_the_environment_alone(
    tcp: embedded.EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    for name, value in {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(tcp.port),
        "PGUSER": "reader",
        "PGPASSWORD": SECRET,
        "PGDATABASE": "postgres",
    }.items():
        monkeypatch.setenv(name, value)
    assert collect(connect.resolve(None), only=["settings"]).server.role == "reader"


def test_several_hosts_of_which_one_answers(tcp: embedded.EmbeddedServer) -> None:
    ports = f"{embedded.free_port()},{tcp.port}"
    dsn = reader(tcp, host="127.0.0.1,127.0.0.1", port=ports)
    assert collect(dsn, only=["settings"]).settings


def test_the_target_session_decides_between_primary_and_standby() -> None:
    with embedded.start({"wal_level": "replica"}) as primary, standby_of(primary) as follower:
        hosts = f"{follower.root},{primary.root}"
        both = make_conninfo(
            host=hosts, port=f"{follower.port},{primary.port}", user="postgres", dbname="postgres"
        )
        for wanted, is_standby in {"read-write": False, "standby": True, "primary": False}.items():
            dsn = make_conninfo(both, target_session_attrs=wanted)
            assert collect(dsn, only=["settings"]).server.is_in_recovery is is_standby


# Ways out


def test_a_wrong_password(tcp: embedded.EmbeddedServer) -> None:
    error = refused(reader(tcp, password="wr0ng-secret"))
    assert "password authentication failed" in error.message
    assert "wr0ng-secret" not in str(error)


def test_no_password(tcp: embedded.EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSFILE", "/nonexistent")
    monkeypatch.delenv("PGPASSWORD", raising=False)
    parts: dict[str, Any] = conninfo_to_dict(reader(tcp))
    del parts["password"]
    assert "PGPASSWORD" in refused(make_conninfo(**parts)).hint


def test_an_unknown_database_and_an_unknown_role(tcp: embedded.EmbeddedServer) -> None:
    assert 'database "nowhere" does not exist' in refused(reader(tcp, dbname="nowhere")).message
    assert "authentication failed" in refused(reader(tcp, user="nobody")).message


def test_a_database_that_the_role_may_not_enter(tcp: embedded.EmbeddedServer) -> None:
    error = refused(reader(tcp, dbname="closed"))
    assert "permission denied for database" in error.message
    assert "GRANT CONNECT" in error.hint


def test_nobody_listens(tcp: embedded.EmbeddedServer) -> None:
    error = refused(reader(tcp, port=embedded.free_port()))
    assert "refused" in error.message
    assert "host and port" in error.hint


def test_there_is_no_socket(tmp_path: Path) -> None:
    error = refused(make_conninfo(host=str(tmp_path), dbname="postgres"))
    assert "No such file or directory" in error.message


def test_a_host_that_does_not_exist(tcp: embedded.EmbeddedServer) -> None:
    assert "host name" in refused(reader(tcp, host="no-such-host.invalid")).hint


def test_the_server_insists_on_tls(tcp: embedded.EmbeddedServer) -> None:
    error = refused(reader(tcp, user="tls_only", password="x", sslmode="disable"))
    assert "no encryption" in error.message
    assert "pg_hba.conf" in error.hint


def test_a_certificate_that_nobody_has_signed(
    tcp: embedded.EmbeddedServer, encrypted: int, tmp_path: Path
) -> None:
    nothing = tmp_path / "none.crt"
    dsn = reader(tcp, port=encrypted, host="localhost", sslmode="verify-full")
    assert "certificate" in refused(make_conninfo(dsn, sslrootcert=str(nothing))).message
    assert "certificate" in refused(make_conninfo(dsn, sslrootcert="system")).message


def test_a_certificate_of_another_host(
    tcp: embedded.EmbeddedServer, certificate: Path, encrypted: int
) -> None:
    dsn = reader(tcp, port=encrypted, sslmode="verify-full", sslrootcert=str(certificate))
    error = refused(dsn)
    assert '"localhost"' in error.message
    assert "sslmode" in error.hint


def test_a_server_that_does_not_offer_tls(tcp: embedded.EmbeddedServer) -> None:
    error = refused(reader(tcp, sslmode="require"))
    assert "sslmode" in error.hint


def test_a_server_that_accepts_and_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        dsn = make_conninfo(host="127.0.0.1", port=port, dbname="x", user="y", sslmode="disable")
        with pytest.raises(ConnectError, match="timeout"):
            collect(dsn, budget_s=2)


def test_something_else_listens_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            client, _ = listener.accept()
            client.recv(100)
            client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            client.close()

        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        refused(make_conninfo(host="127.0.0.1", port=port, dbname="x", user="y", sslmode="disable"))
        thread.join()


@pytest.mark.parametrize("target", ["nonsense = 'unclosed", "postgresql://[::1/x", "a=b"])
def test_a_target_that_is_none_is_a_usage_error(target: str) -> None:
    with pytest.raises(UsageError) as caught:
        connect.resolve(target)
    assert caught.value.exit_status == 2
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("port", ["notaport", "99999999", "-1", "0x10"])
def test_a_port_that_is_none_is_one_line(port: str) -> None:
    refused(f"postgresql://a:b@127.0.0.1:{port}/d")


@pytest.mark.parametrize(
    ("url", "instead"),
    [
        ("//db1:5432/shop?user=u&password=s3cret", "//u@db1:5432/shop"),
        ("//db1/shop?password=s3cret&user=a%40b&ssl=true", "//a%40b@db1/shop?sslmode=verify-full"),
        ("//db1,db2:5433/shop?targetServerType=primary&sslmode=require", "//db1,db2:5433/shop?sslmode=require"),
        ("//[::1]:5432/shop", "//[::1]:5432/shop"),
        ("shop", "///shop"),
        ("//u:s3cret@db1/shop", "//u@db1/shop"),
        *((url, "//USER@HOST:PORT/DATABASE") for url in ("//u:s3cret/x@db1/shop", "//u:1?s3cret@db1/shop", "//u:s3cret")),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "driver", ["jdbc:postgresql:", "JDBC:aws-wrapper:postgresql:", "jdbc:pgsql:"]
)
def test_a_jdbc_url_is_said_to_be_one_and_how_it_is_written_here(
    driver: str, url: str, instead: str
) -> None:
    with pytest.raises(UsageError, match="JDBC") as caught:
        connect.resolve(driver + url)
    assert f"write 'postgresql:{instead}'" in caught.value.hint
    assert "s3cret" not in str(caught.value)
    if "USER" not in instead:
        connect.resolve(f"postgresql:{instead}")


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u:{}@h/db",
        "postgresql+psycopg://u:{}@h:5/db?sslmode=require",
        "host=h password={} dbname=d",
        "host=h password = '{}' dbname=d",
        "postgresql://h/db?user=u&password={}",
        "postgresql://h/db?sslpassword={}&x=1",
        "invalid connection string: sslpassword={} more",
        "host=h oauth_client_secret={} user=u",
        "host=h scram_client_key={}",
        "host=h passwd={} dbname=d",
        "host=h password={}\\ {} dbname=d",
        "postgresql://u:{}/{}@h/db",
        "postgresql://u:{}@{}@h/db",
        "postgresql://u:{} {}@h/db",
    ],
)
def test_passwords_are_taken_out_of_whatever_is_printed(text: str) -> None:
    redacted = redact(text.format("hunter2", "hunter2"))
    assert "hunter2" not in redacted
    assert "***" in redacted


@pytest.mark.parametrize("between", [*"/@#?%: &='[]\\", "//", "@@", "/@", "%zz", "%00", "?x="])
def test_no_message_holds_a_part_of_a_password_that_was_not_escaped(between: str) -> None:
    """Then libpq takes the half of it for a host, a port or a database, and says so."""
    target = f"postgresql://u:hunter2{between}hunter3@127.0.0.1:{embedded.free_port()}/db"
    with pytest.raises((UsageError, ConnectError)) as caught:
        wire.connect(connect.resolve(target), psycopg.Connection)
    for text in (str(caught.value), redact(target)):
        assert "hunter" not in text
        assert "\n" not in text


@pytest.mark.parametrize(
    "target",
    [
        "host=127.0.0.1 password=hunter2 hunter3",
        "host=127.0.0.1 password=hunter2 hunter3=x",
        "host=127.0.0.1 passwd=hunter2",
        "password='hunter2",
        "postgresql://u:%22hunter2%zz@h/db",
        'postgresql://u:hun"hunter2%zz@h/db',
    ],
)
def test_no_message_holds_a_part_of_a_password_that_was_not_quoted(target: str) -> None:
    with pytest.raises(UsageError) as caught:
        connect.resolve(target)
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize(
    "target",
    [
        "postgresql://u:a%40b%2Fc@h:5/my%40db",
        "postgresql://u@h/db?application_name=a@b",
        "postgresql://h1:1,h2:2/db?target_session_attrs=standby",
        "postgresql://u:p@%2Ftmp/db",
        "postgresql:///db?host=/tmp&password=x@y/z",
    ],
)
def test_a_target_whose_characters_are_escaped_is_taken(target: str) -> None:
    assert conninfo_to_dict(connect.resolve(target))["dbname"] in ("db", "my@db")


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ('FATAL:  database "shop" does not exist', "psql -l"),
        ('FATAL:  database "shop" is not currently accepting connections', "ALLOW_CONNECTIONS"),
    ],
)
def test_a_database_that_is_closed_is_not_taken_for_a_mistyped_one(message: str, hint: str) -> None:
    assert hint in wire._hint(message)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            (
                'connection failed: connection to server at "10.0.0.7", port 5432 failed: '
                'FATAL: password authentication failed for user "me"'
            ),
            'could not connect to 10.0.0.7:5432: password authentication failed for user "me"',
        ),
        (
            (
                'connection failed: connection to server at "localhost" (::1), port 1 failed: Connection refused'
                " Is the server running on that host and accepting TCP/IP connections?"
            ),
            "could not connect to localhost:1: Connection refused",
        ),
        (
            (
                'connection is bad: connection to server on socket "/run/.s.PGSQL.5432" failed: No such file or directory'
                " Is the server running locally and accepting connections on that socket?"
            ),
            "could not connect to /run/.s.PGSQL.5432: No such file or directory",
        ),
        (
            'connection to server at "::1", port 1 failed: fe_sendauth: no password supplied',
            "could not connect to [::1]:1: no password supplied",
        ),
        (
            "failed to resolve host 'nowhere': [Errno -2] Name or service not known",
            "could not connect: failed to resolve host 'nowhere': Name or service not known",
        ),
    ],
)
def test_a_failed_connection_is_told_once(message: str, said: str) -> None:
    assert failure(message) == said
    both = f"{message} Multiple connection attempts failed: {message}"
    assert failure(both).count("failed") >= 2, "of several hosts, all is told"


def test_what_libpq_supposes_of_a_lost_connection_is_left_out() -> None:
    text = (
        'connection failed: connection to server at "10.0.0.1", port 5432 failed: server closed the connection unexpectedly\n'
        "\tThis probably means the server terminated abnormally\n\tbefore or while processing the request."
    )
    lost = "could not connect to 10.0.0.1:5432: server closed the connection unexpectedly"
    assert failure(text) == failure(" ".join(text.split())) == lost
