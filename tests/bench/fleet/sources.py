"""An inventory of sources of every kind: a file, a program, standard input and an HTTP server name parts of one fleet."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from tests.fleet.patroni import PatroniCluster

NAMESPACE = "prod"
PATRONI = "by-patroni"
_ANY = "user=postgres sslmode=disable"


@dataclass(slots=True)
class Sources:
    """What commands are given: words, what they find at standard input, and variables; ``names`` are those of the members, ``files`` further sources."""

    folder: Path
    names: list[str] = field(default_factory=list)
    includes: list[dict[str, str]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)

    @property
    def words(self) -> tuple[str, ...]:
        """The options that name the inventory."""
        given = (self.folder / "fleet.toml", "-", *self.files)
        return tuple(word for each in given for word in ("--inventory", str(each)))

    @property
    def stdin(self) -> Path:
        """The file that commands find at standard input."""
        return self.folder / "given.json"


Part = Callable[[Sources, Mapping[str, str]], None]


def every_kind(
    folder: Path,
    servers: Mapping[str, str],
    replicas: Mapping[str, str],
    patroni: PatroniCluster | None,
) -> Sources:
    """Deal the servers out to sources of all kinds; ``replicas`` are conninfos of standbys, by the server that they follow."""
    folder.mkdir()
    found = Sources(folder)
    secrets = [_secret(dsn) for dsn in (*servers.values(), *replicas.values())]
    if patroni:
        secrets += [f"*:{node.port}:*:postgres:{patroni.password}" for node in patroni.nodes]
        found.includes.append(
            {
                "source": "patroni:" + ",".join(node.url for node in patroni.nodes),
                "target": _without_secret(folder),
                "name": PATRONI,
            }
        )
        found.names.append(PATRONI)
    _pgpass(folder).touch(mode=0o600)
    _pgpass(folder).write_text("\n".join(secrets) + "\n")
    _rds(found, {name: dsn for name, dsn in servers.items() if name in replicas}, replicas)
    others = [name for name in servers if name not in replicas]
    parts: Sequence[Part] = (_own, _services, _program, _standard_input, _pgwatch, _cnpg, _file_sd)
    for i, part in enumerate(parts):
        part(found, {name: servers[name] for name in others[i :: len(parts)]})
    tables = (
        ", ".join(f"{key} = {json.dumps(text)}" for key, text in each.items())
        for each in found.includes
    )
    lines = "".join(f"  {{{table}}},\n" for table in tables)
    (folder / "fleet.toml").write_text(f"include = [\n{lines}]\n")
    return found


def _pgpass(folder: Path) -> Path:
    return folder / "pgpass"


def _secret(dsn: str) -> str:
    parts = conninfo_to_dict(dsn)
    return f"*:{parts['port']}:*:{parts['user']}:{parts['password']}"


def _without_secret(folder: Path) -> str:
    return f"{_ANY} passfile={_pgpass(folder)}"


def _place(dsn: str) -> tuple[str, int]:
    parts = conninfo_to_dict(dsn)
    return str(parts["host"]), int(str(parts["port"]))


def _bare(folder: Path, dsn: str) -> str:
    host, port = _place(dsn)
    return f"host={host} port={port} dbname={conninfo_to_dict(dsn)['dbname']} {_without_secret(folder)}"


def _include(found: Sources, name: str, text: str, target: str = "", kind: str = "") -> Path:
    file = found.folder / name
    file.write_text(text)
    found.includes.append({"source": f"{kind}{file}"} | ({"target": target} if target else {}))
    return file


def _tables(found: Sources, part: Mapping[str, str]) -> list[dict[str, str]]:
    found.names += part
    return [{"name": name, "target": _bare(found.folder, dsn)} for name, dsn in part.items()]


def _own(found: Sources, part: Mapping[str, str]) -> None:
    tables = _tables(found, part)
    text = "\n".join(
        f'[[clusters]]\nname = "{t["name"]}"\ntarget = "{t["target"]}"' for t in tables
    )
    _include(found, "own.toml", text)


def _services(found: Sources, part: Mapping[str, str]) -> None:
    lines = []
    for table in _tables(found, part):
        lines += [f"[{table['name']}]", *table["target"].split()]
    _include(found, "pg_service.conf", "\n".join(lines) + "\n")


def _program(found: Sources, part: Mapping[str, str]) -> None:
    document = json.dumps({"clusters": _tables(found, part)})
    file = _include(found, "clusters.sh", f"#!/bin/sh\necho '{document}'\n", kind="exec:")
    file.chmod(0o755)


def _standard_input(found: Sources, part: Mapping[str, str]) -> None:
    found.stdin.write_text("\n".join(json.dumps(table) for table in _tables(found, part)) + "\n")


def _pgwatch(found: Sources, part: Mapping[str, str]) -> None:
    found.names += part
    listed = []
    for name, dsn in part.items():
        variable = f"SECRET_OF_{name.upper().replace('-', '_')}"
        found.environment[variable] = str(conninfo_to_dict(dsn)["password"])
        host, port = _place(dsn)
        place = f"{host}:{port}/{conninfo_to_dict(dsn)['dbname']}"
        conn_str = f"postgresql://postgres:${variable}@{place}?sslmode=disable"
        listed.append({"name": name, "kind": "postgres", "conn_str": conn_str, "group": "shops"})
    _include(found, "sources.yaml", json.dumps(listed), kind="pgwatch:")


def _rds(found: Sources, part: Mapping[str, str], replicas: Mapping[str, str]) -> None:
    found.names += part
    instances: list[dict[str, Any]] = []
    for name, dsn in part.items():
        instances.append(_instance(name, dsn))
        source = {"ReadReplicaSourceDBInstanceIdentifier": name}
        instances.append(_instance(f"{name}-replica", replicas[name]) | source)
    document = json.dumps({"DBInstances": instances})
    _include(found, "rds.json", document, _without_secret(found.folder), "rds:")


def _instance(name: str, dsn: str) -> dict[str, Any]:
    host, port = _place(dsn)
    return {
        "DBInstanceIdentifier": name,
        "Engine": "postgres",
        "DBInstanceStatus": "available",
        "DBName": conninfo_to_dict(dsn)["dbname"],
        "Endpoint": {"Address": host, "Port": port},
    }


def _cnpg(found: Sources, part: Mapping[str, str]) -> None:
    """A list for each: what the names of services lead to is told by its include."""
    for name, dsn in part.items():
        found.names.append(f"{NAMESPACE}/{name}")
        item = {
            "apiVersion": "postgresql.cnpg.io/v1",
            "kind": "Cluster",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "instances": 1,
                "bootstrap": {"initdb": {"database": conninfo_to_dict(dsn)["dbname"]}},
            },
            "status": {"currentPrimary": f"{name}-1"},
        }
        host, port = _place(dsn)
        target = f"hostaddr={host} port={port} {_without_secret(found.folder)}"
        document = json.dumps({"kind": "List", "items": [item]})
        _include(found, f"cnpg-{name}.json", document, target, "cnpg:")


def _file_sd(found: Sources, part: Mapping[str, str]) -> None:
    targets = [":".join(map(str, _place(dsn))) for dsn in part.values()]
    found.names += targets
    document = json.dumps([{"targets": targets, "labels": {"env": "prod"}}])
    _include(found, "targets.json", document, _without_secret(found.folder), "file_sd:")
