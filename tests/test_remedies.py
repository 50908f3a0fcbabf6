"""Every remedy that the rules print is run as printed, by the owner; the finding is gone, and the undo restores what was."""

import json

import pytest

from pgwatch_wed.rules import all_rules
from tests import excepted
from tests.remedied import World, trouble, world
from tests.servers import Server
from tests.test_scenarios import BAD, FOLDER, directives, fits
from tests.worlds import WORLDS

pytestmark = pytest.mark.edges


PARAMS = [
    pytest.param(name, marks=[pytest.mark.xfail(reason=excepted.PENDING[name], strict=False)])
    if name in excepted.PENDING
    else name
    for name in BAD
]


def check(server: Server, db: str, here: World) -> None:
    with world(server, db, here.sql) as owner:
        faults = list(trouble(server, db, owner, here))
    assert not faults, "\n\n".join(faults)


@pytest.mark.parametrize("name", PARAMS)
def test_of_every_scenario(name: str, every_pg: Server, every_db: str) -> None:
    path = FOLDER / name
    if not fits(path, every_pg.version):
        pytest.skip("the feature is not in this server")
    limits = [json.loads(text) for text in directives(path, "limits")]
    rule = path.parent.name
    text, by_hand = path.read_text(encoding="utf-8"), " ".join(directives(path, "remedy"))
    check(
        every_pg,
        every_db,
        World((rule,), text, {rule: limits[0] if limits else {}}, by_hand),
    )


@pytest.mark.parametrize("name", WORLDS)
def test_of_every_shape(name: str, pg: Server, db: str) -> None:
    check(pg, db, WORLDS[name])


# Where versions differ most; all shapes on all of them would take half an hour.
@pytest.mark.parametrize("name", ["sub-partitioned", "foreign-table partition"])
def test_of_shapes_on_other_servers(name: str, every_pg: Server, every_db: str) -> None:
    if every_pg.local is not None:
        pytest.skip("all shapes are tested there")
    check(every_pg, every_db, WORLDS[name])


def test_exceptions_name_rules() -> None:
    known = {r.id for r in all_rules()}
    named = {
        *excepted.READS,
        *excepted.NOT_RESTORED,
        *excepted.INVALID_GONE,
        *excepted.ADMIN,
        *excepted.BY_ROWS,
        *excepted.REWRITES,
        *excepted.YOUNG,
        *(r for pair in excepted.FOLLOWS for r in pair),
    }
    assert named <= known
