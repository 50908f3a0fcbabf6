"""Which oracle answers for a target."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pgwatch_wed import connect
from pgwatch_wed.errors import Error, UsageError
from pgwatch_wed.whatif import source, workload
from pgwatch_wed.whatif.advise import Advice, Options, Progress, advise
from pgwatch_wed.whatif.hypopg import HypoPG
from pgwatch_wed.whatif.model import Oracle
from pgwatch_wed.whatif.workload import Workload

ENGINES = ("auto", "hypopg", "lab")


@contextmanager
def oracle(conninfo: str, engine: str = "auto", seconds: float = 120) -> Iterator[Oracle]:
    """Yield the oracle of a target: the lab where statistics can be read, else hypopg.

    Raises :class:`UsageError` for an unknown engine, and the engine's own errors.
    """
    if engine not in ENGINES:
        raise UsageError(f"unknown engine {engine!r}", f"one of {', '.join(ENGINES)}")
    with ExitStack() as stack:
        yield _opened(stack, conninfo, engine, seconds)


def _opened(stack: ExitStack, conninfo: str, engine: str, seconds: float) -> Oracle:
    if engine == "hypopg":
        return stack.enter_context(HypoPG(conninfo))
    try:
        return stack.enter_context(source.open_lab(conninfo, seconds))
    except Error as error:
        if engine == "lab":
            raise
        try:
            found = stack.enter_context(HypoPG(conninfo))
        except Error:
            raise error from None
        found.notes.append(f"no lab could be built ({error.message}); hypopg answers instead")
        return found


def read_workload(conninfo: str, folder: Path | None) -> Workload:
    """Return the workload of a folder, or that of pg_stat_statements without one."""
    if folder is not None:
        return workload.from_folder(folder)
    with connect.connect(conninfo) as connection:
        return workload.from_statements(connection)


def advise_target(
    conninfo: str,
    folder: Path | None = None,
    options: Options | None = None,
    engine: str = "auto",
    progress: Progress = lambda _what, _share: None,
) -> Advice:
    """Advise a target: read the workload, open an oracle, search.

    Raises :class:`pgwatch_wed.errors.Error` kinds; changes nothing on the target.
    """
    wanted = options or Options()
    found = read_workload(conninfo, folder)
    progress("building the lab", 0.02)
    with oracle(conninfo, engine, wanted.seconds) as answers:
        return advise(answers, found, wanted, progress)
