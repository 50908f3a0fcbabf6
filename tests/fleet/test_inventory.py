"""Inventories: who belongs to the fleet, what was left out and why, and one clear line for what is wrong."""

import json
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from psycopg import conninfo as libpq

from pgwatch_wed.cli import cli, fleet_options
from pgwatch_wed.fleet import inventory, listed
from pgwatch_wed.fleet.file_names import safe_file_name
from pgwatch_wed.fleet.members import AllowedTime, DatabaseChoice, Inventory

SECRET = "geheim-5"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PGSERVICEFILE", "PGSYSCONFDIR", "PGHOST", "PGPORT", "PGDATABASE", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.chdir(tmp_path)


def written(name: str, text: str) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return name


def wrong(found: Inventory) -> list[str]:
    failed = [listed.source_line(s) for s in found.sources if s.failure]
    return failed + [listed.left_out_line(e) for e in found.left_out if e.is_wrong]


def of_toml(text: str) -> Inventory:
    return inventory.read([written("fleet.toml", text)])


def shown(*args: str, status: int = 0) -> Result:
    done = CliRunner().invoke(cli, ["fleet", "list", *args], standalone_mode=False)
    assert done.exception is None, done.output
    assert done.return_value == status, done.output
    assert SECRET not in done.output
    return done


# --- pg_service.conf --------------------------------------------------------------------------------

SERVICES = f"# all of them\n[shop]\nhost=db1\npassword={SECRET}\n\n[crm]\nhost=db2\nuser=mon\n"


def test_each_section_of_a_service_file_is_a_cluster() -> None:
    found = inventory.read([written("pg_service.conf", SERVICES)])
    assert [(m.name, m.place) for m in found.members] == [
        ("crm", "pg_service.conf:6"),
        ("shop", "pg_service.conf:2"),
    ]
    assert libpq.conninfo_to_dict(found.members[1].targets[0]) == {
        "host": "db1",
        "password": SECRET,
    }


def test_libpq_itself_reads_the_sections_that_it_would_find(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGSERVICEFILE", written("services", SERVICES))
    done = shown()
    assert "service shop" in done.stdout
    found = inventory.read(["service:"])
    assert [m.targets for m in found.members] == [("service=crm",), ("service=shop",)]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("host = db", "pg_service.conf:2: 'a': libpq has no parameter 'host '"),
        ("nonsense", "pg_service.conf:2: 'a': the line has no ="),
        ("service=b", "pg_service.conf:2: 'a': a service cannot name another service"),
        ("ldap://x", "pg_service.conf:2: 'a': its parameters are in LDAP, which is not asked"),
        ("[b", "pg_service.conf:2: 'b': the section's name has no ]"),
        ("[a]", "pg_service.conf:2: 'a': a second [a]; the first is in line 1"),
        (f"options={'x' * 1100}", "pg_service.conf:2: 'a': the line is longer than libpq reads"),
    ],
)
def test_a_broken_line_costs_its_section_and_no_other(line: str, why: str) -> None:
    found = inventory.read([written("pg_service.conf", f"[a]\n{line}\n[good]\nhost=x\n")])
    assert "good" in [m.name for m in found.members]
    assert wrong(found) == [why]
    assert found.is_wrong


# --- TOML -------------------------------------------------------------------------------------------

FLEET = f"""
[defaults]
target = "user=mon sslmode=verify-full"
tags = {{env = "prod", tier = 1}}

[[clusters]]
name = "shop"
target = "postgresql+psycopg://me:{SECRET}@db1/shop"
standbys = ["host=db2 dbname=shop"]
databases = {{take = ["*"], leave = ["/^test_[0-9]+$/"]}}
tags = {{tier = "gold"}}
group = "shops"
budget = "5 min"
window = "fri,sat-sun 22:00-05:30"

[[clusters]]
name = "crm"
target = "crm"
enabled = false
"""


def test_a_cluster_in_toml_has_all_that_an_inventory_can_say() -> None:
    crm, shop = of_toml(FLEET).members
    assert [libpq.conninfo_to_dict(t) for t in shop.targets] == [
        {
            "user": "me",
            "password": SECRET,
            "host": "db1",
            "dbname": "shop",
            "sslmode": "verify-full",
        },
        {"user": "mon", "host": "db2", "dbname": "shop", "sslmode": "verify-full"},
    ]
    assert shop.databases == DatabaseChoice(("*",), ("/^test_[0-9]+$/",))
    assert dict(shop.tags) == {"env": "prod", "tier": "gold"}
    assert (shop.group, shop.budget_s, shop.place) == ("shops", 300, "fleet.toml:6")
    assert shop.allowed == AllowedTime(time(22), time(5, 30), frozenset({4, 5, 6}))
    assert (crm.targets, crm.is_enabled) == (("service=crm",), False)


def test_databases_are_taken_by_name_pattern_and_expression() -> None:
    names = ("app", "test_1", "test_x")
    assert DatabaseChoice().chosen(names, "app") == ("app",)
    assert DatabaseChoice(("*",), ("/^test_[0-9]+$/",)).chosen(names, "app") == ("app", "test_x")
    assert DatabaseChoice(("a*",)).chosen(names, "test_1") == ("app",)


@pytest.mark.parametrize(
    ("moment", "holds"),
    [("2026-11-27T22:00", True), ("2026-11-28T05:29", True), ("2026-11-28T05:30", False),
     ("2026-11-28T22:10", False), ("2026-11-27T03:00", False)],
)  # fmt: skip
def test_a_window_past_midnight_belongs_to_the_day_on_which_it_begins(
    moment: str, holds: bool
) -> None:
    friday = AllowedTime(time(22), time(5, 30), frozenset({4}))
    assert friday.holds(datetime.fromisoformat(moment).replace(tzinfo=UTC)) is holds


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ('target = "x"', "name is missing"),
        ('name = "bad"', "'bad': target is missing"),
        ('name = " "\ntarget = "x"', "the name is empty"),
        (f'name = "{"x" * 201}"\ntarget = "x"', "the name has more than 200 characters"),
        ('name = "bad"\ntargt = "x"', "'bad': unknown key 'targt'; did you mean 'target'?"),
        ('name = "bad"\ntarget = "x"\ndatabases = {takes = ["a"]}', "databases: unknown key 'takes'; did you mean 'take'?"),
        (f'name = "bad"\ntarget = "postgres://u:{SECRET}@x@y/z"', "an @ where none is allowed"),
        (f'name = "bad"\ntarget = "host=x passwort={SECRET}"', 'invalid connection option "…"'),
        (f'name = "bad"\ntarget = "host=x;password={SECRET};dbname=y"', "'bad': target: the host has a semicolon"),
        ('name = "bad"\ntarget = "host=x port=5432x"', "'bad': target: the port is no number from 1 to 65535"),
        ('name = "bad"\ntarget = "postgresql://x:0/y"', "'bad': target: the port is no number from 1 to 65535"),
        ('name = "bad"\ntarget = "host=a,b,c port=1,2"', "'bad': target: 2 ports for 3 hosts"),
        ('name = "bad"\ntarget = "${NOT_SET}"', "'bad': the environment variable NOT_SET is not set"),
        ('name = "bad"\ntarget = "x"\nbudget = "soon"', "budget must be a time such as '90 s'"),
        ('name = "bad"\ntarget = "x"\nbudget = -1', "budget must be a time such as '90 s'"),
        ('name = "bad"\ntarget = "x"\nwindow = "25:00-1:00"', "window must be a time of day"),
        ('name = "bad"\ntarget = "x"\nenabled = "no"', "enabled must be true or false"),
        ('name = "bad"\ntarget = "x"\nstandbys = "y"', "standbys must be a list of texts"),
        ('name = "bad"\ntarget = "x"\ndatabases = ["/(/"]', "'/(/' is no regular expression"),
        ('name = "bad"\ntarget = "x"\ntags = {a = []}', "the tag 'a' must be a text or a number"),
        ('name = "bad\ntarget = "x"', "not valid TOML: Illegal character '\\n' (column 12)"),
        ('name = "bad"\ntarget = x', "not valid TOML: Invalid value (column 10)"),
    ],
)  # fmt: skip
def test_a_broken_cluster_costs_only_itself(lines: str, why: str) -> None:
    good = '[[clusters]]\nname = "{}"\ntarget = "{}"\n'
    text = good.format("first", "a") + f"[[clusters]]\n{lines}\n" + good.format("last", "b")
    found = of_toml(text)
    assert [m.name for m in found.members] == ["first", "last"]
    assert found.members[1].place == f"fleet.toml:{5 + lines.count(chr(10)) + 1}"
    (line,) = wrong(found)
    assert line.startswith(("fleet.toml:4: ", "fleet.toml:5: ", "fleet.toml:6: "))
    assert why in line
    assert SECRET not in line


def test_a_variable_of_the_environment_stands_for_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", SECRET)
    found = of_toml('[[clusters]]\nname="a"\ntarget="host=x password=${SHOP_PASSWORD}"')
    assert libpq.conninfo_to_dict(found.members[0].targets[0])["password"] == SECRET
    shown("--inventory", "fleet.toml")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("host=h password=${PW} dbname=d", {"host": "h", "password": "PW", "dbname": "d"}),
        ("host=h password='${PW}' dbname=d", {"host": "h", "password": "PW", "dbname": "d"}),
        ("host=h password = x${PW}", {"host": "h", "password": "xPW"}),
        ("postgres://u:${PW}@h:1/d", {"user": "u", "password": "PW", "host": "h", "port": "1", "dbname": "d"}),
        ("postgresql://${PW}@h/${PW}", {"user": "a%b", "password": "PW-rest", "host": "h", "dbname": "PW"}),
        ("postgresql://u@${HOSTS}/d?password=${PW}&${MORE}", {"user": "u", "host": "h,i", "port": "1,2", "dbname": "d", "password": "PW", "options": "-c x=1"}),
        ("${DSN}", {"host": "h", "dbname": "d"}),
        ("${DSN} user=u", {"host": "h", "dbname": "d", "user": "u"}),
        ("host=h password=${EMPTY} dbname=d", {"host": "h", "password": "", "dbname": "d"}),
    ],
)  # fmt: skip
def test_a_variable_may_have_any_characters_without_quotes(
    target: str, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    value = "a%b:c@/{d'\"e\\ f%40"
    for name, text in {
        "PW": value, "EMPTY": "", "DSN": "host=h dbname=d", "HOSTS": "h:1,i:2", "MORE": "options=-c%20x%3D1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, text)
    (found,) = of_toml(f'[[clusters]]\nname="a"\ntarget="{target}"').members
    parts = libpq.conninfo_to_dict(found.targets[0])
    rest = value.partition(":")[2]
    wanted = {
        key: text.replace("PW-rest", rest).replace("PW", value) for key, text in expected.items()
    }
    assert {key: str(each) for key, each in parts.items()} == wanted


# --- several sources ----------------------------------------------------------------------------------


def test_includes_are_followed_once_and_a_cycle_is_one_line(tmp_path: Path) -> None:
    written(
        "a.toml",
        'include = ["more/*.toml", "/absent/*.toml", {source = "pg_service.conf", group = "old"}]',
    )
    written("more/b.toml", 'include = "../a.toml"\n[[clusters]]\nname = "b"\ntarget = "b"\n')
    written("more/c.toml", 'include = "b.toml"\n[[clusters]]\nname = "c"\ntarget = "c"\n')
    written("pg_service.conf", "[s]\nhost=s\n")
    found = inventory.read(["a.toml"])
    assert [(m.name, m.group) for m in found.members] == [("b", ""), ("c", ""), ("s", "old")]
    assert found.asked == ("a.toml",)
    noted = fleet_options.noted_sources(
        found, {"names": ("b", "a*"), "groups": (), "tags": ("x=1",)}
    )
    assert noted == ["a.toml", "--member a*", "--member b", "--tag x=1"]
    (line,) = wrong(found)
    cycle = f"{tmp_path}/a.toml → {tmp_path}/more/b.toml → {tmp_path}/a.toml"
    assert line.endswith(f"a cycle of includes: {cycle} (included by more/b.toml)")
    assert [(e.place, e.reason) for e in found.left_out] == [
        ("a.toml", "include '/absent/*.toml' fits no file")
    ]


def test_a_pattern_that_fits_no_file_any_more_is_no_empty_fleet() -> None:
    written("fleet.toml", 'include = "more/*.toml"\n')
    more = Path(written("more/b.toml", '[[clusters]]\nname = "b"\ntarget = "host=b"\n'))
    assert not inventory.read(["fleet.toml"]).is_wrong
    more.rename("b.toml")
    found = inventory.read(["fleet.toml"])
    assert [m.name for m in found.members] == ["b"]
    assert "more/b.toml: it cannot be read: No such file or directory" in wrong(found)[0]
    assert "its last good list stands for it" in wrong(found)[0]
    assert not inventory.read(["fleet.toml"], forgets=True).members
    assert not inventory.read(["fleet.toml"]).is_wrong


def test_a_name_twice_is_an_error_unless_both_sources_mean_the_same_server() -> None:
    written("pg_service.conf", "[shop]\nhost=db1\n[crm]\nhost=other\n")
    one = '[[clusters]]\nname = "{0}"\ntarget = "host={1} dbname=x"\n'
    written("fleet.toml", one.format("shop", "db1") + one.format("crm", "db2"))
    found = inventory.read(["fleet.toml", "pg_service.conf"])
    assert [(m.name, len(m.targets)) for m in found.members] == [("crm", 1), ("shop", 1)]
    assert wrong(found) == [
        "pg_service.conf:3: 'crm': duplicate name; the first is at fleet.toml:4"
    ]


def test_two_servers_with_their_sockets_in_one_directory_are_two() -> None:
    written("pg_service.conf", "[shop]\nhost=/run/pg\nport=5433\n[crm]\nhost=/run/pg\nport=5434\n")
    one = '[[clusters]]\nname = "{0}"\ntarget = "host=/run/pg port=5433 dbname=x"\n'
    written("fleet.toml", one.format("shop") + one.format("crm"))
    found = inventory.read(["fleet.toml", "pg_service.conf"])
    assert [(m.name, len(m.targets)) for m in found.members] == [("crm", 1), ("shop", 1)]
    assert len(wrong(found)) == 1
    assert "'crm': duplicate name" in wrong(found)[0]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("patroy:x", "unknown kind 'patroy'; did you mean 'patroni'?"),
        ("absent.toml", "absent.toml: it cannot be read: No such file or directory"),
        (".", "it is a directory; name a file in it"),
        ("rds:", "nothing follows rds:"),
        ("", "the name of the source is empty"),
        ("x" * 300, "it cannot be read: File name too long"),
        ("~nobody-of-this-name/x", "it begins with the home directory of nobody"),
        ("loop.toml", "it cannot be read: Too many levels of symbolic links"),
        ("/dev/zero", "it gives more than 128 MB"),
    ],
)
def test_a_source_that_cannot_be_read_costs_only_itself(source: str, why: str) -> None:
    written("pg_service.conf", "[a]\nhost=x\n")
    Path("loop.toml").symlink_to("loop.toml")
    found = inventory.read([source, "pg_service.conf"])
    assert [m.name for m in found.members] == ["a"]
    assert why in wrong(found)[0]


# --- fleet list -----------------------------------------------------------------------------------------


def test_the_list_says_who_belongs_to_the_fleet_and_fits_a_terminal() -> None:
    written("fleet.toml", FLEET)
    done = shown("--inventory", "fleet.toml")
    assert "fleet.toml: 2 clusters" in done.stdout
    assert "2 clusters, 1 disabled." in done.stdout
    assert "(only fri-sun 22:00-05:30 UTC)" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_what_does_not_fit_in_its_column_moves_nothing_else() -> None:
    written(
        "fleet.toml",
        f"""
[[clusters]]
name = "{"n" * 60}"
target = "host={"h" * 60}.example.com"
tags = {{{", ".join(f'key{n} = "value"' for n in range(9))}}}
[[clusters]]
name = "日本語"
target = "host=db1"
""",
    )
    lines = shown("--inventory", "fleet.toml").stdout.splitlines()
    assert lines[2:] == [
        f"cluster{'':23}servers",
        "n" * 60,
        f"    {'h' * 60}.example.com:5432/",
        "    (key0=value, key1=value, key2=value, key3=value, key4=value, key5=value,",
        "     key6=value, key7=value, key8=value)",
        f"日本語{'':24}db1:5432/",
        "",
        "2 clusters.",
    ]


def test_a_wrong_inventory_is_status_2_and_the_rest_is_listed() -> None:
    written("fleet.toml", f'{FLEET}[[clusters]]\nname = "x"\n')
    done = shown("--inventory", "fleet.toml", "--format", "json", status=2)
    document: dict[str, Any] = json.loads(done.stdout)
    assert [c["name"] for c in document["clusters"]] == ["crm", "shop"]
    assert document["left_out"][0]["place"] == "fleet.toml:20"
    assert done.stderr == "db-analyze: fleet.toml:20: 'x': target is missing\n"


def test_members_are_selected_by_name_group_and_tag() -> None:
    written("fleet.toml", FLEET)
    given = ("--inventory", "fleet.toml")
    assert "1 cluster, 1 not selected." in shown(*given, "--member", "sh*").stdout
    assert "1 cluster, 1 not selected." in shown(*given, "--group", "shops").stdout
    assert "1 cluster, 1 not selected." in shown(*given, "--tag", "tier=gold").stdout
    assert "2 clusters, 1 disabled." in shown(*given, "--tag", "env=p*").stdout


def test_the_configuration_names_sources_relative_to_itself() -> None:
    written("conf/fleet.toml", FLEET)
    written("conf/settings.toml", '[fleet]\ninventory = ["fleet.toml"]\n')
    assert "2 clusters" in shown("--config", "conf/settings.toml").stdout


# --- file names -----------------------------------------------------------------------------------------


def test_any_name_becomes_a_file_name_of_its_own(tmp_path: Path) -> None:
    names = ["shop", "Shop", "SHOP", "a/b", "a_b", "a\nb", 'a"b', "..", ".", "", "ä", "a\u0308",
             "\udce4", "x" * 300, "x" * 301, "-rf", "日本", "日 本", "a b", "con/../../etc"]  # fmt: skip
    made = [safe_file_name(name) for name in names]
    assert made[0] == "shop"
    assert len({name.casefold() for name in made}) == len(names)
    for name in made:
        (tmp_path / f"{name}.json.zst").touch(exist_ok=False)
        assert name.isascii()
        assert name[0] not in ".-"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ('[[cluster]]\nname = "a"\ntarget = "host=a"\n', "'cluster'; did you mean 'clusters'?"),
        ("[default]\n", "'default'; did you mean 'defaults'?"),
        ("x = 1\n", "'x'; known keys are clusters, include, defaults"),
    ],
)
def test_an_unknown_table_is_told_which_one_is_meant(text: str, meant: str) -> None:
    assert wrong(of_toml(text)) == [f"fleet.toml: unknown key {meant}"]
