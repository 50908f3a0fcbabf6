"""db-analyze fleet check: who is reached, and what is in the way."""

import json
from datetime import timedelta
from pathlib import Path

from click.testing import CliRunner, Result
from psycopg.conninfo import make_conninfo

from pgwatch_wed import clock
from pgwatch_wed.cli import cli
from tests.fleet.ground import Ground


def check(folder: Path, *more: str, **targets: str) -> Result:
    path = folder / "fleet.toml"
    path.write_text(
        "".join(f'[[clusters]]\nname = "{n}"\ntarget = "{t}"\n' for n, t in targets.items())
    )
    return checked(path, *more)


def checked(path: Path, *more: str) -> Result:
    given = ["fleet", "check", "--inventory", str(path), "--connect-timeout", "2"]
    return CliRunner().invoke(cli, [*given, *more], catch_exceptions=False, standalone_mode=False)


def test_check_tells_who_is_reached_and_what_is_in_the_way(ground: Ground, tmp_path: Path) -> None:
    primary = ground.primary().dsn("shop", tcp=True)
    more = {"again": ground.primary().dsn("postgres"), "gone": make_conninfo(primary, port="1")}
    result = check(tmp_path, "--format", "json", shop=primary, **more)
    found = json.loads(result.stdout)
    (cluster,) = found["clusters"]
    assert (cluster["name"], cluster["databases"]) == ("again", ["postgres", "shop"])
    assert [each["same_as"] for each in found["same"]] == ["again"]
    assert [each["ending"] for each in found["not_reached"]] == ["unreachable"]
    assert result.return_value == 0
    said = check(tmp_path, shop=primary, **more).stdout
    assert "1 of 2 clusters reached" in said
    assert "password" not in said


def test_the_status_of_check_is_3_if_nobody_is_reached(tmp_path: Path) -> None:
    result = check(tmp_path, shop="host=127.0.0.1 port=1 dbname=x user=x")
    assert result.return_value == 3
    assert "shop: unreachable: could not connect" in result.stdout


def test_check_looks_outside_the_window_and_says_when_a_visit_is_allowed(
    ground: Ground, tmp_path: Path
) -> None:
    path = tmp_path / "windows.toml"
    then = clock.now() - timedelta(minutes=3)
    target = ground.primary().dsn("shop", tcp=True)
    path.write_text(
        f"""[[clusters]]\nname = "a"\ntarget = "{target}"\nwindow = "{then:%H:%M}-{then + timedelta(minutes=1):%H:%M}"
        [[clusters]]\nname = "b"\ntarget = "host=x"\nenabled = false\n"""
    )
    found = json.loads(checked(path, "--format", "json").stdout)
    assert found["disabled"] == ["b"]
    (cluster,) = found["clusters"]
    assert "fleet run skips it at this time: visits are allowed from" in cluster["lacks"][0]
    said = checked(path).stdout
    assert f"run again at {then + timedelta(days=1):%Y-%m-%d %H:%M} UTC" in said
    assert "1 of 1 cluster reached; 1 disabled" in said
