"""What a pgbench is able to, by its own help, and a block's command line."""

import math
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from pgwatch_wed.errors import Error
from pgwatch_wed.load.engine.pgbench_scripts import check_scripts
from pgwatch_wed.load.load_model import LoadScript, Order
from pgwatch_wed.target.programs import conninfo_of

MAX_SCRIPTS = 128  # pgbench's own limit
CONNECT_TIMEOUT_S = 10
_OPTION = re.compile(rb"--[a-z][a-z-]+")
_SPECIAL, _ESCAPED = re.compile(r"([\s\\])"), r"\\\1"
_NEEDED = ("--rate", "--log-prefix", "--random-seed")
_RETRIES = ("--max-tries", "--failures-detailed")


@dataclass(frozen=True, slots=True)
class Abilities:
    """The options that a pgbench has."""

    program: Path
    options: frozenset[str]

    @property
    def retries(self) -> bool:
        """It can try a transaction again, and tells how one failed."""
        return self.options.issuperset(_RETRIES)

    @property
    def continues(self) -> bool:
        """A client goes on after an error."""
        return "--continue-on-error" in self.options


@cache
def abilities(program: Path) -> Abilities:
    """Ask a pgbench for its options; raises :class:`Error` if it does not start or lacks one that is needed."""
    try:
        done = subprocess.run(  # noqa: S603 - a PostgreSQL program, arguments are a list
            [str(program), "--help"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=30,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Error(f"{program} does not start: {error}") from None
    found = frozenset(option.decode() for option in _OPTION.findall(done.stdout))
    missing = [option for option in _NEEDED if option not in found]
    if missing:
        raise Error(f"{program} is too old: it has no {missing[0]}", "install a later pgbench")
    return Abilities(program, found)


def check_order(order: Order, able: Abilities) -> None:
    """Raise :class:`Error` if pgbench cannot run what is ordered."""
    _check(order.clients >= 1, "a load test needs at least one client")
    _check(bool(order.scripts), "a load test needs at least one script")
    _check(
        len(order.scripts) <= MAX_SCRIPTS,
        f"pgbench runs at most {MAX_SCRIPTS} scripts, and these are {len(order.scripts)}",
    )
    _check(any(s.weight > 0 for s in order.scripts), "all scripts have the weight 0")
    _check(all(s.weight >= 0 for s in order.scripts), "a script's weight is negative")
    _check(order.seconds > 0 and order.warmup_s >= 0, "a block's time must be above zero")
    _check(order.rate is None or order.rate > 0, "the rate must be above zero")
    _check(order.max_tries >= 1, "a transaction is tried at least once")
    _check(
        order.max_tries == 1 or able.retries,
        f"{able.program} cannot try a transaction again",
        "install a later pgbench",
    )
    check_scripts(order)


def _check(is_met: bool, message: str, hint: str = "") -> None:
    if not is_met:
        raise Error(message, hint)


def arguments(
    order: Order, able: Abilities, *, conninfo: str, prefix: Path, threads: int, run_s: int
) -> Iterator[str]:
    """Yield the arguments of pgbench for a block; the scripts are written beside the log."""
    yield from ("--no-vacuum", "--log", f"--log-prefix={prefix}", f"--random-seed={order.seed}")
    yield from (f"--client={order.clients}", f"--jobs={threads}", f"--time={run_s}")
    yield f"--protocol={order.protocol}"
    if order.rate is not None:
        yield f"--rate={order.rate!r}"
    if order.reconnects:
        yield "--connect"
    if able.retries:
        yield "--failures-detailed"
    if order.max_tries > 1:
        yield f"--max-tries={order.max_tries}"
    if able.continues:
        yield from ("--continue-on-error", "--verbose-errors")
    yield from (f"--define={name}={value}" for name, value in order.variables.items())
    yield from written(order.scripts, prefix.parent)
    yield conninfo


def written(scripts: Sequence[LoadScript], folder: Path) -> Iterator[str]:
    """Write scripts to files, and yield the arguments that name them."""
    for number, script in enumerate(scripts):
        file = folder / f"script_{number}.sql"
        file.write_text(script.text + "\n", encoding="utf-8")
        yield f"--file={file}@{script.weight}"


def options_of(settings: Mapping[str, str]) -> str:
    """Write settings as the connection parameter ``options``."""
    return " ".join(f"-c {n}={_SPECIAL.sub(_ESCAPED, v)}" for n, v in settings.items())


def run_seconds(order: Order, connecting_s: float) -> int:
    """Return how long pgbench is to run: its time includes connecting, and counts whole seconds.

    In an open loop, it goes on for a little, since what was due in the block may begin late.
    """
    drain = min(1.0, order.seconds / 10) if order.is_open else 0.0
    return max(1, math.ceil(connecting_s + order.warmup_s + order.seconds + drain))


def conninfo(place: str, order: Order) -> str:
    """Add to a conninfo what a block needs; of a parameter that occurs twice, the last counts."""
    own = {"connect_timeout": str(CONNECT_TIMEOUT_S)}
    if order.settings:
        before = conninfo_to_dict(place).get("options")
        own["options"] = " ".join([*([str(before)] if before else []), options_of(order.settings)])
    return f"{place} {conninfo_of(own)}"
