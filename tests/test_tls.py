"""Over TLS: our own sessions, and the programs of PostgreSQL that we start, are encrypted alike."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.errors import CollectError
from pgwatch_wed.gather.run import gather
from pgwatch_wed.gather.wanted import Wanted
from pgwatch_wed.target import programs
from pgwatch_wed.whatif import engines
from pgwatch_wed.whatif.lab.dump import dumped
from tests import tls
from tests.psql import psql
from tests.test_cli import db_analyze, document
from tests.tls import TlsServer

SHOP = """
create table orders (id int primary key, customer int, note text);
insert into orders select g, g % 5000, repeat('x', 60) from generate_series(1, 50000) g;
vacuum analyze orders;
create extension pg_stat_statements
"""
QUERY = "select note from orders where customer = 7"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    with tls.running(tmp_path_factory.mktemp("tls")) as found:
        for dbname in ("postgres", "offers"):
            with psycopg.connect(found.dsn(dbname), autocommit=True) as admin:
                for statement in [*SHOP.split(";"), *[QUERY] * 20]:
                    admin.execute(statement.encode())
        yield found


PROGRAMS = embedded.wheel_bindir()
LIBRARY = programs.loaded_libpq()


@pytest.fixture
def no_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """No program that we could start has TLS."""
    monkeypatch.setattr(programs, "loaded_libpq", lambda: None)
    monkeypatch.setenv("PATH", "")


def text(dsn: str) -> str:
    with dumped(dsn) as file:
        return file.read_text()


def all_encrypted(lines: list[str]) -> bool:
    return bool(lines) and all("SSL enabled" in line for line in lines)


def authority(server: TlsServer, name: str = "authority") -> dict[str, str]:
    return {"sslmode": "verify-full", "sslrootcert": str(server.certificates.pem(name))}


# The lab's dump


@pytest.mark.parametrize("sslmode", ["allow", "prefer", "require", "verify-ca", "verify-full"])
def test_the_dump_is_encrypted_where_the_server_demands_it(server: TlsServer, sslmode: str) -> None:
    more = authority(server) if sslmode.startswith("verify") else {}
    server.mark()
    found = text(server.dsn(**{**more, "sslmode": sslmode}))
    assert "CREATE TABLE public.orders" in found
    assert "pg_restore_attribute_stats" in found
    seen = server.authorized(2)
    assert all_encrypted(seen), seen
    assert [line for line in seen if "pg_dump" in line], seen


def test_the_dump_is_encrypted_where_our_session_is_by_preference(server: TlsServer) -> None:
    """Nothing but us demands it there: a pg_dump without TLS would be let in."""
    server.mark()
    assert "CREATE TABLE public.orders" in text(server.dsn("offers"))
    seen = server.authorized(2)
    assert all_encrypted(seen), seen
    assert [line for line in seen if "pg_dump" in line], seen


def test_who_says_disable_is_taken_at_his_word(server: TlsServer) -> None:
    server.mark()
    assert "CREATE TABLE public.orders" in text(server.dsn("offers", sslmode="disable"))
    assert not [line for line in server.authorized(2) if "SSL enabled" in line]


@pytest.mark.parametrize("sslmode", ["prefer", "allow"])
def test_a_server_without_tls_gives_a_lab_nevertheless(sslmode: str) -> None:
    with embedded.start(tcp=True) as plain:
        psql(plain.dsn(), "create table orders (id int)")
        assert "CREATE TABLE public.orders" in text(f"{plain.dsn(tcp=True)} sslmode={sslmode}")


@pytest.mark.parametrize("sslmode", ["require", "verify-full"])
def test_a_unix_socket_needs_no_tls_whatever_is_demanded(db: str, sslmode: str) -> None:
    """So it is to libpq; one without TLS does not even know these words."""
    psql(db, "create table orders (id int)")
    assert "CREATE TABLE public.orders" in text(f"{db} sslmode={sslmode}")


def test_the_name_is_verified_though_the_address_is_fixed(server: TlsServer) -> None:
    at = {"hostaddr": "127.0.0.1", **authority(server)}
    assert "CREATE TABLE" in text(server.dsn(host="db.test", **at))
    with pytest.raises(CollectError, match=r"does not match host name"):
        programs_ask(server.dsn(host="db.test", **at), {"host": "other.test"})


def test_the_dump_goes_to_the_one_of_several_hosts_that_answered(server: TlsServer) -> None:
    both = {"host": "127.0.0.1,localhost", "port": f"1,{server.port}"}
    assert "CREATE TABLE" in text(server.dsn(**both, **authority(server)))
    with psycopg.connect(server.dsn(**both, sslmode="require")) as connection:
        found = programs.parameters(connection)
    assert (found["host"], found["port"], found["sslmode"]) == ("localhost", server.port, "require")


@pytest.mark.parametrize("key", ["client", "locked"])
def test_a_client_certificate_comes_along(server: TlsServer, key: str) -> None:
    own = server.certificates
    more = {"sslcert": str(own.pem("client")), "sslkey": str(own.key(key))}
    secret = {"sslpassword": tls.PASSPHRASE} if key == "locked" else {}
    server.mark()
    assert "CREATE TABLE" in text(
        server.dsn(user="certified", **more, **secret, **authority(server))
    )
    assert all_encrypted(server.authorized(2))


def test_channel_binding_comes_along(server: TlsServer) -> None:
    dsn = server.dsn("offers", channel_binding="require")
    assert "CREATE TABLE" in text(dsn)
    with psycopg.connect(dsn) as connection:
        assert programs.parameters(connection)["channel_binding"] == "require"


def test_what_libpq_reads_elsewhere_comes_along(
    server: TlsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service file, the password file, the environment: whatever counts for our session."""
    services, passwords = tmp_path / "services", tmp_path / "passwords"
    services.write_text(f"[shop]\nhost=localhost\nport={server.port}\nsslmode=verify-full\n")
    passwords.write_text(f"localhost:*:*:*:{server.server.password}\n")
    passwords.chmod(0o600)
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    monkeypatch.setenv("PGSSLROOTCERT", str(server.certificates.pem("authority")))
    monkeypatch.setenv("PGUSER", "postgres")
    server.mark()
    assert "CREATE TABLE" in text("service=shop dbname=offers")
    assert all_encrypted(server.authorized(2))
    monkeypatch.setenv("PGSSLROOTCERT", str(server.certificates.pem("stranger")))
    with pytest.raises(Exception, match="certificate verify failed"):
        text("service=shop dbname=offers")


# Which program


@pytest.mark.usefixtures("no_tls")
@pytest.mark.parametrize("dbname", ["postgres", "offers"])
def test_without_a_program_that_has_tls_there_is_a_reason_and_no_unencrypted_line(
    server: TlsServer, dbname: str
) -> None:
    server.mark()
    with pytest.raises(
        CollectError, match="encrypted with TLS, and no pg_dump on this machine"
    ) as caught:
        text(server.dsn(dbname))
    assert "psycopg[binary]" in caught.value.hint
    assert all_encrypted(server.authorized())
    assert not [line for line in server.authorized() if "pg_dump" in line]


@pytest.mark.usefixtures("no_tls")
def test_a_run_without_a_lab_says_why(server: TlsServer) -> None:
    (snapshot,) = gather(server.dsn(), Wanted(), lambda _what, _share: None)
    assert "no pg_dump on this machine" in snapshot.missing["missing_indexes"].reason
    assert "psycopg[binary]" in str(snapshot.missing["missing_indexes"].mend)
    assert [p for p in snapshot.statement_plans if not p.refused], "the server itself plans"


@pytest.mark.usefixtures("no_tls")
def test_a_program_that_is_wrongly_believed_refuses_by_itself(
    server: TlsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "_is_able", lambda *_: True)
    server.mark()
    with pytest.raises(CollectError, match="SSL support is not compiled in"):
        text(server.dsn("offers"))
    assert all_encrypted(server.authorized())


@pytest.mark.usefixtures("no_tls")
def test_a_program_on_path_is_taken_if_it_has_tls(
    server: TlsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = PROGRAMS / "pg_dump"
    for folder, loading in (("without", ""), ("with", f"LD_PRELOAD='{LIBRARY}' ")):
        script = tmp_path / folder / "pg_dump"
        script.parent.mkdir()
        script.write_text(f'#!/bin/sh\n{loading}exec "{wheel}" "$@"\n')
        script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "without"))
    with pytest.raises(CollectError, match="no pg_dump on this machine"):
        text(server.dsn())
    monkeypatch.setenv("PATH", str(tmp_path / "with"))
    assert "CREATE TABLE" in text(server.dsn())


def test_a_library_is_loaded_from_a_folder_with_a_blank_in_its_name(
    server: TlsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LIBRARY is not None
    shutil.copytree(LIBRARY.parent, tmp_path / "my programs: $HOME")
    moved = tmp_path / "my programs: $HOME" / LIBRARY.name
    monkeypatch.setattr(programs, "loaded_libpq", lambda: moved)
    monkeypatch.setenv("PATH", "")
    assert "CREATE TABLE" in text(server.dsn())


def test_a_libpq_that_is_older_than_the_program_is_not_put_in_its_place(
    server: TlsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psycopg.pq.version", lambda: 170_009)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CollectError, match="no pg_dump on this machine"):
        text(server.dsn())


def test_macos_is_told_of_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """There both files have the same name; the linker looks for that in this folder first."""
    library = tmp_path / "libpq.5.dylib"
    monkeypatch.setattr("sys.platform", "darwin")
    choice = programs._Choice(PROGRAMS / "pg_dump", library)
    assert programs._libraries(choice, 18, tmp_path) == {"DYLD_LIBRARY_PATH": str(tmp_path)}


@pytest.mark.parametrize("name", ["psql", "pgbench", "pg_dump"])
def test_every_program_is_encrypted(server: TlsServer, name: str) -> None:
    commands = {
        "psql": ["-X", "-c", "select 1"],
        "pgbench": ["-n", "-t", "1", "-f", "/dev/stdin"],
        "pg_dump": ["--schema-only"],
    }
    with (
        psycopg.connect(server.dsn("offers")) as connection,
        programs.client(
            PROGRAMS / name, connection, application_name=f"pgwatch_wed {name}"
        ) as program,
    ):
        server.mark()
        command = [str(program.path), *commands[name], program.conninfo]
        subprocess.run(
            command, env=program.environment, input=b"select 1;", check=True, capture_output=True
        )
    seen = server.authorized()
    assert all_encrypted(seen), seen


# Whole commands


def test_a_run_over_tls_gives_advice_from_the_lab(server: TlsServer, tmp_path: Path) -> None:
    root = str(server.certificates.pem("authority"))
    dsn = f"postgresql://postgres@localhost:{server.port}/postgres?sslmode=verify-full"
    server.mark()
    done = db_analyze(
        "run", dsn, "-o", str(tmp_path), PGPASSWORD=server.server.password, PGSSLROOTCERT=root
    )
    assert done.returncode == 0, done.stderr
    assert all_encrypted(server.authorized(3))
    findings = json.loads(document(tmp_path, "json"))["findings"]
    missing = [f for f in findings if f["rule"] == "index-missing"]
    assert [f["object"]["table"] for f in missing] == ["orders"]


def test_indexes_over_tls_gives_advice_from_the_lab(server: TlsServer) -> None:
    dsn = server.dsn(**authority(server))
    done = db_analyze("indexes", dsn, "--engine", "lab", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert [i for i in json.loads(done.stdout)["indexes"] if "(customer)" in i]


@pytest.mark.parametrize("command", ["run", "indexes", "collect", "check"])
def test_a_certificate_of_somebody_else_ends_in_one_line(
    server: TlsServer, tmp_path: Path, command: str
) -> None:
    dsn = server.dsn(**authority(server, "stranger"))
    done = db_analyze(command, dsn, *(["-o", "x"] if command == "collect" else []), cwd=tmp_path)
    assert done.returncode == 3
    message, hint = done.stderr.strip().splitlines()
    assert "certificate verify failed" in message
    assert "sslrootcert" in hint


@pytest.mark.usefixtures("no_tls")
def test_without_tls_hypopg_is_asked_and_its_absence_does_not_hide_the_reason(
    server: TlsServer,
) -> None:
    with pytest.raises(CollectError, match="no pg_dump on this machine"):
        engines.advise_target(server.dsn())


def programs_ask(dsn: str, changes: dict[str, str]) -> None:
    """Start pg_dump as if our session had connected otherwise; raise what it says."""
    with (
        psycopg.connect(dsn) as connection,
        programs.client(
            PROGRAMS / "pg_dump", connection, application_name="pgwatch_wed"
        ) as program,
    ):
        place = programs.conninfo_of({**programs.parameters(connection), **changes})
        done = subprocess.run(
            [program.path, "--schema-only", "-d", place],
            env=program.environment,
            capture_output=True,
            text=True,
        )
    if done.returncode:
        raise CollectError(done.stderr)
