"""The inventory of ``tests.bench.fleet.proof``: parts of a fleet in sources of every kind are one fleet."""

import io
import json
import sys
from pathlib import Path

import pytest

from pgwatch_wed.fleet import inventory, listed
from pgwatch_wed.fleet.inventory.source_kinds import ANY, KINDS
from tests.bench.fleet.sources import every_kind
from tests.fleet.test_inventory import SECRET, bare

assert bare  # a fixture that applies to all tests here, too


def test_servers_that_sources_of_every_kind_name_are_one_fleet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"host=127.0.0.1 user=postgres password={SECRET} dbname=shop"
    servers = {f"c{i}": f"{place} port={5500 + i}" for i in range(9)}
    made = every_kind(tmp_path / "parts", servers, {"c0": f"{place} port=5600"}, None)
    monkeypatch.setattr(sys, "stdin", io.StringIO(made.stdin.read_text()))
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    found = inventory.read(made.words[1::2])
    assert not [source for source in found.sources if source.failure]
    # JSON at standard input is recognized by its content; Patroni's REST API is asked in the proof itself
    kinds = {source.kind for source in found.sources}
    assert kinds == KINDS.keys() - {"json", "patroni"} | {ANY}
    assert [member.name for member in found.members] == sorted(made.names)
    shown = listed.document(found)
    places = [each.partition("/")[0] for member in shown["clusters"] for each in member["servers"]]
    ports = sorted(int(place.partition(":")[2]) for place in places)
    assert ports == [*range(5500, 5509), 5600]
    assert SECRET not in json.dumps(shown)
