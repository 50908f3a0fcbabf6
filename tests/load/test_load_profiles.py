"""Profiles: how long they take, and what is wrong with a file, in one line that names file and key."""

from pathlib import Path

import pytest

from pgwatch_wed.errors import UsageError
from pgwatch_wed.load.load_model import LoadObjective
from pgwatch_wed.load.scenarios import known_scenarios
from pgwatch_wed.load.scenarios.load_profiles import PROFILES
from pgwatch_wed.load.scenarios.objective_text import read_objective
from pgwatch_wed.load.scenarios.profile_file import profile_of
from pgwatch_wed.load.scenarios.soak_length import soak_length
from pgwatch_wed.load.stress_report import PhaseKind

WHOLE = """
scale = 10
clients = 32
rate = 500
seed = 7
timeout = "500 ms"
load_share = 0.5
objectives = ["p95 < 200 ms", "p99.9 < 2 s", "errors < 0.1 %", "tps > 300/s"]
[seconds]
steady = 180
soak = "30 min"
block = 5
warmup = 0
[scenarios]
tpcb-like = 2
read-mostly = 1
"""


@pytest.mark.parametrize(("name", "seconds"), [("quick", 60), ("ci", 300), ("heavy", 2700)])
def test_a_profile_takes_what_its_name_says(name: str, seconds: float) -> None:
    profile = profile_of(name)
    assert profile.total_s == seconds
    each = profile.block_s + profile.warmup_s
    for planned in profile.planned():
        known_scenarios.scenario(planned.name)
        for phase in planned.phases:
            assert phase.blocks >= 1
            assert phase.blocks * each <= phase.seconds
    assert {o.name: o.limit for o in profile.objectives} == {"p95": 200, "errors": 0.001}


def test_the_heavy_profile_soaks_over_three_checkpoints_at_least() -> None:
    assert soak_length(300, PROFILES["heavy"].seconds[PhaseKind.SOAK]).checkpoints >= 3


def test_a_file_is_read_with_all_its_keys(tmp_path: Path) -> None:
    file = tmp_path / "nightly.toml"
    file.write_text(WHOLE)
    profile = profile_of(str(file))
    assert profile.name == "nightly"
    assert (profile.scale, profile.clients, profile.rate, profile.seed) == (10, 32, 500, 7)
    assert profile.seconds == {PhaseKind.STEADY: 180, PhaseKind.SOAK: 1800}
    assert profile.timeout_s == 0.5
    assert (profile.block_s, profile.warmup_s, profile.load_share) == (5, 0, 0.5)
    assert [(o.name, o.limit) for o in profile.objectives] == [
        ("p95", 200),
        ("p99.9", 2000),
        ("errors", 0.001),
        ("tps", 300),
    ]
    first, second = profile.planned()
    assert [(p.kind, p.seconds, p.blocks) for p in first.phases] == [
        ("steady", 120, 24),
        ("soak", 1200, 240),
    ]
    assert sum(p.seconds for p in second.phases) == 660


def test_users_are_read_too(tmp_path: Path) -> None:
    file = tmp_path / "many.toml"
    file.write_text('[seconds]\nsteady = 60\n[users]\ncount = 10000\nthink = "5 s"\n')
    profile = profile_of(str(file))
    assert (profile.users, profile.think_s, dict(profile.scenarios)) == (
        10_000,
        5,
        {"tpcb-like": 1},
    )


STEADY = "[seconds]\nsteady = 60\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "seconds must say how long"),
        ("rat = 5\n" + STEADY, "unknown key 'rat'"),
        ("rate = 0\n" + STEADY, "rate must be above 0"),
        ("rate = -3\n" + STEADY, "rate must be above 0"),
        ("rate = nan\n" + STEADY, "rate must be above 0"),
        ("rate = inf\n" + STEADY, "rate must be above 0"),
        ('rate = "fast"\n' + STEADY, "rate must be a number"),
        ("rate = true\n" + STEADY, "rate must be a number"),
        ("clients = 2.5\n" + STEADY, "clients must be an integer"),
        ("clients = 0\n" + STEADY, "clients must be between 1 and"),
        ("scale = -1\n" + STEADY, "scale must be between 1 and"),
        ("timeout = 0\n" + STEADY, "timeout must be above 0"),
        ("seed = 0\n" + STEADY, "seed must be between 1 and"),
        ("load_share = 1.5\n" + STEADY, "load_share must be above 0 and at most 1"),
        ('objectives = "p95 < 200 ms"\n' + STEADY, "objectives must be a list"),
        ('objectives = ["p95 < 200"]\n' + STEADY, "must be a time in ms or s"),
        ('objectives = ["p95 < 1 ms", "p95 < 2 ms"]\n' + STEADY, "two objectives for p95"),
        ("seconds = 5\n", "seconds must be a table"),
        ("[seconds]\nsteady = 0\n", "seconds.steady must be above 0"),
        ("[seconds]\nsteady = -60\n", "seconds.steady must be above 0"),
        ('[seconds]\nsteady = "soon"\n', "seconds.steady must be seconds or a time"),
        ("[seconds]\nsteady = 60\nblock = 0\n", "seconds.block must be above 0"),
        ("[seconds]\nsteady = 60\nblock = 0.1\n", "seconds.block must be at least 1 s"),
        ("[seconds]\nsteady = 60\nwarmup = -1\n", "seconds.warmup must be above 0"),
        ("[seconds]\nsteady = 60\nstorm = 1\n", "unknown key 'seconds.storm'"),
        ("[seconds]\nsteady = 5\n", "less than one block of 12 s"),
        ("rate = 5\n[seconds]\nsteady = 60\nramp = 60\n", "rate is of no use with seconds.ramp"),
        (STEADY + "[scenarios]\ntpcc = 1\n", "unknown key 'scenarios.tpcc'"),
        (STEADY + "[scenarios]\nhot-row = 0\n", "scenarios.hot-row must be above 0"),
        (STEADY + "[users]\ncount = 100\n", "users.think is missing"),
        (STEADY + "[users]\ncount = 100\nthink = 0\n", "users.think must be above 0"),
        (
            "clients = 5\n" + STEADY + "[users]\ncount = 9\nthink = 1\n",
            "cannot be given together with users",
        ),
        ("scale = ", "is not valid TOML"),
    ],
)
def test_what_is_wrong_is_one_line_with_file_and_key(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "p.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        profile_of(str(file))
    assert str(file) in caught.value.message
    assert says in caught.value.message
    assert "\n" not in str(caught.value)


def test_an_unknown_profile_and_a_missing_file_are_one_line_each(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no profile 'fast'"):
        profile_of("fast")
    with pytest.raises(UsageError, match="could not be read"):
        profile_of(str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    ("text", "name", "limit"),
    [
        ("p95<200ms", "p95", 200),
        ("p99.9 <= 1.5 s", "p99.9", 1500),
        ("errors < 0.1%", "errors", 0.001),
        ("errors<0.001", "errors", 0.001),
        ("tps > 500", "tps", 500),
    ],
)
def test_objectives_are_read(text: str, name: str, limit: float) -> None:
    assert read_objective(text) == LoadObjective(name=name, limit=limit)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "p95",
        "p95 > 200 ms",
        "tps < 5",
        "p100 < 1 ms",
        "p0 < 1 ms",
        "p95 < 0 ms",
        "p95 < 1.2.3 ms",
        "errors < 5 ms",
        "errors < 100%",
        "latency < 5 ms",
        "p95 < 5 min",
        "mean < 5 ms",
        "tps > 5 ms",
    ],
)
def test_nonsense_is_no_objective(text: str) -> None:
    with pytest.raises(ValueError):
        read_objective(text)
