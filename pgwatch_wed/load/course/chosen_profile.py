"""A profile with what the command line asks for in its place. Pure."""

import math
from dataclasses import replace

from pgwatch_wed import units
from pgwatch_wed.errors import UsageError
from pgwatch_wed.load.scenarios.load_profiles import LoadProfile
from pgwatch_wed.load.scenarios.profile_file import MIN_BLOCK_S
from pgwatch_wed.load.statistics.block_percentiles import LEAST_BLOCKS
from pgwatch_wed.load.stress_report import PhaseKind


def with_scenarios(profile: LoadProfile, names: tuple[str, ...]) -> LoadProfile:
    """Run these scenarios instead, each as long as the others."""
    return replace(profile, scenarios=dict.fromkeys(names, 1.0)) if names else profile


def with_rate(profile: LoadProfile, rate: float | None) -> LoadProfile:
    """Run at this rate: no ramp has to find one, and its time goes to the other phases."""
    if rate is None:
        return profile
    if math.isnan(rate):
        raise UsageError("the rate is not a number")
    left = {k: s for k, s in profile.seconds.items() if k is not PhaseKind.RAMP}
    factor = profile.total_s / sum(left.values()) if left else 1.0
    seconds: dict[PhaseKind, float] = {k: s * factor for k, s in left.items()}
    seconds = seconds or {PhaseKind.STEADY: profile.total_s}
    return replace(profile, rate=rate, seconds=seconds)


def with_seed(profile: LoadProfile, seed: int | None, of_baseline: int | None) -> LoadProfile:
    """Run with this seed, else with that of the baseline: with another, the data is not the same.

    Raises :class:`UsageError` if the two differ.
    """
    if seed is not None and of_baseline not in (None, seed):
        raise UsageError(
            f"--seed {seed} makes other data than that of the baseline, whose seed is {of_baseline}",
            "omit --seed",
        )
    return replace(profile, seed=seed or of_baseline or profile.seed)


def with_users_of(profile: LoadProfile, users: int | None, think_s: float | None) -> LoadProfile:
    """Run with so many users, or those of the profile: the rate is users / think time.

    Raises :class:`UsageError` if only one of the two is given, or a rate, too.
    """
    if (users is None) != (think_s is None):
        raise UsageError(
            "--users and --think are given together", "such as --users 10000 --think 5"
        )
    users, think_s = users or profile.users, think_s or profile.think_s
    if users is None or think_s is None:
        return profile
    if profile.rate is not None:
        raise UsageError("a rate cannot be given together with users: it is users / think time")
    return replace(with_rate(profile, users / think_s), users=users, think_s=think_s)


def with_seconds(profile: LoadProfile, seconds: float | None) -> LoadProfile:
    """Run for so long in all; blocks become shorter if too few of them would fit.

    Raises :class:`UsageError` if they would be too short to measure anything.
    """
    if seconds is None:
        return profile
    if math.isnan(seconds):
        raise UsageError("the time is not a number")
    factor = seconds / profile.total_s
    shorter = replace(profile, seconds={k: s * factor for k, s in profile.seconds.items()})
    fitting = _fitting(shorter)
    if fitting >= 1:
        return shorter
    if profile.block_s * fitting < MIN_BLOCK_S:
        least = seconds * MIN_BLOCK_S / (profile.block_s * fitting)
        raise UsageError(
            f"{seconds:g} s are too short for profile {profile.name} with "
            f"{units.count(len(profile.scenarios), 'scenario')}",
            f"run it for at least {least:.0f} s",
        )
    return replace(shorter, block_s=profile.block_s * fitting, warmup_s=profile.warmup_s * fitting)


def _fitting(profile: LoadProfile) -> float:
    """Return how long blocks may be, relative to the profile's: one for a ramp, three for what is evaluated."""
    whole = sum(profile.scenarios.values())
    each = profile.block_s + profile.warmup_s
    least = min(profile.scenarios.values()) / whole
    return min(
        seconds * least / (each * (1 if kind is PhaseKind.RAMP else LEAST_BLOCKS))
        for kind, seconds in profile.seconds.items()
    )
