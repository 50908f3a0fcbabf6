"""What one cluster's test lets pass once in a while is not said of a fleet, and what was planted is."""

from collections.abc import Mapping

import pytest

from pgwatch_wed.fleet.experiment.attributes import features_of
from pgwatch_wed.fleet.experiment.clues import SERVER, StatementClue
from pgwatch_wed.fleet.experiment.experiments import SlowerCluster
from pgwatch_wed.fleet.experiment.fleet_chance import StatementPlace, holding
from pgwatch_wed.fleet.experiment.shared_regressions import (
    BY_CHANCE,
    Sighting,
    WatchedStatement,
    proven,
    shared,
)
from pgwatch_wed.fleet.traits import Traits
from tests.fleet import recorded_fleet as busy
from tests.fleet.simulated_reviews import Release, reviewed

HERE = (3, "q0")


def fleet(clusters: int = 30, /, **own: object) -> dict[StatementPlace, StatementClue]:
    """Return a fleet with ten statements, of which one is slower on one cluster."""
    steady = StatementClue("steady", 1.1)
    clues = {(n, f"q{m}"): steady for n in range(clusters) for m in range(10)}
    values = {"ratio": 3.0, "p_value": 1e-6, **own}
    return {**clues, HERE: StatementClue("regressed", **values)}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("own", "is_before", "holds"),
    [
        ({"p_value": 1e-3}, True, False),  # 300 were compared
        ({}, False, False),
        ({}, True, True),
        ({"ratio": 1.9}, True, False),
        ({"ratio": 1.4, "has_more_work": True}, False, True),
        ({"p_value": 1e-3, "has_more_work": True}, True, False),
        ({"p_value": None}, False, True),  # of an earlier version
    ],
)
def test_time_alone_takes_more_proof_than_more_work(
    own: Mapping[str, object], is_before: bool, holds: bool
) -> None:
    before = {HERE} if is_before else set()
    assert holding(fleet(30, **own), before) == ({HERE} if holds else set())


@pytest.mark.parametrize("sibling", [(7, "q0"), (3, "q5")])
def test_what_shifts_that_far_elsewhere_without_being_slower_is_noise(
    sibling: StatementPlace,
) -> None:
    noisy = {**fleet(), sibling: StatementClue("steady", 2.6)}
    assert holding(noisy, {HERE}) == set()
    assert holding({**noisy, sibling: StatementClue("steady", 2.0)}, {HERE}) == {HERE}


def test_of_a_few_clusters_each_own_verdict_counts() -> None:
    assert holding(fleet(4, ratio=1.3, p_value=0.01), set()) == set()
    few = {place: clue for place, clue in fleet(4, ratio=1.3, p_value=0.01).items() if place[0] > 0}
    assert holding(few, set()) == {HERE}


def test_many_that_read_more_make_each_of_them_likelier() -> None:
    weak = StatementClue("regressed", 1.5, p_value=1e-3, has_more_work=True)
    some = fleet() | {(n, "q0"): weak for n in range(8)}
    assert holding(some, set()) == {(n, "q0") for n in range(8)}


def servers(ratios: list[float]) -> dict[StatementPlace, StatementClue]:
    """Return servers that became slower as a whole by these factors."""
    return {
        (n, SERVER): StatementClue("regressed" if r >= 1.3 else "steady", r)
        for n, r in enumerate(ratios)
    }


def test_a_server_is_compared_with_what_all_did_at_the_same_time() -> None:
    usual = [0.95, 1.0, 1.05, 0.9, 1.1, 1.0, 1.02, 0.98]
    everywhere = {(n, SERVER) for n in range(9)}
    assert holding(servers([*usual, 1.4]), everywhere) == set()
    assert holding(servers([*usual, 3.0]), everywhere) == {(8, SERVER)}
    assert holding(servers([*usual, 3.0]), set()) == set()
    # a neighbor of the machine on which all of them run
    assert holding(servers([1.5 * r for r in (*usual, 1.2)]), everywhere) == set()
    assert holding(servers([2.5 * r for r in (*usual, 1.2)]), everywhere) == everywhere


def watched(ratios: Mapping[int, float], released: int = 8) -> WatchedStatement:
    """Return a statement on 30 clusters, some of which have a release, and some of which are slower."""
    seen = []
    for n in range(30):
        tags = {"release": "1.1" if n < released else "1.0"}
        features = features_of(Traits("17.5"), tags, "shop")
        slower = SlowerCluster(f"c{n}", n, "shop", ratios[n], 1) if n in ratios else None
        seen.append(Sighting(f"c{n}", features, slower))
    return WatchedStatement("shops", "q0", tuple(seen), "q0")


def test_noise_elsewhere_does_not_hide_what_the_slower_ones_have_in_common() -> None:
    # recorded on a busy machine: ten times as slow on eight, and a little on six others
    noise = {9: 1.4, 14: 1.3, 22: 1.3, 23: 1.3, 27: 1.2, 28: 1.3}
    seen = watched(dict.fromkeys(range(8), 10.0) | noise)
    assert not shared([seen])[0][0].associations
    found, held = proven([seen], {(n, "q0") for n in range(8)})
    assert held == {(n, "q0") for n in range(8)}
    (only,) = shared(found)[0]
    assert [a.value for a in only.associations[0].attributes] == ["1.1"]
    assert (len(only.slower), len(only.others)) == (8, 22)


def test_what_only_the_slower_ones_have_is_proof_for_each_of_them() -> None:
    seen = watched(dict.fromkeys(range(8), 1.4) | {20: 1.4})
    assert proven([seen], set())[1] == {(n, "q0") for n in range(8)}
    assert len(proven([seen], {(n, "q0") for n in range(5)})[1]) == 8


def test_without_anything_in_common_each_must_be_proven() -> None:
    (found,), held = proven([watched({1: 1.4, 12: 2.0, 20: 3.0})], {(20, "q0")})
    assert held == {(20, "q0")}
    assert [s.reason for s in found.sightings if s.reason] == [BY_CHANCE]
    assert found.sightings[1].reason == ""  # hardly slower, compared with the one that is
    assert shared([found])[0] == ()


@pytest.mark.parametrize("seed", [1, 2])
def test_of_a_noisy_fleet_nothing_is_said_but_what_is_planted(seed: int) -> None:
    quiet = reviewed(seed, clusters=16)
    assert (quiet.held, quiet.shared) == (frozenset(), ())
    found = reviewed(seed, clusters=16, release=Release(5, 3.0, 4.0))
    assert found.held == {(n, "1") for n in range(5)}
    (only,) = found.shared
    assert [a.value for a in only.associations[0].attributes] == ["1.1"]


def test_on_a_busy_machine_nothing_is_said_though_a_cluster_called_something_slower() -> None:
    found = [busy.review_at(visit) for visit in range(13, busy.QUIET + 1)]
    assert any(each.own for each in found)
    assert all((each.held, each.shared) == (frozenset(), ()) for each in found)


def test_on_a_busy_machine_what_was_planted_is_said_and_no_more() -> None:
    found = busy.review_at(20)
    assert len(found.own) > len(found.held)
    held = {n for n, text in found.held if text == busy.SLOWED}
    assert held == busy.ON_RELEASE
    written = {n for n, text in found.held if text != busy.SLOWED}
    assert written <= busy.BUILDERS
    (only,) = (each for each in found.shared if each.texts == (busy.SLOWED,))
    assert [a.value for a in only.associations[0].attributes] == ["1.1"]
    assert len(only.slower) == 8
