"""What users of other monitoring tools reported about many clusters, on real servers."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from psycopg.conninfo import conninfo_to_dict

from pgwatch_wed.cli import cli
from pgwatch_wed.embedded import server as embedded
from tests.fleet import ground as grounds
from tests.fleet.ground import Ground
from tests.fleet.networks import Network
from tests.psql import psql

SECRET = "sEcReT"
PASSWORD = "a%b:c@/{d'\"e\\\\ f%40"
"""What a vault may generate: postgres_exporter#664 and #1064, query-exporter#196."""


def asked(folder: Path, *words: str) -> Result:
    """Run a command of ``fleet`` on ``fleet.toml`` in a folder, once and without patience."""
    given = ["--inventory", str(folder / "fleet.toml")]
    if words[0] == "run":
        given += [
            "--history",
            str(folder / "h.sqlite3"),
            "-o",
            str(folder / "out"),
            "--no-progress",
        ]
        given += ["--attempts", "1"]
    if words[0] != "list":
        given += ["--connect-timeout", "2"]
    result = CliRunner().invoke(cli, ["fleet", words[0], *given, *words[1:]])
    assert result.exit_code == 0, result.output
    return result


def inventory(folder: Path, **targets: str) -> None:
    clusters = (
        f"[[clusters]]\nname = {json.dumps(name)}\ntarget = {target}\n"
        for name, target in targets.items()
    )
    (folder / "fleet.toml").write_text("\n".join(clusters), encoding="utf-8")


def quoted(target: str, databases: str = "") -> str:
    """Return a target for TOML, with the databases that are read."""
    return json.dumps(target) + (f"\ndatabases = {databases}" if databases else "")


@pytest.fixture(scope="module")
def many(ground: Ground) -> Iterator[embedded.EmbeddedServer]:
    """A server with databases of which a role may not enter each."""
    server = ground.tenants(2)
    literal = PASSWORD.replace("'", "''")
    psql(
        server.dsn(),
        f"create role looker login password '{literal}'; grant pg_monitor to looker;"
        "create database nobody allow_connections false; create database private;"
        'create database rdsadmin; create database "sales\'s db";'
        "revoke connect on database private, rdsadmin from public;",
    )
    yield server
    psql(
        server.dsn(),
        'drop database nobody; drop database private; drop database rdsadmin; drop database "sales\'s db";'
        "drop owned by looker; drop role looker",
    )


def place(server: embedded.EmbeddedServer) -> str:
    parts = conninfo_to_dict(server.dsn("x", tcp=True))
    return f"{parts['host']}:{parts['port']}"


def test_a_password_may_have_any_characters_and_what_cannot_be_entered_is_told(
    many: embedded.EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pgwatch2#687: some databases of a server were missing, and nothing said why.

    postgres_exporter#297, #367: templates and those that allow no connections are no error, the database that the target
    names is not left out. temboard#1238: all but one.
    """
    monkeypatch.setenv("PW", PASSWORD)
    host, port = place(many).split(":")
    inventory(
        tmp_path,
        uri=quoted(
            f"postgresql://looker:${{PW}}@{host}:{port}/tenant_000", '{leave = ["tenant_001"]}'
        ),
    )
    (told,) = json.loads(asked(tmp_path, "check", "--format", "json").stdout)["clusters"]
    assert told["databases"] == ["tenant_000", "postgres", "sales's db"]
    (lacks,) = told["lacks"]
    assert lacks.startswith(
        "private: looker may not connect to it: GRANT CONNECT ON DATABASE private"
    )
    done = asked(tmp_path, "run")
    assert "1 done in part" in done.stderr
    assert "private: looker may not connect to it" in done.stderr
    everything = done.output + "".join(
        f.read_text(errors="replace") for f in (tmp_path / "out").iterdir() if f.is_file()
    )
    assert PASSWORD not in everything
    assert PASSWORD.encode() not in (tmp_path / "h.sqlite3").read_bytes()
    inventory(
        tmp_path,
        words=quoted(
            f"host={host} port={port} user=looker password=${{PW}} dbname=tenant_000",
            '{take = ["*"], leave = ["private"]}',
        ),
    )
    (told,) = json.loads(asked(tmp_path, "check", "--format", "json").stdout)["clusters"]
    assert told["databases"] == ["tenant_000", "postgres", "sales's db", "tenant_001"]
    assert told["lacks"] == []


def test_two_connection_strings_in_one_are_a_line_without_their_passwords(tmp_path: Path) -> None:
    """postgres_exporter#273: both were taken for one, and printed with the passwords."""
    uri = f"postgresql://login:{SECRET}@localhost:5432"
    inventory(
        tmp_path,
        two=quoted(f"{uri}/bills?sslmode=disable,{uri}/customers?sslmode=disable"),
        percent=quoted(f"postgresql://pgadmin:ah!%s{SECRET}@localhost/shop"),
        other=quoted("host=localhost dbname=shop"),
    )
    listed = asked(tmp_path, "list")
    assert "1 cluster, 2 left out" in listed.stdout
    assert {line.split(":")[3] for line in listed.stderr.splitlines()} == {" 'two'", " 'percent'"}
    assert SECRET not in listed.output


def test_hosts_of_a_connection_string_are_one_cluster_whose_primary_is_read(
    ground: Ground, net: Network, tmp_path: Path
) -> None:
    """check_postgres#102: only the first of several hosts was asked. pgwatch2#647: target_session_attrs."""
    primary, standby = (
        conninfo_to_dict(net.through(s.dsn("shop", tcp=True)))
        for s in (ground.primary(), ground.standby())
    )
    both = " ".join(f"{k}={v}" for k, v in primary.items() if k not in ("host", "port"))
    both += f" host={standby['host']},{primary['host']} port={standby['port']},{primary['port']}"
    socket = ground.primary().dsn("shop")
    inventory(
        tmp_path,
        writes=quoted(f"{both} target_session_attrs=read-write"),
        any=quoted(both),
        socket=quoted(socket),
    )
    told = json.loads(asked(tmp_path, "check", "--format", "json").stdout)
    (cluster,) = told["clusters"]
    assert not cluster["is_in_recovery"]
    assert len(cluster["standbys"]) == 1
    assert len(told["same"]) == 2
    assert told["not_reached"] == []


def test_a_source_that_is_not_resolved_costs_only_itself(ground: Ground, tmp_path: Path) -> None:
    """pgwatch#1377: with one source out of reach, nothing was collected of any other."""
    (tmp_path / "sources.yaml").write_text(
        "- {name: gone, conn_str: postgresql://pgwatch@db-prod-instance-01.invalid/defaultdb}\n"
        f"- {{name: shop, kind: postgres-continuous-discovery, conn_str: '{ground.primary().dsn('shop')}'}}\n"
    )
    (tmp_path / "fleet.toml").write_text('include = "sources.yaml"\n')
    done = asked(tmp_path, "run")
    assert "1 done, 1 unreachable" in done.stderr
    assert "gone: check the host name" in done.stdout


def test_a_damaged_database_costs_only_itself(tmp_path: Path) -> None:
    """temboard#1194: one database cannot be entered, as its file of mappings is damaged."""
    with grounds.small() as server:
        psql(server.dsn(), "create database broken; create database good")
        oid = psql(server.dsn(), "\\t on\nselect oid from pg_database where datname = 'broken'")
        server.halt()
        (server.data / "base" / oid.strip() / "pg_filenode.map").write_bytes(b"x" * 512)
        server.boot()
        inventory(tmp_path, server=quoted(server.dsn("good"), '["*"]'))
        done = asked(tmp_path, "run")
    assert "1 done in part" in done.stderr
    assert "broken: database broken could not be read" in done.stdout
    assert "pg_filenode.map" in done.stdout
