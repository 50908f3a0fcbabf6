"""A profile in a TOML file, read strictly: whatever is wrong is one line that names file and key.

::

    scale = 10
    clients = 32                # default: the scenario's own
    rate = 500                  # a second; default: 70% of the capacity, which the ramp finds
    seed = 7
    timeout = "2 s"             # a transaction that takes longer has failed; default: none
    objectives = ["p95 < 200 ms", "errors < 0.1%"]

    [seconds]
    ramp = 120
    steady = 180
    soak = "30 min"
    block = 10
    warmup = 2

    [scenarios]                 # shares of the time
    tpcb-like = 2
    read-mostly = 1

    [users]                     # connections through PgBouncer
    count = 10000
    think = "5 s"
"""

import math
import tomllib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pgwatch_wed import units
from pgwatch_wed.errors import UsageError
from pgwatch_wed.load.load_model import LoadObjective
from pgwatch_wed.load.scenarios import known_scenarios
from pgwatch_wed.load.scenarios.load_profiles import PROFILES, LoadProfile
from pgwatch_wed.load.scenarios.objective_text import EXAMPLES, read_objective
from pgwatch_wed.load.stress_report import PhaseKind

MAX_CLIENTS = 20_000
MAX_RATE = 1_000_000
MAX_SECONDS = 7 * 86_400
MIN_BLOCK_S = 1.0
_MAX_SEED = 10**9


def profile_of(name_or_file: str) -> LoadProfile:
    """Return the profile of this name, or the one in a file of this name."""
    if name_or_file in PROFILES:
        return PROFILES[name_or_file]
    if name_or_file.endswith(".toml") or "/" in name_or_file:
        return read_profile(Path(name_or_file))
    raise UsageError(
        f"there is no profile {name_or_file!r}",
        f"use {', '.join(PROFILES)} or the path of a TOML file",
    )


def read_profile(path: Path) -> LoadProfile:
    """Read a profile; raises :class:`UsageError` that names file and key."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"the profile {path} could not be read: {error.strerror or error}"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from None
    return _Reader(str(path)).profile(path.stem, table)


class _Reader:
    """Reads values of one file; its errors name file and key."""

    def __init__(self, file: str) -> None:
        self._file = file

    def profile(self, name: str, table: Mapping[str, Any]) -> LoadProfile:
        """Turn the file's table into a profile."""
        self._only_known(table, "", (*_TOP, *_TABLES))
        given = {key: read(self, key, table[key]) for key, read in _TOP.items() if key in table}
        for key, read in _TABLES.items():
            part = table.get(key, {})
            if not isinstance(part, dict):
                raise self._wrong(key, f"must be a table, [{key}]")
            given |= read(self, part)
        if not given.get("seconds"):
            raise self._wrong("seconds", "must say how long: ramp, steady or soak")
        if "users" in given and "clients" in given:
            raise self._wrong(
                "clients", "cannot be given together with users, which are the clients"
            )
        if "timeout" in given:
            given["timeout_s"] = given.pop("timeout")
        profile = LoadProfile(name=name, **{"scenarios": {"tpcb-like": 1.0}, **given})
        self._check_lengths(profile)
        return profile

    def _check_lengths(self, profile: LoadProfile) -> None:
        each = profile.block_s + profile.warmup_s
        whole = sum(profile.scenarios.values())
        for kind, seconds in profile.seconds.items():
            for name, share in profile.scenarios.items():
                if seconds * share / whole < each:
                    raise self._wrong(
                        f"seconds.{kind}",
                        f"leaves {seconds * share / whole:.3g} s for {name}, less than one block of {each:g} s",
                    )
        if profile.rate is not None and PhaseKind.RAMP in profile.seconds:
            raise self._wrong("rate", "is of no use with seconds.ramp, which finds the rate")

    def whole_number(self, key: str, value: Any, most: int) -> int:
        """Read an integer from 1."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(key, f"must be an integer, not {value!r}")
        if not 1 <= value <= most:
            raise self._wrong(key, f"must be between 1 and {most:,}, not {value:,}")
        return value

    def number(self, key: str, value: Any, most: float) -> float:
        """Read a number above 0."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(key, f"must be a number, not {value!r}")
        if not 0 < value <= most or math.isnan(value):
            raise self._wrong(key, f"must be above 0 and at most {most:,}, not {value}")
        return float(value)

    def seconds(self, key: str, value: Any, *, least: float = 0.0, or_none: bool = False) -> float:
        """Read a number of seconds, or a time such as ``5 min``."""
        found = value
        if isinstance(value, str):
            try:
                found = units.read_span(value).total_seconds()
            except (ValueError, OverflowError):
                raise self._wrong(
                    key, f"must be seconds or a time such as '5 min', not {value!r}"
                ) from None
        if or_none and found == 0 and not isinstance(found, bool):
            return 0.0
        number = self.number(key, found, MAX_SECONDS)
        if number < least:
            raise self._wrong(key, f"must be at least {least:g} s, not {number:g}")
        return number

    def objectives(self, key: str, value: Any) -> tuple[LoadObjective, ...]:
        """Read a list of objectives, at most one of a kind."""
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise self._wrong(key, f"must be a list of objectives {EXAMPLES}")
        try:
            found = tuple(read_objective(v) for v in value)
        except ValueError as error:
            raise self._wrong(key, str(error), joint=": ") from None
        names = [o.name for o in found]
        if twice := next((n for n in names if names.count(n) > 1), None):
            raise self._wrong(key, f"contains two objectives for {twice}")
        return found

    def phases(self, part: Mapping[str, Any]) -> dict[str, Any]:
        """Read the table of seconds."""
        self._only_known(part, "seconds", (*PhaseKind, "block", "warmup"))
        found: dict[str, Any] = {
            "seconds": {k: self.seconds(f"seconds.{k}", part[k]) for k in PhaseKind if k in part}
        }
        if "block" in part:
            found["block_s"] = self.seconds("seconds.block", part["block"], least=MIN_BLOCK_S)
        if "warmup" in part:
            found["warmup_s"] = self.seconds("seconds.warmup", part["warmup"], or_none=True)
        return found

    def shares(self, part: Mapping[str, Any]) -> dict[str, Any]:
        """Read the table of scenarios."""
        self._only_known(part, "scenarios", known_scenarios.names())
        shares = {k: self.number(f"scenarios.{k}", v, 1e6) for k, v in part.items()}
        return {"scenarios": shares} if shares else {}

    def users(self, part: Mapping[str, Any]) -> dict[str, Any]:
        """Read the table of users."""
        self._only_known(part, "users", ("count", "think"))
        if not part:
            return {}
        for key in ("count", "think"):
            if key not in part:
                raise self._wrong(f"users.{key}", "is missing")
        return {
            "users": self.whole_number("users.count", part["count"], MAX_CLIENTS),
            "think_s": self.seconds("users.think", part["think"]),
        }

    def _only_known(self, table: Mapping[str, Any], inside: str, known: tuple[str, ...]) -> None:
        for key in table:
            if key not in known:
                name = f"{inside}.{key}" if inside else key
                near = get_close_matches(key.casefold(), known, n=1)
                meant = f"did you mean {near[0]}? " if near else ""
                raise UsageError(
                    f"{self._file}: unknown key {name!r}", f"{meant}valid keys: {', '.join(known)}"
                )

    def _wrong(self, key: str, what: str, joint: str = " ") -> UsageError:
        return UsageError(f"{self._file}: {key}{joint}{what}")


_TOP: Mapping[str, Callable[[_Reader, str, Any], Any]] = {
    "scale": lambda r, k, v: r.whole_number(k, v, known_scenarios.MAX_SCALE),
    "clients": lambda r, k, v: r.whole_number(k, v, MAX_CLIENTS),
    "rate": lambda r, k, v: r.number(k, v, MAX_RATE),
    "load_share": lambda r, k, v: r.number(k, v, 1.0),
    "seed": lambda r, k, v: r.whole_number(k, v, _MAX_SEED),
    "timeout": lambda r, k, v: r.seconds(k, v),
    "objectives": _Reader.objectives,
}
_TABLES: Mapping[str, Callable[[_Reader, Mapping[str, Any]], dict[str, Any]]] = {
    "seconds": _Reader.phases,
    "scenarios": _Reader.shares,
    "users": _Reader.users,
}
