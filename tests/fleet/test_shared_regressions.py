"""Regressions of several clusters: what goes with them is told with numbers, and nothing else is."""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace

from pgwatch_wed.fleet.experiment.attributes import features_of
from pgwatch_wed.fleet.experiment.experiments import SharedRegression, SlowerCluster
from pgwatch_wed.fleet.experiment.shared_regressions import Sighting, WatchedStatement, shared
from pgwatch_wed.fleet.traits import Traits

QUERY = "select sum(amount) from orders where customer = $1"


def traits(n: int) -> Traits:
    """Return what is usual: two settings that differ at random, and one extension."""
    own = random.Random(n)
    settings = {"work_mem": own.choice(("4MB", "8MB")), "jit": own.choice(("on", "off"))}
    return Traits("17.5", settings, {"shop": {"pg_stat_statements": "1.11"}})


def sighting(
    n: int, own: Traits, *, is_slower: bool, tags: Mapping[str, str], reason: str = ""
) -> Sighting:
    """Return what is seen on a cluster."""
    features = features_of(own, tags, "shop")
    slower = SlowerCluster(f"c{n}", n, "shop", 2.0, 7) if is_slower else None
    return Sighting(f"c{n}", features, slower, reason)


def fleet(
    clusters: int,
    slower: frozenset[int],
    change: Callable[[int, Traits], Traits] = lambda _, own: own,
    text: str = QUERY,
) -> WatchedStatement:
    """Return a statement on a fleet."""
    each = (
        sighting(n, change(n, traits(n)), is_slower=n in slower, tags={"zone": f"z{n % 3}"})
        for n in range(clusters)
    )
    return WatchedStatement("shops", text, tuple(each))


def only(*watched: WatchedStatement) -> SharedRegression:
    (found,) = shared(watched)[0]
    return found


def with_release(n: int, own: Traits) -> Traits:
    return replace(own, version="17.6") if n < 8 else own


def test_a_release_that_slows_a_query_is_told_with_its_numbers() -> None:
    found = only(fleet(30, frozenset(range(8)), with_release))
    (one,) = found.associations
    assert [a.label for a in one.attributes] == ["PostgreSQL 17.6"]
    assert (one.slower_with, one.slower, one.others_with, one.others) == (8, 8, 0, 22)
    assert one.told == "all 8 run PostgreSQL 17.6, none of the 22 others"
    assert found.title == f"{QUERY} is slower on 8 of 30 clusters"
    assert "All 8 run PostgreSQL 17.6, none of the 22 others (Fisher p 2e-7, " in found.told
    assert "after correction for all that was compared" in found.told
    assert "association" in found.told
    assert "cause" not in found.told.replace("does not prove a cause", "")


def test_what_always_occurs_together_is_told_together() -> None:
    def both(n: int, own: Traits) -> Traits:
        own = with_release(n, own)
        return replace(own, extensions={"shop": {"pg_x": "1.2" if n < 8 else "1.1"}})

    found = only(fleet(30, frozenset(range(8)), both))
    (one,) = found.associations
    assert [a.label for a in one.attributes] == ["PostgreSQL 17.6", "extension pg_x 1.2"]
    assert "Here, PostgreSQL 17.6 and extension pg_x 1.2 always occur together" in found.told


def test_what_the_others_have_too_is_not_specific() -> None:
    def spread(n: int, own: Traits) -> Traits:
        return replace(own, version="17.6") if n < 14 else own

    found = only(fleet(30, frozenset(range(8)), spread))
    assert found.associations == ()
    assert found.closest is not None
    assert found.closest.corrected_p <= 0.05
    assert "No common cause found" in found.told
    assert "all 8 run PostgreSQL 17.6, 6 of the 22 others" in found.told
    assert "not specific" in found.told


def test_one_control_with_the_same_exposure_is_counted_not_hidden() -> None:
    def spread(n: int, own: Traits) -> Traits:
        return replace(own, version="17.6") if n < 9 else own

    (one,) = only(fleet(30, frozenset(range(8)), spread)).associations
    assert one.told == "all 8 run PostgreSQL 17.6, 1 of the 22 others"


def test_unrelated_regressions_have_no_common_cause() -> None:
    found = only(fleet(30, frozenset((1, 7, 12, 20, 27))))
    assert found.associations == ()
    assert "No common cause found" in found.told


def test_a_small_fleet_is_told_that_nothing_can_be_told() -> None:
    found = only(fleet(5, frozenset((0, 1)), with_release))
    assert found.is_too_few
    assert found.associations == ()
    assert "with 2 of 5 clusters" in found.told
    assert f"At least {found.needed_clusters} clusters" in found.told
    enough = fleet(found.needed_clusters or 0, frozenset((0, 1)), lambda n, own: own)
    assert not only(enough).is_too_few


def test_two_of_three_that_were_upgraded_prove_nothing_yet() -> None:
    # osm2pgsql#1045: slow on two servers with 12, whose default of jit is another one, and not on a third with 10
    def upgraded(n: int, own: Traits) -> Traits:
        return replace(own, version="12.1" if n < 2 else "10.11", settings={})

    found = only(fleet(3, frozenset((0, 1)), upgraded))
    assert found.associations == ()
    assert "No common cause can be told: with 2 of 3 clusters" in found.told
    (one,) = only(fleet(12, frozenset((0, 1)), upgraded)).associations
    assert one.told == "both run PostgreSQL 12.1, none of the 10 others"


def test_where_all_are_slower_there_is_nothing_to_compare_with() -> None:
    found = only(fleet(6, frozenset(range(6))))
    assert found.others == ()
    assert "nothing to compare with" in found.told


def test_a_cluster_that_was_not_read_or_does_not_run_it_is_no_control() -> None:
    whole = fleet(30, frozenset(range(8)), with_release)
    lost = {n: "does not run it, or too rarely" if n < 20 else "was not read" for n in range(9, 30)}
    sightings = tuple(replace(s, reason=lost.get(n, "")) for n, s in enumerate(whole.sightings))
    found = only(replace(whole, sightings=sightings))
    assert (len(found.slower), found.others) == (8, ("c8",))
    assert found.of == 9
    assert found.associations == ()
    assert "11 (does not run it, or too rarely)" in found.told
    assert "10 (was not read)" in found.told


def test_one_slower_cluster_shares_nothing() -> None:
    assert shared([fleet(30, frozenset((3,)))]) == ((), 0)


def test_statements_that_are_slower_on_the_same_clusters_are_one_case() -> None:
    slower = frozenset(range(8))
    found = only(fleet(30, slower, with_release), fleet(30, slower, with_release, "select 2"))
    assert found.texts == (QUERY, "select 2")
    assert "and 1 other statement are slower on 8 of 30 clusters" in found.title
    assert found.associations


def test_all_that_is_compared_is_corrected_for() -> None:
    # among many settings that differ at random, one that happens to fit is expected
    def many(n: int, own: Traits) -> Traits:
        dice = random.Random(f"many {n}")
        return replace(own, settings={f"s{m}": dice.choice("ab") for m in range(400)})

    found = only(fleet(16, frozenset((0, 5, 9)), many))
    assert found.closest is not None
    assert found.closest.p_value < 0.05 < found.closest.corrected_p
    assert found.associations == ()
