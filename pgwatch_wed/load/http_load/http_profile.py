"""A profile, and options in its place → what to run on an HTTP service."""

import math

from pgwatch_wed.errors import UsageError
from pgwatch_wed.load.http_load.http_outcome import HttpOrder
from pgwatch_wed.load.scenarios.load_profiles import LOAD_SHARE, PROFILES, LoadProfile
from pgwatch_wed.load.stress_report import PhaseKind

_USERS = 10


def check_for_http(profile: LoadProfile) -> None:
    """Refuse a profile of a file that says what only a database has; those with a name have only their length."""
    if PROFILES.get(profile.name) is profile:
        return
    plain = LoadProfile(name="", scenarios={"tpcb-like": 1.0}, seconds={})
    of_databases = {
        "scenarios": profile.scenarios != plain.scenarios,
        "scale": profile.scale != plain.scale,
        "clients": profile.clients is not None,
        "timeout": profile.timeout_s is not None,
        "load_share": profile.load_share != LOAD_SHARE,
        "seconds.warmup": profile.warmup_s != plain.warmup_s,
        "seconds.ramp": PhaseKind.RAMP in profile.seconds,
        "seconds.soak": PhaseKind.SOAK in profile.seconds,
    }
    for key in (key for key, is_there in of_databases.items() if is_there):
        raise UsageError(
            f"{key} of profile {profile.name} is about a database, and --http is given",
            "a profile for --http may have objectives, rate, users, seed, seconds.steady and seconds.block",
        )


def http_order(
    profile: LoadProfile,
    *,
    source: str,
    host: str | None = None,
    users: int | None = None,
    think_s: float | None = None,
    rate: float | None = None,
    seconds: float | None = None,
    seed: int | None = None,
    processes: int = 1,
) -> HttpOrder:
    """Return what to run; raises :class:`UsageError` if two options say how many requests are due."""
    rate, think_s = rate or profile.rate, think_s or profile.think_s
    if rate is not None and think_s is not None:
        raise UsageError("a rate cannot be given together with --think: it is users / think time")
    if any(n is not None and math.isnan(n) for n in (rate, think_s, seconds)):
        raise UsageError("--rate, --think and --seconds must be numbers")
    users = users or profile.users or _USERS
    return HttpOrder(
        source=source,
        host=host,
        users=users,
        rate=users / think_s if think_s is not None else rate,
        seconds=seconds or profile.total_s,
        processes=processes,
        seed=seed or profile.seed,
        usual_block_s=profile.block_s,
    )
