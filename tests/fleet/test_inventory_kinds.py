"""Sources of other programs, many of them as public issues show them: what they give, and what they leave out."""

import http.server
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from psycopg import conninfo as libpq

from pgwatch_wed import clock
from pgwatch_wed.fleet import inventory, listed
from pgwatch_wed.fleet.inventory.kept_lists import default_folder
from pgwatch_wed.fleet.inventory.listing import Located, SourceFailureError
from pgwatch_wed.fleet.inventory.source_documents import listing_of
from pgwatch_wed.fleet.members import DatabaseChoice, Inventory
from tests.fleet.test_inventory import SECRET, bare, shown, written, wrong

assert bare  # a fixture that applies to all tests here, too


def places(found: Inventory) -> dict[str, list[str]]:
    """Return host, port and database of each member's targets."""
    return {m["name"]: m["servers"] for m in listed.document(found)["clusters"]}


def why_left_out(found: Inventory) -> list[tuple[str, str]]:
    return [(e.name, e.reason) for e in found.left_out if not e.is_wrong]


def program(body: str, name: str = "inventory.sh") -> str:
    Path(written(name, f"#!/bin/sh\n{body}\n")).chmod(0o755)
    return name


def of_json(document: Any, kind: str = "") -> Inventory:
    written("given.json", json.dumps(document))
    return inventory.read([f"{kind}given.json"])


# --- programs -----------------------------------------------------------------------------------------


def test_a_program_gives_the_same_as_json() -> None:
    program("""echo '{"clusters": [{"name": "a", "target": "host=x", "group": "g"}]}'""")
    (member,) = inventory.read(["inventory.sh"]).members
    assert (member.name, member.group, member.targets) == ("a", "g", ("host=x",))
    program("""printf '%s' "$1" """)
    command = """exec:./inventory.sh '[{"name": "b", "target": "host=x"}]'"""
    (member,) = inventory.read([command]).members
    assert member.place == "exec:./inventory.sh …, entry 1"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("echo oops >&2; exit 3", "it exits with status 3: oops"),
        (f"echo 'password {SECRET}' >&2; exit 1", "what it says is not shown"),
        ("echo '[{]'", "no JSON: Expecting property name enclosed in double quotes (line 1, column 3)"),
        ("echo '---'; echo '- name: x'", "no JSON: Expecting value (line 1, column 1)"),  # ansible#69705
        (":", "it gives nothing, not even an empty list"),
        ("kill -9 $$", "it exits with signal SIGKILL"),
        ("echo 42", "it is JSON, but neither a list nor an object"),
        ("""echo '{"_meta": {"hostvars": {}}}'""", "it is an inventory of Ansible's"),
        ("""echo '[{"color": 1}]'""", "what it lists is not recognized; name its kind"),
        ("printf '\\377'", "no JSON: Expecting value (line 1, column 1)"),
    ],
)  # fmt: skip
def test_a_program_that_fails_is_one_line_and_costs_only_itself(body: str, why: str) -> None:
    program(body)
    written("fleet.toml", '[[clusters]]\nname="a"\ntarget="host=x"\n')
    found = inventory.read(["inventory.sh", "fleet.toml"])
    assert [m.name for m in found.members] == ["a"]
    (line,) = wrong(found)
    assert line.startswith("inventory.sh: ")
    assert why in line
    assert SECRET not in line


def test_programs_that_never_end_are_ended_with_all_that_they_started() -> None:
    program("sleep 300 & echo $! >child; sleep 300", "slow.sh")
    program("yes", "endless.sh")
    found = inventory.read(["slow.sh", "endless.sh"], timeout_s=2)
    assert "slow.sh: it did not end within 2 s" in wrong(found)
    assert len(wrong(found)) == 2
    child = int(Path("child").read_text())
    deadline = time.monotonic() + 60  # a busy machine takes its time
    while _lives(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _lives(process: int) -> bool:
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_what_a_program_leaves_running_does_not_hold_up_its_list() -> None:
    program("""echo '[{"name": "a", "target": "host=x"}]'; sleep 300 &""")
    assert [m.name for m in inventory.read(["inventory.sh"]).members] == ["a"]


def test_a_program_that_is_not_executable_is_not_read_as_data() -> (
    None
):  # ansible#17589, ansible#36502
    written("inventory", "#!/usr/bin/env python3\n---\naccess_key: x\n")
    assert wrong(inventory.read(["inventory"])) == [
        "inventory: it looks like a program, but is not executable; chmod +x it"
    ]


def test_data_that_is_marked_executable_is_not_run() -> None:  # ansible-ltc-mining-on-ec2#2
    Path(written("fleet.toml", '[[clusters]]\nname="a"\ntarget="host=x"\n')).chmod(0o755)
    assert len(inventory.read(["fleet.toml"]).members) == 1


def test_lines_of_json_cost_only_themselves() -> None:
    written(
        "given.json",
        '{"name": "a", "target": "host=a"}\n{"name": \n{"name": "b", "target": "host=b"}\n',
    )
    found = inventory.read(["given.json"])
    assert [(m.name, m.place) for m in found.members] == [
        ("a", "given.json:1"),
        ("b", "given.json:3"),
    ]
    assert wrong(found) == ["given.json:2: not JSON: Expecting value (column 10)"]


def test_entries_that_are_no_clusters_cost_only_themselves() -> None:
    found = of_json(
        {
            "clusters": [
                {"name": "a", "target": "host=a"},
                7,
                {"name": "b"},
                {"name": "\ud800", "target": "x"},
            ]
        }
    )
    assert len(found.members) == 1
    assert [line.split(": ")[0] for line in wrong(found)] == [
        f"given.json, entry {n}" for n in (2, 3, 4)
    ]


def test_json_of_powershell_is_read() -> None:
    Path("given.json").write_bytes('[{"name": "ä", "target": "host=x"}]'.encode("utf-16"))
    assert [m.name for m in inventory.read(["given.json"]).members] == ["ä"]


def test_what_was_fetched_cannot_name_programs_to_run() -> None:
    found = of_json({"include": "exec:touch ran", "clusters": [{"name": "a", "target": "host=a"}]})
    assert [m.name for m in found.members] == ["a"]
    assert wrong(found) == ["given.json: include is only for TOML"]
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("fleet.toml", '[[clusters]]\nname="{0}"\ntarget="host=x"\n'),
        ("fleet.yaml", "- name: {0}\n  conn_str: host=x\n"),
        ("fleet.json", '{{"name": "{0}", "target": "host=x"}}\n'),
        ("pg_service.conf", "[{0}]\nhost=x\n"),
    ],
)
def test_a_name_in_another_encoding_costs_only_its_entry(name: str, text: str) -> None:
    parts = [
        text.format(each) for each in ("ä/1", "caf\N{LATIN SMALL LETTER E WITH ACUTE}", "c'\u2028")
    ]
    first, second, third = (part.encode() for part in parts)
    Path(name).write_bytes(first + second.decode().encode("latin-1") + third)
    found = inventory.read([name])
    assert len(found.members) == 2
    (line,) = wrong(found)
    assert "not UTF-8" in line
    line.encode()


def test_passwords_in_odd_places_are_nowhere_shown_or_kept() -> None:
    written(
        "fleet.toml",
        f"""
[[clusters]]
name = "a"
target = "dbname=postgresql://u:{SECRET}@h/x"
[[clusters]]
name = "b"
target = "host=b"
tags = {{db_password = "{SECRET}"}}
[[clusters]]
name = "c"
target = "postgresql://u@c/x?password={SECRET}&sslpassword={SECRET}"
""",
    )
    found = inventory.read(
        [
            "fleet.toml",
            f"patroni:http://u:{SECRET}@127.0.0.1:1",
            f"patroni:http://127.0.0.1:1/?token={SECRET},http://127.0.0.1:1",
            f"exec:false --password {SECRET}",
        ]
    )
    assert [m.name for m in found.members] == ["b", "c"]
    assert SECRET not in json.dumps(listed.document(found)) + listed.text(found) + everything_kept()


# --- Patroni --------------------------------------------------------------------------------------------

# patroni#2713: two of three members have lost their addresses
PATRONI = {
    "members": [
        {"state": "running", "role": "replica", "host": "10.0.0.2", "port": 5432, "name": "patroni1",
         "api_url": "http://192.168.1.1:8008/patroni", "timeline": 15, "lag": 230193504},
        {"role": "leader", "timeline": 19, "state": "running", "host": "10.0.0.1", "port": 5433,
         "api_url": "http://:8008/patroni", "name": "patroni2"},
        {"api_url": "http://:8008/patroni", "state": "running", "role": "replica", "name": "patroni3"},
        {"state": "start failed", "role": "replica", "host": "10.0.0.4", "port": 5432, "name": "patroni4"},
    ]
}  # fmt: skip


@pytest.fixture
def serve() -> Iterator[Callable[[dict[str, Any]], str]]:
    """Return a function that serves what paths answer over HTTP."""
    servers = []

    def start(answers: dict[str, Any]) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = answers.get(self.path, (404, {}))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_any_member_of_patroni_names_the_cluster(serve: Callable[[dict[str, Any]], str]) -> None:
    # before 3.1 the scope stands elsewhere, where a member that does not run answers 503
    url = serve({"/cluster": (200, PATRONI), "/patroni": (503, {"patroni": {"scope": "batman"}})})
    found = inventory.read([f"patroni:http://127.0.0.1:1,{url}"])
    assert places(found) == {"batman": ["10.0.0.1:5433/postgres", "10.0.0.2:5432/postgres"]}
    assert why_left_out(found) == [
        ("patroni3", "Patroni does not know its address"),
        ("patroni4", "Patroni says that it is in the state 'start failed'"),
    ]
    assert wrong(found) == []


def test_roles_that_move_are_found_at_the_next_run(serve: Callable[[dict[str, Any]], str]) -> None:
    before = {"scope": "s", "members": [
        {"name": "a", "role": "leader", "state": "running", "host": "a", "port": 5432},
        {"name": "b", "role": "replica", "state": "streaming", "host": "b", "port": 5432}]}  # fmt: skip
    after = json.loads(
        json.dumps(before).replace('"leader"', '"x"').replace('"replica"', '"leader"')
    )
    answers = {"/cluster": (200, before)}
    url = serve(answers)
    assert places(inventory.read([url]))["s"][0] == "a:5432/postgres"
    answers["/cluster"] = (200, after)
    assert places(inventory.read([url]))["s"][0] == "b:5432/postgres"


def test_a_patroni_that_does_not_answer_holds_up_nothing(
    serve: Callable[[dict[str, Any]], str],
) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        broken = serve({"/cluster": (502, {})})
        found = inventory.read([url, broken, "http://127.0.0.1:1", "patroni:ftp://x"], timeout_s=1)
    assert [line.partition(": ")[2] for line in wrong(found)] == [
        "no answer within 1 s",
        "/cluster answers with status 502 and no cluster",
        "Connection refused",
        "it is no URL such as http://db1:8008",
    ]


# --- pgwatch --------------------------------------------------------------------------------------------

PGWATCH = f"""
- name: shop            # pgwatch#1369
  kind: postgres
  conn_str: postgresql://$PW_USER:${{PW_PASSWORD}}@db1/shop?sslmode=$PW_MODE
  custom_metrics:       # pgwatch#905
    - active_connections
  preset_metrics: &preset basic
  custom_tags: {{env: prod, tier: 1}}
  group: $PW_GROUP      # pgwatch#1232
- name: all
  conn_str: $PW_DSN
  kind: postgres-continuous-discovery
  include_pattern: ^app_.*$
  exclude_pattern: _old$
  is_enabled: false
- name: no
  kind: pgbouncer
  conn_str: postgresql://db1:6432/pgbouncer
- name: dcs             # pgwatch#859
  kind: patroni
  conn_str: etcd://host:2379/namespace/scope
- name: unset
  conn_str: postgresql://u:$PW_NOT_SET@db3/x
- name: object
  conn_str: !!python/object/apply:os.system ["touch {{}}"]
- {{name: literal, conn_str: "postgresql://u:other-{SECRET}@db4/x"}}
- conn_str: postgresql://db5/x
- name: twice
  conn_str: postgresql://db6/x
  conn_str: postgresql://db7/x
- text
"""


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"USER": "mon", "PASSWORD": SECRET, "MODE": "prefer", "GROUP": "shops",
                        "DSN": f"postgresql://mon:{SECRET}@db2/postgres"}.items():  # fmt: skip
        monkeypatch.setenv(f"PW_{name}", value)


def test_pgwatch_sources_are_members(variables: None) -> None:
    written("sources.yaml", PGWATCH)
    found = inventory.read(["sources.yaml"])
    everything, literal, shop = found.members
    assert libpq.conninfo_to_dict(shop.targets[0]) == {
        "user": "mon", "password": SECRET, "host": "db1", "dbname": "shop", "sslmode": "prefer",
    }  # fmt: skip
    assert (shop.group, dict(shop.tags)) == ("shops", {"env": "prod", "tier": "1"})
    assert everything.databases == DatabaseChoice(("/^app_.*$/",), ("/_old$/",))
    assert everything.databases.chosen(("app_1", "app_old", "x"), "postgres") == ("app_1",)
    assert (everything.is_enabled, literal.place) == (False, "sources.yaml:26")
    assert [name for name, _ in why_left_out(found)] == ["no", "dcs"]
    assert wrong(found) == [
        "sources.yaml:22: 'unset': conn_str: the environment variable PW_NOT_SET is not set",
        "sources.yaml:25: the tag '!!python/object/apply:os.system' would build an object; only plain values are read",
        "sources.yaml:27: the name is empty",
        "sources.yaml:30: the key 'conn_str' is there twice",
        "sources.yaml:31: a source must be a mapping with the keys name and conn_str",
    ]
    shown("--inventory", "sources.yaml", status=2)


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (f"- name: 'x\n  conn_str: {SECRET}\n", "fleet.yaml:3: not valid YAML: found unexpected end of stream"),
        (f"- name: x\n  conn_str: *{SECRET}\n", "fleet.yaml:4: not valid YAML: found undefined alias"),
        ("- &a [*a]\n", "an alias that refers to what it is part of"),
        ("- !!python/name:os.system x\n", "would build an object"),
        ("- ? [a]\n  : b\n", "a key that is no text"),
        (f"- name: x\n\tconn_str: {SECRET}\n", "fleet.yaml:4: not valid YAML: found a tab character"),
        (f"- {'[' * 60}{']' * 60}\n", "nested too deeply"),
    ],
)  # fmt: skip
def test_broken_yaml_costs_only_its_entry(lines: str, why: str) -> None:
    entry = "- name: {0}\n  conn_str: postgresql://{0}/x\n"
    written("fleet.yaml", entry.format("a") + lines + entry.format("b"))
    found = inventory.read(["fleet.yaml"])
    assert "a" in [m.name for m in found.members]
    assert "b" in [m.name for m in found.members] or "end of stream" in why
    assert why in wrong(found)[0]
    assert SECRET not in "".join(wrong(found))


def test_anchors_that_multiply_cost_nothing() -> None:
    lines = ["- &a0 {name: x, conn_str: postgresql://x/x}"]
    lines += [f"- &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40)]
    lines += ["- {name: last, conn_str: 'postgresql://y/y', custom_tags: {bomb: *a39}}"]
    written("fleet.yaml", "\n".join(lines))
    found = inventory.read(["pgwatch:fleet.yaml"])
    assert [m.name for m in found.members] == ["x"]
    assert "the tag 'bomb' must be a text or a number" in wrong(found)[-1]


def test_merge_keys_and_words_of_yaml_are_read_as_go_reads_them() -> None:
    written(
        "s.yml",
        "- &d {name: no, conn_str: 'postgresql://x/x', custom_tags: {n: 012, t: 12:30}}\n- <<: *d\n  name: 'on'\n",
    )
    found = inventory.read(["s.yml"])
    assert [m.name for m in found.members] == ["no", "on"]
    assert dict(found.members[1].tags) == {"n": "012", "t": "12:30"}


# --- Amazon RDS -----------------------------------------------------------------------------------------


def instance(name: str, **more: Any) -> dict[str, Any]:
    return {"DBInstanceIdentifier": name, "Engine": "postgres", "DBInstanceStatus": "available",
            "Endpoint": {"Address": f"{name}.x.rds.amazonaws.com", "Port": 5432, "HostedZoneId": "Z"},
            "MasterUsername": "root", **more}  # fmt: skip


def test_rds_instances_are_members_with_their_replicas() -> None:
    arn = "arn:aws:rds:us-east-1:123456789012:db:elsewhere"
    found = of_json({"DBInstances": [
        instance("shop-r1", ReadReplicaSourceDBInstanceIdentifier="shop"),
        instance("shop", DBName="shop", TagList=[{"Key": "env", "Value": "prod"}]),
        instance("far", ReadReplicaSourceDBInstanceIdentifier=arn, DBInstanceStatus="backing-up"),
        instance("my", Engine="mysql"),
        {k: v for k, v in instance("new", DBInstanceStatus="modifying").items() if k != "Endpoint"},
        instance("off", DBInstanceStatus="stopped"),
        {"Engine": "postgres"},
    ]})  # fmt: skip
    host = "x.rds.amazonaws.com:5432"
    assert places(found) == {
        "far": [f"far.{host}/postgres"],
        "shop": [f"shop.{host}/shop", f"shop-r1.{host}/shop"],
    }
    assert dict(found.members[1].tags) == {"env": "prod"}
    assert why_left_out(found) == [
        ("my", "its engine is mysql"),
        ("off", "its status is stopped"),
        ("new", "it has no endpoint yet"),
    ]
    assert wrong(found) == ["given.json, DBInstances, entry 7: DBInstanceIdentifier is missing"]


def test_rds_instances_may_be_what_a_query_leaves_of_the_answer() -> None:
    listed = [instance("shop", DBName="shop"), instance("my", Engine="mysql")]
    found = of_json(listed)  # --query 'DBInstances[]'
    assert places(found) == {"shop": ["shop.x.rds.amazonaws.com:5432/shop"]}
    assert why_left_out(found) == [("my", "its engine is mysql")]
    assert places(of_json(listed[0])).keys() == {"shop"}  # --query 'DBInstances[0]'
    assert places(of_json(AURORA["DBClusters"])).keys() == {"au"}


AURORA = {"DBClusters": [{
    "DBClusterIdentifier": "au", "Engine": "aurora-postgresql", "Status": "available", "Port": 5432,
    "DatabaseName": "app", "Endpoint": "au.cluster-x", "ReaderEndpoint": "au.cluster-ro-x",
    "DBClusterMembers": [{"DBInstanceIdentifier": "au-1", "IsClusterWriter": False},
                         {"DBInstanceIdentifier": "au-2", "IsClusterWriter": True}]}]}  # fmt: skip


def test_aurora_is_one_member_whose_writer_comes_first() -> None:
    assert places(of_json(AURORA)) == {"au": ["au.cluster-x:5432/app", "au.cluster-ro-x:5432/app"]}
    both = {
        "DBInstances": [
            instance(n, Engine="aurora-postgresql", DBClusterIdentifier="au")
            for n in ("au-1", "au-2")
        ]
    }
    written("given.json", json.dumps(both) + "\n" + json.dumps(AURORA))  # cat a.json b.json
    host = "x.rds.amazonaws.com:5432/app"
    assert places(inventory.read(["given.json"])) == {"au": [f"au-2.{host}", f"au-1.{host}"]}
    assert places(of_json([both, AURORA])) == {"au": [f"au-2.{host}", f"au-1.{host}"]}  # jq -s


# --- CloudNativePG --------------------------------------------------------------------------------------


def cluster(name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster",
            "metadata": {"name": name, "namespace": "shop", "labels": {"team": "a", "helm.sh/chart": "c"}},
            "spec": {"instances": 3, "bootstrap": {"initdb": {"database": "orders"}}},
            "status": {"currentPrimary": f"{name}-1", "writeService": f"{name}-rw", "readService": f"{name}-r"},
            **more}  # fmt: skip


def test_clusters_of_cloudnativepg_are_members_unless_they_sleep() -> None:
    asleep = cluster("asleep")  # cloudnative-pg#3383
    asleep["metadata"] = {**asleep["metadata"], "annotations": {"cnpg.io/hibernation": "on"}}
    found = of_json({"apiVersion": "v1", "kind": "List", "items": [
        cluster("main"), asleep, cluster("new", status={}), cluster("one", spec={"instances": 1}),
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}]})  # fmt: skip
    assert places(found) == {
        "shop/main": ["main-rw.shop.svc:5432/orders", "main-ro.shop.svc:5432/orders"],
        "shop/one": ["one-rw.shop.svc:5432/app"],
    }
    assert dict(found.members[0].tags) == {"team": "a"}
    assert why_left_out(found) == [
        ("shop/asleep", "it hibernates"),
        ("shop/new", "it has no primary yet"),
        ("p", "it is no cluster of CloudNativePG"),
    ]
    assert places(of_json(cluster("main"), "cnpg:")).keys() == {"shop/main"}


def test_a_cluster_of_cloudnativepg_may_do_without_the_service_of_its_standbys() -> None:
    spec = {"instances": 3, "managed": {"services": {"disabledDefaultServices": ["ro", "r"]}}}
    assert places(of_json(cluster("main", spec=spec))) == {
        "shop/main": ["main-rw.shop.svc:5432/app"]
    }


# --- file_sd --------------------------------------------------------------------------------------------


def test_file_sd_may_name_databases_as_postgres_exporter_takes_them() -> None:
    uri = f"postgresql://mon:{SECRET}@db5:5433/shop?sslmode=require"
    found = of_json([{"targets": ["db4:5432/orders", uri, f"http://u:{SECRET}@x/"]}])
    assert places(found) == {
        "db4:5432/orders": ["db4:5432/orders"],
        "db5:5433/shop": ["db5:5433/shop"],
    }
    assert len(wrong(found)) == 1
    assert (
        SECRET not in json.dumps(listed.document(found)) + "".join(wrong(found)) + everything_kept()
    )


def test_file_sd_names_servers_and_exporters_are_none() -> None:
    written(
        "sd.yml",
        """
- targets: ['db1:5432', db2, '[::1]:5433', '2001:db8::7', 'db1:9187']   # prometheus#14641
  labels: {group: shops, env: prod, __param_x: y}
- targets: ['db 3:5432', 'db4:99999', 7]
- targets: [db5]
  labels:                                       # prometheus#909
    - job: zookeeper
""",
    )
    found = inventory.read(["sd.yml"])
    assert places(found) == {
        "db1:5432": ["db1:5432/postgres"],
        "db2": ["db2:5432/postgres"],
        "[::1]:5433": ["::1:5433/postgres"],
        "2001:db8::7": ["2001:db8::7:5432/postgres"],
    }
    assert {(m.group, m.tags["env"]) for m in found.members} == {("shops", "prod")}
    assert why_left_out(found) == [
        ("db1:9187", "port 9187 is that of postgres_exporter, not of a server")
    ]
    assert [line.partition(": ")[2] for line in wrong(found)] == [
        "the host is no host name",
        "the port is no number from 1 to 65535",
        "a target must be a text such as 'db1:5432'",
        "labels must be a mapping",
    ]


def test_an_include_names_the_only_cluster_of_its_source() -> None:
    written("one.json", json.dumps(cluster("main")))
    written("sd.json", '[{"targets": ["db1", "db2"]}]')
    sources = ("one.json", "sd.json")
    written(
        "fleet.toml",
        f"include = [{', '.join(f'{{source = {s!r}, name = {s!r}}}' for s in sources)}]",
    )
    found = inventory.read(["fleet.toml"])
    assert [m.name for m in found.members] == ["one.json"]
    assert wrong(found) == [
        "sd.json: name = 'sd.json' is for one cluster, and it gives 2 (included by fleet.toml)"
    ]


def test_parameters_of_an_include_are_those_of_its_members() -> None:
    written("sd.json", '[{"targets": ["db1:5432"]}]')
    written(
        "fleet.toml",
        f"""include = [{{source = "sd.json", target = "user=mon dbname=app password={SECRET}", group = "g"}}]""",
    )
    (member,) = inventory.read(["fleet.toml"]).members
    assert libpq.conninfo_to_dict(member.targets[0]) == {
        "host": "db1", "port": "5432", "dbname": "postgres", "user": "mon", "password": SECRET,
    }  # fmt: skip
    assert member.group == "g"


# --- lists that are kept --------------------------------------------------------------------------------


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    moments = [datetime(2026, 3, 2, 12, tzinfo=UTC)]
    monkeypatch.setattr(clock, "now", lambda: moments[0])

    def pass_by(hours: float) -> None:
        moments[0] += timedelta(hours=hours)

    return pass_by


def everything_kept() -> str:
    return "".join(file.read_text() for file in default_folder().iterdir())


def test_a_source_that_fails_keeps_its_last_good_list(later: Callable[[float], None]) -> None:
    program(f"""cat <<'E'
[{{"name": "a", "target": "host=x user=u password={SECRET}", "group": "g", "budget": 90, "window": "sat 01:00-02:00",
  "databases": {{"leave": ["t*"]}}, "tags": {{"env": "prod"}}, "enabled": false}}]
E""")
    (before,) = inventory.read(["inventory.sh"]).members
    later(3)
    program("exit 1")
    found = inventory.read(["inventory.sh"])
    (after,) = found.members
    assert libpq.conninfo_to_dict(after.targets[0]) == {"host": "x", "user": "u"}
    for name in (
        "name",
        "group",
        "budget_s",
        "allowed",
        "databases",
        "tags",
        "is_enabled",
        "place",
    ):
        assert getattr(after, name) == getattr(before, name), name
    assert found.is_wrong
    assert found.sources[0].kept_age_s == 3 * 3600
    assert wrong(found) == [
        "inventory.sh: it exits with status 1; its last good list stands for it: 1 cluster, 3 h old"
    ]
    assert SECRET not in everything_kept()
    assert {f.stat().st_mode & 0o777 for f in default_folder().iterdir()} == {0o600}


def test_an_empty_answer_of_a_source_that_had_clusters_is_a_failure(
    later: Callable[[float], None],
) -> None:
    program("""echo '[{"name": "a", "target": "host=x"}]'""")
    inventory.read(["inventory.sh"])
    program("echo '[]'")
    later(48)
    found = inventory.read(["inventory.sh"])
    assert [m.name for m in found.members] == ["a"]
    assert "it gives no clusters, and gave 1 before" in found.sources[0].failure
    done = shown("--inventory", "inventory.sh", status=2)
    assert "its last good list stands for it: 1 cluster, 2 d old" in done.stdout
    assert "No clusters." in shown("--inventory", "inventory.sh", "--forget").stdout
    assert not inventory.read(["inventory.sh"]).is_wrong


def test_a_password_of_the_environment_is_kept_as_the_name_of_its_variable(variables: None) -> None:
    written("sources.yaml", PGWATCH)
    before = {m.name: m.targets for m in inventory.read(["sources.yaml"]).members}
    Path("sources.yaml").unlink()
    after = {m.name: m.targets for m in inventory.read(["sources.yaml"]).members}
    for name in ("shop", "all"):
        assert libpq.conninfo_to_dict(after[name][0]) == libpq.conninfo_to_dict(before[name][0])
    assert "password" not in after["literal"][0]
    assert SECRET not in everything_kept()


def test_a_file_that_is_gone_still_names_what_it_included() -> None:
    written("sd.json", '[{"targets": ["db1:5432"]}]')
    written(
        "fleet.toml",
        f"""include = [{{source = "sd.json", target = "user=mon password={SECRET}"}}]""",
    )
    inventory.read(["fleet.toml"])
    Path("fleet.toml").unlink()
    assert [m.name for m in inventory.read(["fleet.toml"]).members] == ["db1:5432"]
    assert SECRET not in everything_kept()


def test_a_kept_list_that_is_damaged_is_none(later: Callable[[float], None]) -> None:
    program("""echo '[{"name": "a", "target": "host=x"}]'""")
    inventory.read(["inventory.sh"])
    (file,) = default_folder().iterdir()
    for text in ("", "{}", '{"form": 1}', "[]", '{"form": 1, "read_at": "x", "members": [1]}'):
        file.write_text(text)
        program("exit 1")
        assert inventory.read(["inventory.sh"]).members == ()


def test_standard_input_is_a_source(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(AURORA)))
    assert [m.name for m in inventory.read(["-"]).members] == ["au"]
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"DBClusters": []}'))
    assert wrong(inventory.read(["rds:-"])) == ["standard input: it gives no clusters"]
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert wrong(inventory.read(["-"])) == [
        "standard input: it gives nothing, not even an empty list"
    ]


# --- odd values -----------------------------------------------------------------------------------------

ODD: tuple[Any, ...] = (None, True, -1, 10**30, "", "\0\ud800", [], {}, [None], {"a": []}, "://")


def with_one_odd_value(value: Any) -> Iterator[Any]:
    """Yield a document with each of its values replaced with each odd one."""
    yield from ODD
    if isinstance(value, dict):
        for key, each in value.items():
            yield from ({**value, key: odd} for odd in with_one_odd_value(each))
    if isinstance(value, list):
        for number, each in enumerate(value):
            yield from (
                [*value[:number], odd, *value[number + 1 :]] for odd in with_one_odd_value(each)
            )


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        ("rds", {"DBInstances": [instance("a", TagList=[{"Key": "k", "Value": "v"}])]}),
        ("rds", AURORA),
        ("cnpg", cluster("m")),
        ("patroni", {**PATRONI, "scope": "s"}),
        ("file_sd", [{"targets": ["a:1"], "labels": {"a": "b"}}]),
        ("pgwatch", [{"name": "a", "conn_str": "host=x", "kind": "postgres", "custom_tags": {"a": 1}, "group": "g"}]),
        ("json", {"clusters": [{"name": "a", "target": "x", "databases": {"take": ["*"]}, "tags": {"a": 1}, "window": "01:00-02:00"}]}),
    ],
)  # fmt: skip
def test_an_odd_value_costs_at_most_its_source(kind: str, document: Any) -> None:
    located = Located(kind, "given.json", "given.json", Path())
    for odd in with_one_odd_value(document):
        try:
            found = listing_of(json.dumps(odd), located, {})
        except SourceFailureError:
            continue
        for entry in found.left_out:
            assert listed.left_out_line(entry).isprintable()


def test_a_list_of_which_each_entry_would_build_an_object_says_so() -> None:
    written("one.yaml", '- name: x\n  evil: !!python/object/apply:os.system ["exit 1"]\n')
    found = inventory.read(["one.yaml"])
    tag = "!!python/object/apply:os.system"
    assert wrong(found) == [
        f"one.yaml:2: the tag {tag!r} would build an object; only plain values are read"
    ]
